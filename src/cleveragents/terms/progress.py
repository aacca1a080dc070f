"""How far a call is, told while it runs to whoever asked for it in this thread.

Not recorded, and numbers only: a server's words are kept from a client until
the record holds them.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Listener = Callable[[float, float | None], None]
    """Told what is done, and of how much; called in any thread, and never blocks."""

LISTENER: Final[ContextVar[Listener | None]] = ContextVar("progress", default=None)
"""Who listens; ``None``: nobody, and no server is asked to tell."""
