"""Which mounts make a workspace in which only the granted paths can be seen and written?

The whole tree is one mount. Narrower grants become mounts of their own: a
readable path is mounted alone; a writable directory is an overlay (or a bind)
of its own; a writable file makes its directory writable, because a file is
replaced by rename, and everything else that is in that directory is mounted
read-only over it. What no mount can say, such as a new name beside a granted
file, is left to the rules by which the change is collected.

No link is followed: a granted path that leads through one is refused.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.granted_path import covers, in_cell, inside_path, minimal
from cleveragents.boundary.layer_stack import look_up, make_directory, make_file, names_in
from cleveragents.errors import ConfigurationError
from cleveragents.terms.resource import WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cleveragents.boundary.cell_spec import CellSpec
    from cleveragents.boundary.layer_stack import Kind
    from cleveragents.boundary.uid_drop import CellUser

MAX_SIBLINGS: Final = 256
"""Of a granted file; in a fuller directory the others are left to the collection rules."""


@dataclass(frozen=True, slots=True)
class MountPlan:
    """Arguments for bubblewrap, and what Landlock leaves writable."""

    arguments: tuple[str, ...]
    writable: tuple[str, ...]
    """Paths in the cell."""


@dataclass(slots=True)
class _Item:
    """One mount to be made, at a workspace path."""

    path: str
    is_writable: bool
    is_alone: bool = False
    """Nothing of the layers may be seen in it, only what is written to it."""


@dataclass(slots=True)
class _Planner:
    spec: CellSpec
    user: CellUser | None
    root: str = WORKSPACE
    """Where the workspace is mounted in the cell."""
    items: dict[str, _Item] = field(default_factory=dict)
    points: dict[str, bool] = field(default_factory=dict)
    """Paths that must exist to be mounted on, and whether they are files."""
    arguments: list[str] = field(default_factory=list)

    def plan(self) -> MountPlan:
        for entry in minimal(self.spec.read):
            self._grant_read(entry)
        for entry in minimal(self.spec.write):
            self._grant_write(entry)
        included = {inside_path(path): source for source, path in self.spec.included}
        ordered = sorted(self.items.values(), key=lambda i: (i.path != ".", i.path.count("/")))
        for item in ordered:
            self._add_points(item.path, is_file=False)
        for path, source in included.items():
            self._add_points(path, is_file=Path(source).is_file())
        if "." not in self.items:
            self.arguments += ["--dir", self.root]
        for item in ordered:
            self._mount(item)
        for path, source in included.items():
            self.arguments += ["--ro-bind", source, self._inside(path)]
        writable = tuple(self._inside(i.path) for i in ordered if i.is_writable)
        return MountPlan(tuple(self.arguments), writable)

    def _inside(self, path: str) -> str:
        return in_cell(path).replace(WORKSPACE, self.root, 1)

    # What is granted

    def _grant_read(self, entry: str) -> None:
        path = inside_path(entry)
        found = look_up(self._base(), path)
        wanted: Kind = "directory" if entry.endswith("/") or path == "." else "file"
        if found.kind == "other":
            raise _link(path)
        if found.kind == wanted:
            self.items[path] = _Item(path, is_writable=False)

    def _grant_write(self, entry: str) -> None:
        path = inside_path(entry)
        found = look_up(self._seen(), path)
        if found.kind == "other":
            raise _link(path)
        if path == "." or entry.endswith("/"):
            if found.kind == "file":
                raise ConfigurationError(
                    problem=f"the writable path {entry!r} is a file, not a directory"
                )
            self.items[path] = _Item(path, is_writable=True)
        elif found.kind != "directory":
            self._open_directory_of(path)

    def _open_directory_of(self, path: str) -> None:
        """Make a file's directory writable and everything else in it read-only."""
        parent = path.rpartition("/")[0] or "."
        if self._is_beneath_writable(parent):
            return
        self._grant_parent(parent)
        if self.items[parent].is_alone and self.spec.workspace.kind == "overlay":
            return
        granted = {inside_path(entry) for entry in self.spec.write}
        siblings = names_in(look_up(self._base(), parent).sources)
        if len(siblings) > MAX_SIBLINGS:
            return
        for name in siblings:
            sibling = name if parent == "." else f"{parent}/{name}"
            if sibling not in granted and sibling not in self.items:
                self.items[sibling] = _Item(
                    sibling, is_writable=False, is_alone=self.items[parent].is_alone
                )

    def _grant_parent(self, parent: str) -> None:
        if look_up(self._seen(), parent).kind == "other":
            raise _link(parent)
        is_visible = any(
            covers(item.path, parent) for item in self.items.values() if not item.is_alone
        )
        self.items[parent] = _Item(parent, is_writable=True, is_alone=not is_visible)

    def _is_beneath_writable(self, path: str) -> bool:
        whole = [inside_path(entry) for entry in self.spec.write if entry.endswith("/")]
        return any(covers(directory, path) for directory in whole)

    # Where it lies on the host

    def _base(self) -> tuple[Path, ...]:
        return self.spec.workspace.layers

    def _seen(self) -> tuple[Path, ...]:
        mount = self.spec.workspace
        # What an earlier cell of the same plan has changed lies on top.
        return mount.layers if mount.upper is None else (mount.upper, *mount.layers)

    def _add_points(self, path: str, *, is_file: bool) -> None:
        parts = path.split("/") if path != "." else []
        for count in range(1, len(parts)):
            self.points["/".join(parts[:count])] = False
        if parts:
            self.points[path] = is_file

    def _make_points(self, root: Path, path: str) -> bool:
        """Make the points beneath a path that the layers lack; say whether there were any."""
        missing = [
            point
            for point in sorted(self.points)
            if point != path
            and covers(path, point)
            and look_up(self._base(), point).kind == "absent"
        ]
        for point in missing:
            (make_file if self.points[point] else make_directory)(root, point, self.user)
        return bool(missing)

    def _mount(self, item: _Item) -> None:
        match self.spec.workspace.kind:
            case "overlay":
                self._mount_overlay(item)
            case _:
                self._mount_plain(item)

    def _mount_plain(self, item: _Item) -> None:
        found = look_up(self._seen(), item.path)
        target = self._inside(item.path)
        if item.is_alone and not item.is_writable:
            # A sibling that was not granted: its name shows, nothing else.
            if found.kind == "directory":
                self.arguments += ["--tmpfs", target, "--remount-ro", target]
            elif found.kind == "file":
                self.arguments += ["--ro-bind", "/dev/null", target]
            return
        tree = self.spec.workspace.layers[-1]
        if item.is_writable and found.kind == "absent":
            source = make_directory(tree, item.path, self.user)
        elif found.kind in {"absent", "other"}:
            return
        else:
            source = found.sources[0]
        if len(found.sources) > 1:
            self._overlay_read_only(item.path, found.sources)
            return
        if self.spec.workspace.kind == "copy":
            self._make_points(tree, item.path)
        self.arguments += ["--bind" if item.is_writable else "--ro-bind", str(source), target]

    def _mount_overlay(self, item: _Item) -> None:
        mount = self.spec.workspace
        target = self._inside(item.path)
        if not item.is_writable:
            # Never the upper layer: it is being written to by the mounts beside this one.
            found = look_up(self._base(), item.path)
            if found.kind == "file":
                self.arguments += ["--ro-bind", str(found.sources[0]), target]
            elif found.kind == "directory":
                self._overlay_read_only(item.path, found.sources)
            return
        if mount.upper is None or mount.work is None:  # the spec's own check has passed
            raise ConfigurationError(problem="an overlay lacks its writable directories")
        upper = make_directory(mount.upper, item.path, self.user)
        lower = () if item.is_alone else look_up(mount.lower, item.path).sources
        sources = (*lower, *self._skeleton(item.path))
        if not sources:
            self.arguments += ["--bind", str(upper), target]
            return
        name = hashlib.sha256(item.path.encode()).hexdigest()[:16]
        work = make_directory(mount.work, name, self.user)
        self.arguments += [*_overlay_sources(sources), "--overlay", str(upper), str(work), target]

    def _overlay_read_only(self, path: str, sources: tuple[Path, ...]) -> None:
        stack = (*sources, *self._skeleton(path))
        if len(stack) == 1:
            self.arguments += ["--ro-bind", str(stack[0]), self._inside(path)]
        else:
            self.arguments += [*_overlay_sources(stack), "--ro-overlay", self._inside(path)]

    def _skeleton(self, path: str) -> tuple[Path, ...]:
        """Give a bottom layer with the mount points that the layers lack, if any does."""
        work = self.spec.workspace.work
        if work is None:
            return ()
        skeleton = make_directory(work, "skeleton", self.user)
        if not self._make_points(skeleton, path):
            return ()
        return (skeleton if path == "." else skeleton / path,)


