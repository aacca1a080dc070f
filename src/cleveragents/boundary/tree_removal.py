"""How is a tree removed that somebody else made as awkward as it could be?

Directories without permissions, and nested deeper than a stack, a path or the
table of open files reaches. Nothing is followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.beneath_host import allow_owner, open_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEVELS: Final = 100
"""How far down a tree is entered before what is deeper is moved up."""


def remove_tree(parent: int, name: str) -> None:
    """Remove a file or a whole directory by its parent's descriptor, following nothing.

    Copes with directories that a guest, or the kernel's overlay, left without
    permission bits, and with any depth. Absent is fine.
    """
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        os.unlink(name, dir_fd=parent)
        return
    if not _remove_empty(parent, name):
        with _entered(parent, name, found) as top:
            _Emptying(top).run()
        os.rmdir(name, dir_fd=parent)


class _Emptying:
    """Empties a directory that may be nested deeper than a stack, a path or open files reach.

    What lies too deep is moved up to the top and removed from there.
    """

    def __init__(self, top: int) -> None:
        self._top = top
        self._moved = 0

    def run(self) -> None:
        while names := _names(self._top):
            for name in names:
                self._remove(self._top, name, _LEVELS)

    def _remove(self, parent: int, name: str, levels: int) -> None:
        try:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(name, dir_fd=parent)
        elif _remove_empty(parent, name):
            return
        elif levels == 0:
            # A directory that moves is written to: it has another parent then.
            allow_owner(parent, name, found)
            self._move_up(parent, name)
        else:
            with _entered(parent, name, found) as descriptor:
                for inner in _names(descriptor):
                    self._remove(descriptor, inner, levels - 1)
            os.rmdir(name, dir_fd=parent)

    def _move_up(self, parent: int, name: str) -> None:
        while True:
            self._moved += 1
            try:
                os.rename(name, f"deep-{self._moved}", src_dir_fd=parent, dst_dir_fd=self._top)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
            else:
                return


def _names(descriptor: int) -> list[str]:
    with os.scandir(descriptor) as entries:
        return [entry.name for entry in entries]


def _remove_empty(parent: int, name: str) -> bool:
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


@contextlib.contextmanager
def _entered(parent: int, name: str, found: os.stat_result) -> Iterator[int]:
    descriptor = open_directory(parent, name, found)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
