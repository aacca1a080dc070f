"""Ends a computation that cannot look at the clock itself, such as one match of a pattern."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType


class TimeIsUp(Exception):  # noqa: N818  # a fact, not a fault
    """The limit has passed."""


class TimeLimit:
    """A limit on a ``with`` block.

    In the main thread, where a tool body runs in the cell, an alarm also
    interrupts code that is marked as interruptible; elsewhere only ``check``
    looks at the clock.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends = 0.0
        self._is_up = False
        self._may_interrupt = False
        self._has_alarm = False
        self._previous: object = None

    def __enter__(self) -> Self:
        """Start the clock."""
        self._ends = time.monotonic() + self._seconds
        self._has_alarm = threading.current_thread() is threading.main_thread()
        if self._has_alarm:
            self._previous = signal.signal(signal.SIGALRM, self._alarm)
            signal.setitimer(signal.ITIMER_REAL, self._seconds)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the clock."""
        if self._has_alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._previous)  # type: ignore[arg-type]  # as the same call has given it

    def check(self) -> None:
        """Look at the clock.

        Raises:
            TimeIsUp: The limit has passed.
        """
        if self._is_up or time.monotonic() >= self._ends:
            raise TimeIsUp

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Mark code that may be left at any point: it holds nothing that must be closed.

        Raises:
            TimeIsUp: The limit passed before or inside.
        """
        self.check()
        self._may_interrupt = True
        try:
            yield
        finally:
            self._may_interrupt = False

    def _alarm(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._is_up = True
        if self._may_interrupt:
            raise TimeIsUp
