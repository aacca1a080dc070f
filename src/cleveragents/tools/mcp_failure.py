"""What goes wrong between us and an MCP server, in one sentence that may be shown."""

from __future__ import annotations


class ServerFailedError(Exception):
    """A server did not start, answer or keep to the protocol; never leaves the door.

    Args:
        reason: One sentence, harmless on a terminal.
        is_over: Nothing further is said to this server: it is ended.
        is_line: The session with it is at fault, not a tool that said that it failed.
    """

    def __init__(self, reason: str, *, is_over: bool, is_line: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_over = is_over
        self.is_line = is_line
