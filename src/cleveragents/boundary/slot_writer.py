"""How does the host write into a workspace while no cell lives?

Merged changes of a child come to its parent this way. In an overlay a
deletion is a whiteout and a directory that takes the place of something is
opaque; in a private copy things are simply so.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cleveragents.boundary.beneath_host import (
    opened,
    parent_of,
    set_mode,
    stat_beneath,
)
from cleveragents.boundary.layout import DIRECTORY_MODE, Owner, give, put_file
from cleveragents.boundary.overlay_layer import (
    is_whiteout,
    kind_in_stack,
    make_opaque,
    names_in_stack,
    put_whiteout,
)
from cleveragents.boundary.returned_name import reason_against
from cleveragents.boundary.tree_removal import remove_tree
from cleveragents.errors import MergeRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cleveragents.boundary.git import Git
    from cleveragents.terms.proposal import FileChange


@dataclass(frozen=True, slots=True)
class SlotWriter:
    """Writes a change into the writable directory of one workspace.

    Doing it twice gives the same as doing it once, so a change that was
    interrupted is simply received again.
    """

    git: Git
    target: Path
    """``upper``, or the private copy."""
    lower: tuple[Path, ...]
    """The layers below it, the topmost first; empty for a private copy."""
    owner: Owner | None

    def receive(self, plan_id: str, changes: Iterable[FileChange]) -> None:
        """Make the workspace show a change.

        Raises:
            MergeRefusedError: A path is not one that may come back, or what the plan itself
                left at the place is in the way.
            OSError: The disk is full.
        """
        every = tuple(changes)
        problems = tuple(
            f"{change.path}: {reason}"
            for change in every
            if (reason := reason_against(change.path)) is not None
        )
        if problems:
            raise MergeRefusedError(plan_id=plan_id, problems=problems)
        gone = [change.path for change in every if change.blob is None]
        with opened(self.target) as root:
            for path in gone:
                self._delete(root, path)
            # Emptied directories go first: a file may be about to take the place of one.
            for directory in _parents(gone):
                self._delete_if_empty(root, directory)
            self._put_all(plan_id, root, [change for change in every if change.blob is not None])

    def _put_all(self, plan_id: str, root: int, changes: list[FileChange]) -> None:
        by_blob: dict[str, list[FileChange]] = {}
        for change in changes:
            by_blob.setdefault(change.blob or "", []).append(change)
        for stream in self.git.stream_blobs(by_blob):
            first, *others = by_blob[stream.blob]
            pieces = list(stream.pieces()) if others else stream.pieces()
            for change in (first, *others):
                try:
                    self._put(root, change, pieces)
                except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
                    problem = f"{change.path}: something that is not collected is in its way"
                    raise MergeRefusedError(plan_id=plan_id, problems=(problem,)) from error

    def _put(self, root: int, change: FileChange, pieces: Iterable[bytes]) -> None:
        self._make_directory(root, posixpath.dirname(change.path))
        if self._shows_directory(root, change.path):
            raise IsADirectoryError(change.path)
        with parent_of(root, change.path) as (parent, name):
            temporary = f".cleveragents-{os.urandom(8).hex()}"
            try:
                put_file(parent, temporary, change.mode or "", pieces, owner=self.owner)
                os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=parent)

    def _shows_directory(self, root: int, path: str) -> bool:
        found = stat_beneath(root, path)
        if found is not None:
            return stat.S_ISDIR(found.st_mode)
        return self._kind_below(path) == "directory"

    def _make_directory(self, root: int, directory: str) -> None:
        if not directory:
            return
        self._make_directory(root, posixpath.dirname(directory))
        with parent_of(root, directory) as (parent, name):
            found = stat_beneath(parent, name)
            was_gone = found is not None and is_whiteout(found)
            if found is not None and not was_gone:
                if not stat.S_ISDIR(found.st_mode):
                    raise NotADirectoryError(directory)
                return
            below = self._kind_below(directory)
            if found is None and below not in (None, "directory"):
                raise NotADirectoryError(directory)
            if was_gone:
                os.unlink(name, dir_fd=parent)
            os.mkdir(name, DIRECTORY_MODE, dir_fd=parent)
            set_mode(parent, name, DIRECTORY_MODE, kind=stat.S_IFDIR)
            give(parent, name, self.owner)
            if was_gone:
                make_opaque(parent, name)

    def _kind_below(self, path: str) -> str | None:
        """What shows at a path where ``upper`` says nothing, its parents included."""
        return kind_in_stack((self.target, *self.lower), path) if self.lower else None

    def _delete(self, root: int, path: str) -> None:
        found = stat_beneath(root, path)
        if found is not None:
            if stat.S_ISDIR(found.st_mode) or is_whiteout(found):
                return
            with parent_of(root, path) as (parent, name):
                os.unlink(name, dir_fd=parent)
        self._hide_below(root, path)

    def _hide_below(self, root: int, path: str) -> None:
        if self._kind_below(path) is None:
            return
        self._make_directory(root, posixpath.dirname(path))
        with parent_of(root, path) as (parent, name):
            put_whiteout(parent, name)
            give(parent, name, self.owner)

    def _delete_if_empty(self, root: int, directory: str) -> None:
        found = stat_beneath(root, directory)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            return
        if found is None and self._kind_below(directory) != "directory":
            return
        if names_in_stack((self.target, *self.lower), directory):
            return
        if found is not None:
            with parent_of(root, directory) as (parent, name):
                remove_tree(parent, name)
        self._hide_below(root, directory)


def _parents(paths: Iterable[str]) -> Iterator[str]:
    """Give the directories above paths, the deepest first."""
    found = set()
    for path in paths:
        directory = posixpath.dirname(path)
        while directory:
            found.add(directory)
            directory = posixpath.dirname(directory)
    yield from sorted(found, key=lambda one: (-one.count("/"), one))
