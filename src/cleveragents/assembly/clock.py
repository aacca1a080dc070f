"""Where the product reads clocks and chance: the time of day, a steady time, and new ids."""

from __future__ import annotations

import os
import time
from functools import lru_cache
from typing import Final

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def timestamp() -> str:
    """The wall clock, RFC 3339 in UTC, to the microsecond."""
    # The one place where the clock is read; everything below is handed this function.
    second, part = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{_spelt(second)}.{part:06}Z"


@lru_cache(maxsize=1)
def _spelt(second: int) -> str:
    # Every entry of the record has a time; hundreds of them have the same second.
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def now_ms() -> int:
    """Monotonic milliseconds."""
    return time.monotonic_ns() // 1_000_000


def new_id() -> str:
    """A new plan id: a ULID, sortable by time.

    48 bits of milliseconds, 80 of chance, in Crockford's base 32. Written out
    here: the library that does it takes longer to import than a wall to build.
    """
    number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
