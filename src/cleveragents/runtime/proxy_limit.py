"""How much may one cell ask of the host's proxy?

Each refused or malformed request is an entry of the record, and each admitted
one two: a cell that only makes noise must not fill it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """What one cell may ask of the host."""

    connections: int = 64
    """At once; more wait in the kernel, as many as its queue holds."""
    window_s: float = 60.0
    faults: int = 100
    """Refused or malformed requests in a window; each is an entry of the record."""
    total: int = 2_000
    """Connections in a window."""


class Meter:
    """Counts within windows of time.

    Args:
        limits: Of each window.
        clock: Monotonic seconds.
    """

    def __init__(self, limits: ProxyLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._began = 0.0
        self._total = 0
        self._faults = 0

    def admits(self) -> bool:
        """Say whether another connection is read at all."""
        now = self._clock()
        if now - self._began >= self._limits.window_s:
            self._began, self._total, self._faults = now, 0, 0
        self._total += 1
        return self._total <= self._limits.total and self._faults < self._limits.faults

    def fault(self) -> bool:
        """Count one that was refused or malformed; say whether it was the last of the window."""
        self._faults += 1
        return self._faults == self._limits.faults
