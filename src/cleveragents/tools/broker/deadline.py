"""One total time limit for everything that a request does, name look-up and redirects included."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cleveragents.tools.broker.edge_error import EdgeError

if TYPE_CHECKING:
    from collections.abc import Callable


class Deadline:
    """A point in time that no slow peer can move.

    Args:
        seconds: From now on.
        clock: Monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._ends = clock() + seconds

    def left_s(self) -> float:
        """Seconds that are left, always more than zero.

        Raises:
            EdgeError: None are.
        """
        left = self._ends - self._clock()
        if left <= 0:
            raise self.error()
        return left

    def error(self) -> EdgeError:
        """What to say when the time is up."""
        return EdgeError(f"it took longer than {self._seconds:g} s")
