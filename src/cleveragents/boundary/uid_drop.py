"""Which other user is a cell of root's, and how does that user reach the runtime?

bubblewrap run by uid 0 leaves ``/proc/sys`` writable, so root's cells run as
a uid that is nobody's. That uid cannot pass into root's home, where Python
may live: the spawner thread then takes a mount namespace of its own and binds
what the cell needs to passable places. Those mounts are seen by nobody else
and end with the thread.
"""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from cleveragents.errors import IsolationUnavailableError

CELL_IDS: Final = range(65520, 65534)
"""Numbers that neither distributions nor systemd hand out, below "nobody"."""
_CLONE_NEWNS: Final = 0x00020000
_MS_NOSUID: Final = 2
_MS_NODEV: Final = 4
_MS_BIND: Final = 4096
_MS_REC: Final = 16384
_MS_SLAVE: Final = 1 << 19

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class CellUser:
    """Who a cell is, and who owns its slots and base trees."""

    uid: int
    gid: int


def choose_user(*, is_root: bool) -> CellUser | None:
    """Choose the user for cells; ``None`` when the host's own user stays.

    Raises:
        IsolationUnavailableError: Every candidate belongs to somebody.
    """
    if not is_root:
        return None
    for number in CELL_IDS:
        if not _is_user(number) and not _is_group(number):
            return CellUser(number, number)
    raise IsolationUnavailableError(
        problem="every uid kept for cells belongs to somebody",
        fix=f"free one of {CELL_IDS.start} to {CELL_IDS.stop - 1}, or run as an ordinary user",
    )


def _is_user(number: int) -> bool:
    try:
        pwd.getpwuid(number)
    except KeyError:
        return False
    return True


def _is_group(number: int) -> bool:
    try:
        grp.getgrgid(number)
    except KeyError:
        return False
    return True


def is_passable(path: Path, user: CellUser) -> bool:
    """Say whether a user can go down to a path and read it, by owner, group and mode."""
    real = Path(os.path.realpath(path))
    if not all(_admits(parent, user, need=stat.S_IXOTH) for parent in real.parents):
        return False
    need = stat.S_IROTH | (stat.S_IXOTH if real.is_dir() else 0)
    return _admits(real, user, need=need)


def _admits(path: Path, user: CellUser, *, need: int) -> bool:
    status = path.stat()
    if status.st_uid == user.uid:
        need <<= 6
    elif status.st_gid == user.gid:
        need <<= 3
    return status.st_mode & need == need


class Passage:
    """Gives passable names to impassable paths. Lives on the spawner thread only.

    Args:
        user: Who has to pass; ``None``: the host's own user, everything passes.
        directory: An empty, passable directory of the host, the mount's place.
    """

    def __init__(self, user: CellUser | None, directory: Path) -> None:
        self._user = user
        self._directory = directory
        self.is_open = False
        """Whether a mount namespace of our own was needed."""
        self._names: dict[Path, Path] = {}

    def reach(self, path: Path) -> Path:
        """Give a name for a path by which the cell's user can reach it.

        Raises:
            IsolationUnavailableError: It cannot pass and nothing can be mounted.
        """
        if self._user is None or is_passable(path, self._user):
            return path
        for known, name in self._names.items():
            if path.is_relative_to(known):
                return name / path.relative_to(known)
        try:
            self._open()
            name = self._bind(path)
        except OSError as error:
            raise IsolationUnavailableError(
                problem=f"the cell's uid {self._user.uid} cannot pass to {path}"
                f" and no mount can be made: {error.strerror}",
                fix="give the process CAP_SYS_ADMIN, move Python out of that directory,"
                " or run as an ordinary user",
            ) from error
        self._names[path] = name
        return name

    def make_place(self, name: str) -> Path:
        """Make a directory among the private mounts, for something to be mounted on.

        Raises:
            OSError: No mount namespace of our own can be had.
        """
        self._open()
        place = self._directory / name
        place.mkdir(mode=0o755)
        return place

    def _open(self) -> None:
        if self.is_open:
            return
        _check(_libc.unshare(_CLONE_NEWNS))
        # What the host mounts later still arrives; nothing of ours goes back.
        _mount(None, "/", None, _MS_REC | _MS_SLAVE)
        _mount("tmpfs", str(self._directory), "tmpfs", _MS_NOSUID | _MS_NODEV, b"mode=0711")
        self.is_open = True

    def _bind(self, path: Path) -> Path:
        name = self._directory / str(len(self._names))
        if path.is_dir():
            name.mkdir(mode=0o755)
        else:
            name.touch(mode=0o644)
        _mount(str(path), str(name), None, _MS_BIND)
        return name


@cache
def passage_of(user: CellUser | None, directory: Path) -> Passage:
    """Give the one passage of a host process for a user and a place."""
    return Passage(user, directory)


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, data: bytes | None = None
) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    _check(_libc.mount(*encoded, ctypes.c_ulong(flags), data))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
