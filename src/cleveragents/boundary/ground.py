"""What do all cells of a process stand on? The binary, the user, the runtime: found once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cleveragents.boundary import bubblewrap, guest_runtime, orphan, seccomp
from cleveragents.boundary.canary import Canary
from cleveragents.boundary.footing import Footing, find_footing
from cleveragents.boundary.layout import CELL_ROOT_FIX, make_cell_root
from cleveragents.boundary.spawner import Spawner, ask
from cleveragents.boundary.uid_drop import CellUser, Passage, choose_user, passage_of
from cleveragents.errors import IsolationUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from cleveragents.boundary.bubblewrap import Bubblewrap


@dataclass(frozen=True, slots=True)
class Ground:
    """What all cells of this process are started with."""

    binary: Bubblewrap
    binary_path: Path
    """By a name that the cell's user can pass."""
    filter: bytes
    footing: Footing
    canary: Canary
    user: CellUser | None
    """Whom the cells run as; ``None``: the host's own user."""
    passage: Passage
    """Gives the cell's user names that it can pass."""


def find_ground(cell_root: Path, spawner: Spawner) -> Ground:
    """Find it, and make what is to be made.

    Args:
        cell_root: A directory of the host for the guest's runtime.
        spawner: Who starts the processes.

    Raises:
        IsolationUnavailableError: Something of it is missing.
    """
    code = seccomp.filter_bytes(os.uname().machine)
    if code is None:
        raise IsolationUnavailableError(
            problem=f"there is no system call filter for {os.uname().machine}",
            fix="run on x86_64 or aarch64",
        )
    is_root = os.geteuid() == 0
    user = choose_user(is_root=is_root)
    binary = bubblewrap.discover(lambda path: ask([str(path), "--version"]), is_root=is_root)
    _make_root(cell_root)
    orphan.sweep(cell_root)
    runtime = guest_runtime.prepare(cell_root / "runtime", user=user)
    passage = passage_of(user, cell_root / "passage")
    return Ground(
        binary=binary,
        binary_path=spawner.run(lambda: passage.reach(binary.path)),
        filter=code,
        footing=spawner.run(lambda: find_footing(passage.reach, runtime=runtime)),
        canary=Canary(cell_root),
        user=user,
        passage=passage,
    )


def _make_root(cell_root: Path) -> None:
    try:
        problem = make_cell_root(cell_root)
        if problem:
            raise IsolationUnavailableError(problem=problem, fix=CELL_ROOT_FIX)
        (cell_root / "passage").mkdir(mode=0o711, exist_ok=True)
    except OSError as error:
        raise IsolationUnavailableError(
            problem=f"{cell_root} cannot be made: {error.strerror}",
            fix="make it writable, or set CLEVERAGENTS_HOME to a directory that is",
        ) from error
