"""Which cells are started already, waiting for the plan that they were made for?

A slot is warm for one set of mounts: it is found by the digest of its spec
and serves once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Started = TypeVar("Started")


class SlotPool(Generic[Started]):
    """A small number of started cells by digest. Thread-safe.

    Args:
        size: How many wait at most; the one that has waited longest gives way.
        end: Ends one that nobody takes.
    """

    def __init__(self, *, size: int, end: Callable[[Started], None]) -> None:
        self._size = size
        self._end = end
        self._lock = threading.Lock()
        self._slots: OrderedDict[str, Started] = OrderedDict()

    def has(self, digest: str) -> bool:
        """Say whether one waits."""
        with self._lock:
            return digest in self._slots

    def put(self, digest: str, started: Started) -> None:
        """Let one wait; the oldest, or one of the same digest, is ended for it."""
        surplus: list[Started] = []
        with self._lock:
            if digest in self._slots:
                surplus.append(self._slots.pop(digest))
            self._slots[digest] = started
            while len(self._slots) > self._size:
                surplus.append(self._slots.popitem(last=False)[1])
        for one in surplus:
            self._end(one)

    def take(self, digest: str) -> Started | None:
        """Give the one that waits, and forget it; ``None`` when there is none."""
        with self._lock:
            return self._slots.pop(digest, None)

    def close(self) -> None:
        """End all that wait."""
        with self._lock:
            waiting = list(self._slots.values())
            self._slots.clear()
        for one in waiting:
            self._end(one)
