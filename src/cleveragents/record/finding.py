"""What a check has found, one sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable


class Findings:
    """Collects sentences; a check that cannot read something has found that."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.notes: list[str] = []
        """What could not be checked and is no sign of damage."""

    def add(self, problem: str) -> None:
        """Note a problem."""
        self.problems.append(problem)

    def attempt(self, part: Callable[..., None], *facts: object) -> None:
        """Do one part of a check; what it stumbles over is a problem."""
        try:
            part(*facts)
        except RecordError as error:
            self.add(error.message)
        except (TypeError, ValueError, AttributeError) as error:
            # A number where text was, bytes where a number was: somebody's edit.
            self.add(f"something stored is not of its kind: {error}")
