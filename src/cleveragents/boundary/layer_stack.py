"""What does a stack of directories show at a path, when it is laid over one another?

The same answer as the kernel's overlay gives, worked out on the host before
anything is mounted, and without following a single link.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cleveragents.boundary.uid_drop import CellUser

_OPAQUE: Final = "user.overlay.opaque"

Kind = Literal["absent", "directory", "file", "other"]


@dataclass(frozen=True, slots=True)
class Found:
    """What a stack of layers shows at a path."""

    kind: Kind
    sources: tuple[Path, ...] = ()
    """Host paths, the topmost first; several only for a directory."""


def look_up(layers: Sequence[Path], path: str) -> Found:
    """Say what a stack of layers shows at a workspace path, without following any link.

    Args:
        layers: The topmost first. A whiteout (character device 0/0) or an
            opaque directory hides what is below it.
        path: Relative, normalised; ``.`` is the root.
    """
    here: list[Path] = list(layers)
    parts = [] if path == "." else path.split("/")
    for index, part in enumerate(parts):
        found = _step(here, part)
        if found.kind != "directory":
            is_last = index == len(parts) - 1
            return found if is_last or found.kind == "absent" else Found("other")
        here = list(found.sources)
    return Found("directory", tuple(here))


def _step(directories: Sequence[Path], name: str) -> Found:
    below: list[Path] = []
    for directory in directories:
        path = directory / name
        try:
            status = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISDIR(status.st_mode):
            below.append(path)
            if _is_opaque(path):
                break
            continue
        is_whiteout = stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
        if below or is_whiteout:
            break
        return Found("file" if stat.S_ISREG(status.st_mode) else "other", (path,))
    return Found("directory", tuple(below)) if below else Found("absent")


def _is_opaque(path: Path) -> bool:
    try:
        return os.getxattr(path, _OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def make_directory(root: Path, path: str, user: CellUser | None) -> Path:
    """Make a directory and those above it beneath a root, following no link.

    Raises:
        OSError: A part of it is no directory.
    """
    os.close(_walk(root, path, user))
    return root if path == "." else root / path


def make_file(root: Path, path: str, user: CellUser | None) -> None:
    """Make an empty file beneath a root, and the directories above it.

    Raises:
        OSError: A part of it is no directory.
    """
    parent, _, name = path.rpartition("/")
    here = _walk(root, parent or ".", user)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(name, flags, 0o644, dir_fd=here))
    finally:
        os.close(here)


def _walk(root: Path, path: str, user: CellUser | None) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    here = os.open(root, flags)
    try:
        for part in [] if path == "." else path.split("/"):
            try:
                os.mkdir(part, 0o755, dir_fd=here)
                is_new = True
            except FileExistsError:
                is_new = False
            below = os.open(part, flags, dir_fd=here)
            os.close(here)
            here = below
            if is_new and user is not None:
                os.fchown(here, user.uid, user.gid)
    except OSError:
        os.close(here)
        raise
    return here


def names_in(directories: Iterable[Path]) -> list[str]:
    """List the names in any of several directories."""
    return sorted({entry.name for path in directories for entry in os.scandir(path)})
