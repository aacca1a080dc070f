"""How do two trees go together where they touch different things?

Most children change what nobody else does. Such a merge is a matter of names:
at each of them at most one side differs from the base. git would come to the
same tree, at the price of a process and of three commits to name the sides.
Whatever needs a look into a file, or a choice, is left to git.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cleveragents.boundary.tree_object import TREE_MODE, Item, format_directory, parse_directory

if TYPE_CHECKING:
    from collections.abc import Callable


class _NotApartError(Exception):
    """Both sides changed the same name, be it to the same."""


def merge_apart(
    base: str,
    ours: str,
    theirs: str,
    *,
    read_tree: Callable[[str], bytes],
    write_tree: Callable[[bytes], str],
) -> str | None:
    """Merge two trees that changed different names; ``None`` where git has to look.

    INVARIANT: gives what ``git merge-tree`` gives without directory renames. A rename matters
    only where the other side changed one of its two names too, and that comes to git.

    Args:
        base: What both come from.
        ours: One side.
        theirs: The other side.
        read_tree: Gives a directory's object.
        write_tree: Stores one and gives its id.

    Raises:
        RecordError: A directory is missing.
    """
    merger = _Merger(read_tree, write_tree)
    try:
        made = merger.merge(bytes.fromhex(base), bytes.fromhex(ours), bytes.fromhex(theirs))
    except _NotApartError:
        return None
    return made.hex() if made else write_tree(b"")


@dataclass(frozen=True, slots=True)
class _Merger:
    read_tree: Callable[[str], bytes]
    write_tree: Callable[[bytes], str]

    def merge(self, base: bytes, ours: bytes, theirs: bytes) -> bytes:
        """Give the id of the merged directory, empty when nothing is left in it."""
        if theirs == base:
            return ours
        if ours == base:
            return theirs
        if ours == theirs:
            # What both deleted in it, each may have moved to another place.
            raise _NotApartError
        before, mine, yours = (
            parse_directory(self.read_tree(one.hex())) for one in (base, ours, theirs)
        )
        result = dict(mine)
        for name in before.keys() | yours.keys():
            was, other = before.get(name), yours.get(name)
            if other == was:
                continue
            chosen = self._choose(was, mine.get(name), other)
            if chosen is None:
                result.pop(name, None)
            else:
                result[name] = chosen
        return bytes.fromhex(self.write_tree(format_directory(result))) if result else b""

    def _choose(self, was: Item | None, own: Item | None, other: Item | None) -> Item | None:
        if own == was:
            return other
        if was is None or own is None or other is None:
            raise _NotApartError
        if not (was.is_directory and own.is_directory and other.is_directory):
            raise _NotApartError
        merged = self.merge(was.id, own.id, other.id)
        return Item(TREE_MODE, merged) if merged else None
