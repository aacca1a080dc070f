"""How does a cell see the operator's own directories, live, and no more of them than it may?

The gateway's exception to "a cell never sees the user's directory": the
operator names directories, and they are mounted as they are. The first one is
the workspace, and each one is also at its own path, so that configurations
with absolute paths work. Read-only unless both the profile and the operator
admit writing; secret files are hidden, and what would run code on the host
later (git's hooks and configuration, the Python that runs this program) stays
read-only. Nothing is ever made in a directory to mount on.

No link is followed: a granted path that leads through one is refused.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.boundary.granted_path import covers, inside_path, minimal
from cleveragents.boundary.layer_stack import look_up
from cleveragents.boundary.live_directory import GIT
from cleveragents.boundary.mount_plan import MountPlan
from cleveragents.errors import ConfigurationError
from cleveragents.terms.resource import WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cleveragents.boundary.cell_spec import CellSpec, LiveMount
    from cleveragents.boundary.live_owner import LiveFooting


def plan_live(
    spec: CellSpec, footing: LiveFooting, *, binds: Sequence[tuple[str, str]]
) -> MountPlan:
    """Derive the mounts of a cell over live directories.

    Args:
        spec: Its read and write paths hold in each directory alike.
        footing: Where the directories are reached.
        binds: What else the cell stands on, host path and path inside: such a
            place in a live directory stays as it is for every cell, read-only.

    Raises:
        ConfigurationError: A granted path is a link, or cannot be written to
            where it should be.
    """
    arguments: list[str] = []
    writable: list[str] = []
    for mount, target in _targets(spec.live):
        planner = _Planner(spec, mount, footing.sources[mount.directory], target)
        plan = planner.plan(binds)
        arguments += plan.arguments
        writable += plan.writable
    return MountPlan(tuple(arguments), tuple(writable))


def _targets(mounts: Sequence[LiveMount]) -> list[tuple[LiveMount, str]]:
    """Every place that a directory is mounted at, an outer one before what lies in it."""
    places = {WORKSPACE: mounts[0]}
    for mount in mounts:
        places.setdefault(str(mount.directory), mount)
        places.setdefault(str(mount.name), mount)
    return [(places[place], place) for place in sorted(places, key=lambda one: one.count("/"))]


@dataclass(slots=True)
class _Planner:
    """One directory at one place."""

    spec: CellSpec
    mount: LiveMount
    source: Path
    target: str

    def plan(self, binds: Sequence[tuple[str, str]]) -> MountPlan:
        is_whole = any(inside_path(entry) == "." for entry in self.spec.read)
        # Beneath /usr the place would else show what the system's mount shows.
        arguments = [] if is_whole else ["--tmpfs", self.target]
        for entry in minimal(self.spec.read):
            if self._kind(entry) != "absent":
                arguments += ["--ro-bind", *self._ends(inside_path(entry))]
        writable = [self._writable(entry) for entry in minimal(self._write)]
        for path in writable:
            arguments += ["--bind", *self._ends(path)]
        arguments += self._kept(binds)
        for path in self.mount.masked:
            if self._is_shown(path):
                arguments += self._mask(path)
        if not is_whole:
            arguments += ["--remount-ro", self.target]
        return MountPlan(tuple(arguments), tuple(self._in_cell(path) for path in writable))

    @property
    def _write(self) -> tuple[str, ...]:
        return self.spec.write if self.mount.is_writable else ()

    def _kept(self, binds: Sequence[tuple[str, str]]) -> list[str]:
        """What stays read-only in a writable directory, and as every cell has it."""
        arguments: list[str] = []
        if self.mount.guarded and self._is_shown(GIT) and _is_within(GIT, self._write):
            for path in (GIT, *self.mount.guarded):
                self._check_no_link(path)
            # A mount of its own cannot be moved away, with another put in its place.
            arguments += ["--bind", *self._ends(GIT)]
            for path in self.mount.guarded:
                if self._is_shown(path):
                    arguments += ["--ro-bind", *self._ends(path)]
        for source, place in binds:
            inside = self._relative(place)
            if inside and self._is_shown(inside):
                arguments += ["--ro-bind", source, self._in_cell(inside)]
        return arguments

    def _check_no_link(self, path: str) -> None:
        # INVARIANT: bubblewrap resolves what it mounts on the host. A cell that may write could
        # make a link here, and the next cell would be shown, writable, wherever it leads.
        if look_up((self.mount.directory,), path).kind == "other":
            raise ConfigurationError(
                problem=f"{path!r} is or leads through a link, and cannot be kept as it is",
                where=str(self.mount.directory),
                hint="put what it leads to in its place, or serve the directory read-only",
            )

    def _kind(self, entry: str) -> str:
        path = inside_path(entry)
        found = look_up((self.mount.directory,), path).kind
        if found == "other":
            raise ConfigurationError(
                problem=f"the granted path {path!r} is or leads through a link",
                where=str(self.mount.directory),
                hint="name the real path",
            )
        wanted = "directory" if entry.endswith("/") or path == "." else "file"
        return found if found == wanted else "absent"

    def _writable(self, entry: str) -> str:
        path = inside_path(entry)
        if path != "." and not entry.endswith("/"):
            raise ConfigurationError(
                problem=f"the single file {path!r} cannot be made writable in a live directory:"
                " files are replaced, and that takes their directory",
                where=str(self.mount.directory),
                hint=f"let the profile write the directory, {path.rpartition('/')[0] or '.'}/",
            )
        if self._kind(entry) == "absent":
            raise ConfigurationError(
                problem=f"the writable directory {path!r} does not exist",
                where=str(self.mount.directory),
                hint="make it first",
            )
        return path

    def _mask(self, path: str) -> list[str]:
        place = self._in_cell(path.removesuffix("/"))
        if path.endswith("/"):
            return ["--tmpfs", place, "--remount-ro", place]
        return ["--ro-bind", "/dev/null", place]

    def _is_shown(self, path: str) -> bool:
        """Say whether a path is there, in something that is mounted.

        INVARIANT: nothing is mounted on what is not there: bubblewrap would make it, in the
        operator's directory.
        """
        plain = path.removesuffix("/")
        if not os.path.lexists(self.mount.directory / plain):
            return False
        return _is_within(plain, (*self.spec.read, *self.spec.write))

    def _relative(self, place: str) -> str:
        """A place of the cell as a path beneath this directory; empty when it is not."""
        path = Path(place)
        if not path.is_relative_to(self.mount.directory):
            return ""
        return str(path.relative_to(self.mount.directory))

    def _ends(self, path: str) -> tuple[str, str]:
        source = self.source if path == "." else self.source / path
        return str(source), self._in_cell(path)

    def _in_cell(self, path: str) -> str:
        return self.target if path == "." else f"{self.target}/{path}"


def _is_within(path: str, entries: Iterable[str]) -> bool:
    """Say whether a path is, or lies in, what a list of granted paths names."""
    return any(covers(inside_path(entry), path) for entry in entries)
