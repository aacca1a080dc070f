"""Who may stop what a call waits for, while it waits: the client whose call it is."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


class Stopper(Protocol):
    """Knows whether a call is cancelled."""

    def stopping(self, stop: Callable[[str], None]) -> AbstractContextManager[None]:
        """While inside, have a cancel call this with its reason; at once if there was one.

        Args:
            stop: Called in any thread; never blocks.
        """


STOPPER: Final[ContextVar[Stopper | None]] = ContextVar("stopper", default=None)
"""Of the call that this thread is in; ``None``: nobody cancels it."""