def plan_mounts(spec: CellSpec, *, user: CellUser | None) -> MountPlan:
    """Derive the mounts of a cell's workspace, making the directories they need.

    Called while no cell of this workspace lives. Directories are made in the
    plan's own ``upper``, ``work`` or ``tree``, and belong to ``user``.

    Raises:
        ConfigurationError: A granted path is a link or leads through one, or
            is said to be a directory and is a file; or the second place of
            the workspace is one where nothing can be mounted.
    """
    plan = _Planner(spec=spec, user=user).plan()
    if not spec.alias or spec.alias == WORKSPACE:
        return plan
    if spec.workspace.kind == "overlay" or covers(WORKSPACE, spec.alias):
        # The kernel forbids two overlays over one upper layer.
        raise ConfigurationError(
            problem=f"the workspace cannot be shown at {spec.alias!r} too",
            hint=f"work in a directory that is not beneath {WORKSPACE}",
        )
    second = _Planner(spec=spec, user=user, root=spec.alias).plan()
    return MountPlan((*plan.arguments, *second.arguments), (*plan.writable, *second.writable))


def _overlay_sources(stack: Sequence[Path]) -> list[str]:
    return [part for path in reversed(stack) for part in ("--overlay-src", str(path))]


def _link(path: str) -> ConfigurationError:
    return ConfigurationError(
        problem=f"the granted path {path!r} is or leads through a link", hint="name the real path"
    )
