"""Which directories does the operator serve live, what in them is hidden, what stays as it is?

Looked at once before any cell runs, and for what is secret before each cell:
files come and go. No link is followed.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.cell_spec import LiveMount
from cleveragents.boundary.layer_stack import look_up
from cleveragents.errors import ConfigurationError
from cleveragents.terms.resource import WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cleveragents.boundary.leave_out import LeaveOutRules

MAX_MASKED: Final = 1000
"""Secret paths of one directory; each is a mount, and too many make a cell slow to start."""
GUARDED: Final = (".git/hooks", ".git/config")
"""What git runs, or takes commands from, on the host's side later."""
_RESERVED: Final = (
    "/usr",
    "/etc",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/proc",
    "/dev",
    "/sys",
    "/tmp",  # noqa: S108  # the cell's own
    "/guest",
    "/guest-tools",
)
"""Places of the cell's own: a directory that holds one of them cannot lie over it."""
_KERNEL: Final = ("/proc", "/dev", "/sys")
GIT: Final = ".git"


def named_directory(named: Path, *, is_writable: bool) -> LiveMount:
    """Look at a directory that the operator named; what is secret in it is not looked for yet.

    Once, before any cell of it runs: where a name leads, and what stays
    read-only, is not for a cell that writes there to say.

    Args:
        named: The directory.
        is_writable: The operator says that it may be written to.

    Raises:
        ConfigurationError: It is no directory, or cannot be mounted in a cell.
    """
    name = Path(os.path.normpath(Path.cwd() / named.expanduser()))
    real = Path(os.path.realpath(name))
    if not real.is_dir():
        raise ConfigurationError(problem=f"{named} is no directory", where="--workspace")
    for place in {real, name}:
        _check_place(place)
    return LiveMount(directory=real, name=name, is_writable=is_writable, guarded=_guarded(real))


def looked_through(mount: LiveMount, rules: LeaveOutRules) -> LiveMount:
    """Find what in a directory is hidden, as it is now.

    Raises:
        ConfigurationError: It holds more secret files than a cell can hide, or
            is reached by a link since it was named.
    """
    real = os.path.realpath(mount.directory)
    if real != str(mount.directory):
        raise ConfigurationError(
            problem=f"{mount.directory} leads to {real} by now, and is not served any more",
            where="--workspace",
            hint="put it back, and start the gateway anew",
        )
    return replace(mount, masked=find_secrets(mount.directory, rules))


def _guarded(directory: Path) -> tuple[str, ...]:
    if look_up((directory,), GIT).kind == "file":
        # A linked worktree's: it says where git's hooks and configuration are.
        return (GIT,)
    return tuple(path for path in GUARDED if look_up((directory,), path).kind != "absent")


def _check_place(place: Path) -> None:
    text = str(place)
    covers = any(Path(one).is_relative_to(place) for one in _RESERVED)
    beneath_workspace = text.startswith(f"{WORKSPACE}/")
    if covers or beneath_workspace or any(place.is_relative_to(one) for one in _KERNEL):
        raise ConfigurationError(
            problem=f"{text} cannot be mounted in a cell: it holds, or lies in, a place that"
            " every cell has for itself",
            where="--workspace",
            hint="name a directory below it",
        )


def find_secrets(directory: Path, rules: LeaveOutRules) -> tuple[str, ...]:
    """List the secret paths beneath a directory, as it is now; links are not followed.

    Raises:
        ConfigurationError: There are more than a cell can hide.
    """
    found: list[str] = []
    waiting = [""]
    while waiting:
        above = waiting.pop()
        for name, is_directory in _entries(directory / above):
            path = above + name
            if rules.is_secret(path, is_directory=is_directory) and not rules.is_shown(path):
                found.append(f"{path}/" if is_directory else path)
            elif is_directory and name != GIT:
                waiting.append(f"{path}/")
        if len(found) > MAX_MASKED:
            raise ConfigurationError(
                problem=f"{directory} holds more than {MAX_MASKED} files that look secret,"
                " too many to hide one by one",
                where="--workspace",
                hint="name a directory below it",
            )
    return tuple(sorted(found))


def _entries(directory: Path) -> list[tuple[str, bool]]:
    try:
        with os.scandir(directory) as entries:
            return [
                (entry.name, entry.is_dir(follow_symlinks=False))
                for entry in entries
                if not entry.is_symlink()
            ]
    except OSError:
        # What the host cannot list no cell of it can.
        return []


def marks_of(mounts: Sequence[LiveMount]) -> tuple[tuple[int, int], ...]:
    """Say which files the mounts of hidden and guarded paths lie on, by device and number.

    Who replaces such a file on the host takes the mount away with the old
    one, in a living cell too: a cell is only as good as these are the same.
    """
    return tuple(
        _mark(mount.directory / path)
        for mount in mounts
        for path in (*mount.masked, *mount.guarded)
    )


def _mark(path: Path) -> tuple[int, int]:
    try:
        facts = path.lstat()
    except OSError:
        return (0, 0)
    return (facts.st_dev, facts.st_ino)
