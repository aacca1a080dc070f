"""How does a tree become another one at the cost of the change, not of the tree?

Only the directories on the way to a changed file are read and written. The
names have been through git's index before they come here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cleveragents.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cleveragents.terms.proposal import FileChange

_TREE_MODE: Final = b"40000"
_ID_BYTES: Final = 20


@dataclass(slots=True)
class _Node:
    """What the change says of one name."""

    below: dict[bytes, _Node] = field(default_factory=dict)
    is_named: bool = False
    mode: bytes = b""
    blob: bytes = b""
    """Empty for a deletion."""


def splice(
    base: str,
    changes: Iterable[FileChange],
    *,
    read_tree: Callable[[str], bytes],
    write_tree: Callable[[bytes], str],
) -> str:
    """Make the tree that a change turns ``base`` into.

    Raises:
        RecordError: The change does not fit the tree: a file would stand where a directory
            stays, or the other way round.
    """
    root = _Node()
    for change in changes:
        node = root
        for part in change.path.encode("utf-8", "surrogateescape").split(b"/"):
            node = node.below.setdefault(part, _Node())
        node.is_named = True
        if change.blob is not None and change.mode is not None:
            node.mode = change.mode.encode("ascii")
            node.blob = bytes.fromhex(change.blob)
    made = _splice_directory(base, root, read_tree, write_tree)
    return made.hex() if made else write_tree(b"")


def _splice_directory(
    tree: str, node: _Node, read_tree: Callable[[str], bytes], write_tree: Callable[[bytes], str]
) -> bytes:
    """Give the id of the new directory, empty when nothing is left in it."""
    entries = _parse(read_tree(tree)) if tree else {}
    for name, change in node.below.items():
        mode, item = entries.pop(name, (b"", b""))
        is_directory = mode == _TREE_MODE
        if change.below:
            if item and not is_directory and not (change.is_named and not change.blob):
                raise _misfit(name)
            below = item.hex() if is_directory else ""
            made = _splice_directory(below, change, read_tree, write_tree)
            if made and change.blob:
                raise _misfit(name)
            if made:
                entries[name] = (_TREE_MODE, made)
        elif is_directory:
            if change.blob:
                raise _misfit(name)
            entries[name] = (mode, item)
        if change.blob:
            entries[name] = (change.mode, change.blob)
    if not entries:
        return b""
    return bytes.fromhex(write_tree(_format(entries)))


def _misfit(name: bytes) -> RecordError:
    shown = name.decode("utf-8", "replace")
    return RecordError(problem=f"a file and a directory would share the name {shown!r}")


def _parse(data: bytes) -> dict[bytes, tuple[bytes, bytes]]:
    entries = {}
    at = 0
    while at < len(data):
        space = data.index(b" ", at)
        end = data.index(b"\0", space)
        stop = end + 1 + _ID_BYTES
        entries[data[space + 1 : end]] = (data[at:space], data[end + 1 : stop])
        at = stop
    return entries


def _format(entries: dict[bytes, tuple[bytes, bytes]]) -> bytes:
    """Write a directory as git does: sorted as if each directory's name ended in a slash."""
    order = sorted(
        (name + b"/" if mode == _TREE_MODE else name, name, mode, item)
        for name, (mode, item) in entries.items()
    )
    return b"".join(mode + b" " + name + b"\0" + item for _, name, mode, item in order)
