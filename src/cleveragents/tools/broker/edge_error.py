"""Why a request was not made, or not finished; never quotes what credentials were put into."""

from __future__ import annotations


class EdgeError(Exception):
    """One sentence, free of credential values: host names and our own words only."""

    @property
    def reason(self) -> str:
        """The sentence."""
        return str(self.args[0])
