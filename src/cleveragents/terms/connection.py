"""One connection of a cell, as it is asked for and as it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

PREFIX: Final = "net:"
"""How the identity of a connection begins; no step, message or turn is named so."""
Form = Literal["tunnel", "http"]
"""``CONNECT``, or a plain HTTP request."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What a program in a cell wants to reach, as the host has read it."""

    host: str
    """In its one spelling; empty when it could not be read."""
    port: int
    """0 when it could not be read."""
    form: Form = "tunnel"
    problem: str = ""
    """Why nothing can be asked of anybody: a malformed request; empty: it can."""

    @property
    def name(self) -> str:
        """``host:port`` for people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.host else "an unreadable place"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What came of a connection that was let in."""

    sent: int = 0
    """Bytes from the cell to the host that it asked for."""
    received: int = 0
    """Bytes the other way."""
    address: str = ""
    """Where it really led; empty: nowhere."""
    error: str = ""
    """Why it was not made, or did not end by itself; empty: it was and did."""
