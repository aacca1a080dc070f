"""Which files does a tree hold? The list, and what is worked out from it only when asked."""

from __future__ import annotations

import bisect
from functools import cached_property
from typing import TYPE_CHECKING

from cleveragents.boundary.git_answer import TreeEntry
from cleveragents.boundary.returned_name import fold_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cleveragents.terms.proposal import FileChange


def files_by_path(entries: Iterable[TreeEntry]) -> dict[str, TreeEntry]:
    """Sort a list of files under their paths."""
    return {entry.path: entry for entry in entries}


class Listing:
    """Every file of one tree, by path; never changed.

    Args:
        make: Gives the files; asked at the first look.
    """

    def __init__(self, make: Callable[[], dict[str, TreeEntry]]) -> None:
        self._make = make

    def changed(self, changes: Iterable[FileChange]) -> Listing:
        """Give the listing of the tree that a change makes; worked out when it is asked for.

        A child is spawned from such a tree and may end without changing anything.
        """
        every = tuple(changes)

        def make() -> dict[str, TreeEntry]:
            files = dict(self.entries)
            for change in every:
                if change.blob is None or change.mode is None:
                    files.pop(change.path, None)
                else:
                    entry = TreeEntry(change.path, change.mode, change.blob, change.size)
                    files[change.path] = entry
            return files

        return Listing(make)

    @cached_property
    def entries(self) -> Mapping[str, TreeEntry]:
        """The files, by path."""
        files = self._make()
        # Lets the listing go that this one was worked out from.
        self._make = lambda: files
        return files

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Sorted as strings, so that a directory is one stretch."""
        return tuple(sorted(self.entries))

    @cached_property
    def spellings(self) -> Mapping[str, tuple[str, ...]]:
        """Files and directories by what a file system that folds letter case compares."""
        return fold_index(self.entries)

    def below(self, directory: str) -> Iterator[str]:
        """Give the files below a directory."""
        inside = f"{directory}/"
        at = bisect.bisect_left(self.paths, inside)
        while at < len(self.paths) and self.paths[at].startswith(inside):
            yield self.paths[at]
            at += 1
