"""Keeps what was worked out for an object that never changes, by the object itself.

A conversation is sent again with every turn, and each of its messages is the
same object: what it counts and what it converts to is worked out once, so that
a long plan's work grows with its length and not with its square.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class IdentityCache(Generic[T]):
    """The newest values by object, up to a total weight.

    An object is kept as long as its value is: while it is here, no other
    object can have its identity.

    Args:
        max_weight: Of all values together; a heavier one is not kept.
    """

    def __init__(self, max_weight: int) -> None:
        self._max_weight = max_weight
        self._weight = 0
        self._found: OrderedDict[int, tuple[object, T, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object) -> T | None:
        """The value of an object; ``None`` when there is none."""
        with self._lock:
            entry = self._found.get(id(key))
            if entry is None:
                return None
            self._found.move_to_end(id(key))
            return entry[1]

    def put(self, key: object, value: T, *, weight: int) -> None:
        """Keep a value.

        Args:
            key: An object that nobody changes any more.
            value: What was worked out for it.
            weight: Roughly the bytes that the two keep alive.
        """
        if weight > self._max_weight:
            return
        with self._lock:
            if id(key) in self._found:
                return
            self._found[id(key)] = (key, value, weight)
            self._weight += weight
            while self._weight > self._max_weight:
                _, (_, _, freed) = self._found.popitem(last=False)
                self._weight -= freed
