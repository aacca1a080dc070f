"""What is one directory of a tree: its entries, read from git's object and written as one?"""

from __future__ import annotations

from typing import Final, NamedTuple

TREE_MODE: Final = b"40000"
_ID_BYTES: Final = 20


class Item(NamedTuple):
    """What stands at one name."""

    mode: bytes
    """As git writes it, without a leading zero."""
    id: bytes
    """Twenty bytes."""

    @property
    def is_directory(self) -> bool:
        """Say whether it is a directory."""
        return self.mode == TREE_MODE


def parse_directory(data: bytes) -> dict[bytes, Item]:
    """Read a tree object's entries, by name."""
    entries = {}
    at = 0
    while at < len(data):
        space = data.index(b" ", at)
        end = data.index(b"\0", space)
        stop = end + 1 + _ID_BYTES
        entries[data[space + 1 : end]] = Item(data[at:space], data[end + 1 : stop])
        at = stop
    return entries


def format_directory(entries: dict[bytes, Item]) -> bytes:
    """Write a directory as git does: sorted as if each directory's name ended in a slash."""
    order = sorted(
        (name + b"/" if item.is_directory else name, name, item) for name, item in entries.items()
    )
    return b"".join(item.mode + b" " + name + b"\0" + item.id for _, name, item in order)
