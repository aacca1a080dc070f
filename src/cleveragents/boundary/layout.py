"""How does a tree of blobs become a directory that a cell can start from?

Written once, whole or not at all, and never again: other trees and living
overlays share its files by hard links.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.beneath_host import opened, set_mode, write_all
from cleveragents.boundary.git_answer import EXECUTABLE, LINK
from cleveragents.boundary.tree_removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cleveragents.boundary.git import Git
    from cleveragents.boundary.git_answer import TreeEntry

DIRECTORY_MODE = 0o755
Owner = tuple[int, int]
"""uid and gid of the cells, where the host is root."""


def lay_out(
    git: Git,
    entries: Iterable[TreeEntry],
    target: Path,
    *,
    owner: Owner | None,
    earlier: Path | None = None,
    shared: Mapping[str, TreeEntry] | None = None,
) -> None:
    """Fill an empty directory with the files of a tree.

    Args:
        git: Where the blobs are.
        entries: Every file of the tree.
        target: An empty directory.
        owner: Who owns what is made; ``None`` for the caller.
        earlier: A directory laid out before.
        shared: Files of ``earlier`` by path; an equal entry becomes a hard link to it.

    Raises:
        OSError: The disk is full, or the directory cannot be written.
        RecordError: A blob is missing.
    """
    known = shared or {}
    wanted: dict[str, list[TreeEntry]] = {}
    directories: set[str] = set()
    with opened(target) as root:
        for entry in entries:
            _make_parents(root, posixpath.dirname(entry.path), directories, owner)
            other = known.get(entry.path)
            is_same = other is not None and (other.mode, other.blob) == (entry.mode, entry.blob)
            if earlier is None or not is_same or not _link(earlier, root, entry.path):
                wanted.setdefault(entry.blob, []).append(entry)
        for stream in git.stream_blobs(wanted):
            first, *others = wanted[stream.blob]
            pieces = list(stream.pieces()) if others else stream.pieces()
            for entry in (first, *others):
                put_file(root, entry.path, entry.mode, pieces, owner=owner)


def _link(earlier: Path, root: int, path: str) -> bool:
    # A file system has a limit of links to one file; then the file is written anew.
    with contextlib.suppress(OSError):
        os.link(f"{earlier}/{path}", path, dst_dir_fd=root, follow_symlinks=False)
        return True
    return False


def _make_parents(root: int, directory: str, made: set[str], owner: Owner | None) -> None:
    if not directory or directory in made:
        return
    _make_parents(root, posixpath.dirname(directory), made, owner)
    with contextlib.suppress(FileExistsError):
        os.mkdir(directory, 0o755, dir_fd=root)
        # The umask may have taken bits that the cell's uid needs.
        set_mode(root, directory, DIRECTORY_MODE, kind=stat.S_IFDIR)
        give(root, directory, owner)
    made.add(directory)


def give(parent: int, name: str, owner: Owner | None) -> None:
    """Hand a new file or directory to the cell's uid."""
    if owner is not None:
        os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)


def put_file(
    root: int, path: str, mode: str, pieces: Iterable[bytes], *, owner: Owner | None
) -> None:
    """Make one new file or link in a directory that only the host can write.

    Raises:
        OSError: It exists, or cannot be written.
    """
    if mode == LINK:
        os.symlink(b"".join(pieces), os.fsencode(path), dir_fd=root)
        give(root, path, owner)
        return
    descriptor = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600,
        dir_fd=root,
    )  # fmt: skip
    try:
        for piece in pieces:
            write_all(descriptor, piece)
        if owner is not None:
            os.fchown(descriptor, *owner)
        os.fchmod(descriptor, 0o755 if mode == EXECUTABLE else 0o644)
    finally:
        os.close(descriptor)


CELL_ROOT_FIX: Final = (
    "set CLEVERAGENTS_CELL_ROOT to a directory that is yours and that only you can write"
)


def make_cell_root(place: Path) -> str:
    """Make the directory that everything of the cells lies in; one that is there is not changed.

    Returns:
        Why one that is there cannot be trusted; empty when it can. Whoever may write it
        could put links in the place of what is made there.

    Raises:
        OSError: It cannot be made, or something else has the name.
    """
    try:
        place.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        facts = place.stat()
        if not stat.S_ISDIR(facts.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), place) from None
        if {facts.st_uid, place.lstat().st_uid} != {os.geteuid()}:
            return f"the cell root {place} belongs to another user"
        if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return f"others can write the cell root {place}"
    else:
        # The cell's uid passes through; the other users see no names.
        place.chmod(0o711)
    return ""


def make_directory(place: Path, *, mode: int, owner: Owner | None) -> None:
    """Make one directory with exactly this mode, for the cell's uid; its parent exists."""
    place.mkdir(mode=0o700)
    if owner is not None:
        os.chown(place, *owner)
    place.chmod(mode)


def make_passage(place: Path, owner: Owner | None) -> None:
    """Make a directory that the host and the cell's uid pass and nobody else; existing is fine.

    What lies below has the modes that a guest shall see in its workspace, so
    the other users of the machine are kept out here.
    """
    place.mkdir(mode=0o700, exist_ok=True)
    if owner is not None:
        os.chown(place, -1, owner[1])
        place.chmod(0o710)


def remove_directory(place: Path) -> None:
    """Remove a directory of the host's own with everything in it; absent is fine."""
    with contextlib.suppress(FileNotFoundError), opened(place.parent) as parent:
        remove_tree(parent, place.name)
