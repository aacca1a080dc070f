"""Which files need not be read again?

A file whose times, size, number and mode are those of the last look holds
what it held then, except when it was written so shortly before that look that
the clock could not tell the difference.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FORMAT: Final = 1
_CLOCK_GRAIN_NS: Final = 2_000_000_000
"""The coarsest clock of a file system in use (FAT)."""

Signature = tuple[int, int, int, int, int]
"""mtime, ctime (ns), size, inode, mode."""


def signature_of(found: os.stat_result) -> Signature:
    """Take what the cache compares."""
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode)


class _Stored(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    format: int
    tree: str
    files: dict[str, tuple[Signature, str]]


@dataclass(slots=True)
class StatCache:
    """What was read last time, by path."""

    place: Path | None
    """Where it is kept; ``None`` for one that lives as long as its holder."""
    now_ns: Callable[[], int] = time.time_ns
    tree: str = ""
    """Tree id of the whole, if nothing in it is open to doubt."""
    files: dict[str, tuple[Signature, str]] = field(default_factory=dict)
    fresh: dict[str, tuple[Signature, str]] = field(default_factory=dict)
    """What this look found; takes the place of ``files`` at the end."""

    @classmethod
    def load(cls, place: Path, *, now_ns: Callable[[], int] = time.time_ns) -> StatCache:
        """Read it; a damaged or foreign one is an empty one, since it only saves time."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            stored = msgspec.msgpack.decode(place.read_bytes(), type=_Stored)
            if stored.format == _FORMAT:
                return cls(place, now_ns, stored.tree, stored.files)
        return cls(place, now_ns)

    def known(self, path: str, found: os.stat_result) -> str:
        """Give the blob of a file that has not changed, or the empty string."""
        entry = self.files.get(path)
        if entry is None or entry[0] != signature_of(found):
            return ""
        self.fresh[path] = entry
        return entry[1]

    def remember(self, path: str, found: os.stat_result, blob: str) -> None:
        """Keep what was read, unless the file is too young to be told apart."""
        # INVARIANT: a change that the signature cannot show is never taken for none.
        if max(found.st_mtime_ns, found.st_ctime_ns) < self.now_ns() - _CLOCK_GRAIN_NS:
            self.fresh[path] = (signature_of(found), blob)

    def save(self, tree: str) -> None:
        """Put the new state in the old one's place.

        Raises:
            OSError: It cannot be written.
        """
        self.tree, self.files, self.fresh = tree, self.fresh, {}
        if self.place is None:
            return
        self.place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.place.with_name(f"{self.place.name}.{os.getpid()}.{os.urandom(4).hex()}")
        temporary.write_bytes(msgspec.msgpack.encode(_Stored(_FORMAT, tree, self.files)))
        temporary.replace(self.place)
