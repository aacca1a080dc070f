"""How does a tree become another one at the cost of the change, not of the tree?

Only the directories on the way to a changed file are read and written. The
names have been through git's index before they come here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cleveragents.boundary.tree_object import (
    TREE_MODE,
    Item,
    format_directory,
    parse_directory,
)
from cleveragents.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cleveragents.terms.proposal import FileChange


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
    entries = parse_directory(read_tree(tree)) if tree else {}
    for name, change in node.below.items():
        found = entries.pop(name, None)
        is_directory = found is not None and found.is_directory
        if change.below:
            if found and not is_directory and not (change.is_named and not change.blob):
                raise _misfit(name)
            below = found.id.hex() if found is not None and is_directory else ""
            made = _splice_directory(below, change, read_tree, write_tree)
            if made and change.blob:
                raise _misfit(name)
            if made:
                entries[name] = Item(TREE_MODE, made)
        elif found is not None and is_directory:
            if change.blob:
                raise _misfit(name)
            entries[name] = found
        if change.blob:
            entries[name] = Item(change.mode, change.blob)
    if not entries:
        return b""
    return bytes.fromhex(write_tree(format_directory(entries)))


def _misfit(name: bytes) -> RecordError:
    shown = name.decode("utf-8", "replace")
    return RecordError(problem=f"a file and a directory would share the name {shown!r}")
