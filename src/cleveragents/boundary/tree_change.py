"""In which files do two trees differ, at the cost of the difference and not of the trees?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.boundary.git_answer import RawChange, Stage, file_mode
from cleveragents.boundary.tree_object import Item, parse_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def tree_changes(
    before: str, after: str, *, read_tree: Callable[[str], bytes]
) -> tuple[RawChange, ...]:
    """Give every file in which two trees differ, with both sides, in git's order; no renames.

    Only directories that differ are read.

    Raises:
        RecordError: A directory is missing.
        ValueError: Something in a tree is neither a file, a link nor a directory.
    """
    found = _between(bytes.fromhex(before), bytes.fromhex(after), b"", read_tree)
    return tuple(sorted(found, key=lambda change: change.path.encode("utf-8", "surrogateescape")))


def _between(
    before: bytes, after: bytes, directory: bytes, read_tree: Callable[[str], bytes]
) -> Iterator[RawChange]:
    """Compare two directories; an empty id stands for one that is not there."""
    if before == after:
        return
    was = parse_directory(read_tree(before.hex())) if before else {}
    now = parse_directory(read_tree(after.hex())) if after else {}
    for name in was.keys() | now.keys():
        old, new = was.get(name), now.get(name)
        if old == new:
            continue
        path = directory + name
        yield from _between(_directory(old), _directory(new), path + b"/", read_tree)
        mine, yours = _stage(path, old), _stage(path, new)
        if mine is None and yours is not None:
            yield RawChange(yours.path, "added", None, yours)
        elif mine is not None:
            yield RawChange(mine.path, "modified" if yours else "deleted", mine, yours)


def _directory(item: Item | None) -> bytes:
    return item.id if item is not None and item.is_directory else b""


def _stage(path: bytes, item: Item | None) -> Stage | None:
    if item is None or item.is_directory:
        return None
    return Stage(
        path.decode("utf-8", "surrogateescape"), file_mode(item.mode.decode("ascii")), item.id.hex()
    )
