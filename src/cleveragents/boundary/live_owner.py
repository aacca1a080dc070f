"""Who is a cell over the operator's own directories, and how does it reach them?

Root's cells run as a uid that is nobody's, which owns nothing there. The
kernel exchanges owners where it can; else the cell runs as the directories'
owner; else nothing is written.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cleveragents.boundary.id_map import exchanged, mount_exchanged, open_namespace
from cleveragents.boundary.uid_drop import CellUser
from cleveragents.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from cleveragents.boundary.cell_spec import LiveMount
    from cleveragents.boundary.spawner import Spawner
    from cleveragents.boundary.uid_drop import Passage

Way = Literal["own", "mapped", "owner", "foreign"]
"""``own``: the host's user is the cell's. ``mapped``: the owner's files are the cell's, by the
kernel. ``owner``: the cell runs as the owner. ``foreign``: read-only, as anybody may read."""


@dataclass(frozen=True, slots=True)
class LiveFooting:
    """How the live directories of a cell are reached."""

    way: Way
    sources: Mapping[Path, Path]
    """The host path to mount for each directory."""
    user: CellUser | None
    """Who the cell is."""
    problem: str = ""
    """Why owners could not be mapped; empty when there was no need or it worked."""


def find_footing(
    mounts: Sequence[LiveMount], cell: CellUser | None, map_owner: Callable[[LiveMount], Path]
) -> LiveFooting:
    """Decide who the cell is and how it reaches the directories.

    Args:
        mounts: The directories.
        cell: Root's cells' own user; ``None``: the host's user is the cell's.
        map_owner: Mounts a directory with its owner's files as the cell's and
            gives the place; OSError where the kernel cannot.

    Raises:
        ConfigurationError: One is to be written to, and nobody could.
    """
    directories = [mount.directory for mount in mounts]
    as_they_are = {one: one for one in directories}
    if cell is None:
        for mount in mounts:
            if mount.is_writable and not os.access(mount.directory, os.W_OK):
                raise _read_only(mount, "you may not write there")
        return LiveFooting("own", as_they_are, None)
    try:
        mapped = {mount.directory: map_owner(mount) for mount in mounts}
    except OSError as error:
        problem = f"owners cannot be mapped: {(error.strerror or str(error)).lower()}"
    else:
        return LiveFooting("mapped", mapped, cell)
    owners = {_owner(one) for one in directories}
    if len(owners) == 1 and (owner := owners.pop()).uid != 0:
        return LiveFooting("owner", as_they_are, owner, problem)
    for mount in mounts:
        if mount.is_writable:
            raise _read_only(
                mount, f"{problem}, and a cell runs neither as root nor as several users"
            )
    return LiveFooting("foreign", as_they_are, cell, problem)


def _owner(directory: Path) -> CellUser:
    facts = directory.stat()
    return CellUser(facts.st_uid, facts.st_gid)


def _read_only(mount: LiveMount, reason: str) -> ConfigurationError:
    return ConfigurationError(
        problem=f"{mount.directory} cannot be mounted for writing: {reason}",
        where="--rw",
        hint="serve it read-only, or as its owner",
    )


class OwnerMap:
    """Mounts directories with exchanged owners, each once, for cells of one user.

    Args:
        spawner: Its thread holds the private mount namespace.
        passage: Where the mounts are; made on that thread.
        cell: Whose the files are to be.
    """

    def __init__(self, spawner: Spawner, passage: Passage, cell: CellUser) -> None:
        self._spawner = spawner
        self._passage = passage
        self._cell = cell
        self._places: dict[Path, Path] = {}

    def place(self, mount: LiveMount) -> Path:
        """Give the place where a directory is mounted as the cell's own.

        Raises:
            OSError: The kernel, the file system or the host's rights do not allow it.
        """
        found = self._places.get(mount.directory)
        if found is None:
            found = self._mount(mount.directory)
            self._places[mount.directory] = found
        return found

    def _mount(self, directory: Path) -> Path:
        owner = _owner(directory)
        namespace = open_namespace(
            self._spawner,
            uids=exchanged(owner.uid, self._cell.uid),
            gids=exchanged(owner.gid, self._cell.gid),
        )

        def attach() -> Path:
            target = self._passage.make_place(f"live-{len(self._places)}")
            mount_exchanged(directory, target, namespace)
            return target

        try:
            return self._spawner.run(attach)
        finally:
            os.close(namespace)
