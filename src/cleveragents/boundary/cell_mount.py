"""What does a cell see of the host, and as whom? Its mounts, by names that its user can pass."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.boundary.granted_path import check_included
from cleveragents.boundary.live_mount import plan_live
from cleveragents.boundary.live_owner import OwnerMap, find_footing
from cleveragents.boundary.mount_plan import plan_mounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cleveragents.boundary.cell_spec import CellSpec, LiveMount
    from cleveragents.boundary.ground import Ground
    from cleveragents.boundary.live_owner import LiveFooting
    from cleveragents.boundary.mount_plan import MountPlan
    from cleveragents.boundary.spawner import Spawner
    from cleveragents.boundary.uid_drop import CellUser


class CellMounts:
    """Plans the mounts of all cells of a process. Thread-safe.

    Args:
        ground: What they stand on.
        spawner: In whose mount namespace the names are made.
    """

    def __init__(self, ground: Ground, spawner: Spawner) -> None:
        self._ground = ground
        self._spawner = spawner
        self._lock = threading.Lock()
        self._owners: OwnerMap | None = None
        self._live: dict[tuple[tuple[Path, bool], ...], LiveFooting] = {}

    def of(self, spec: CellSpec) -> tuple[MountPlan, CellUser | None]:
        """Give the mounts of a cell's workspace, and who the cell is.

        Raises:
            ConfigurationError: The spec asks for what cannot be mounted.
        """
        if not spec.live:
            user = self._ground.user
            mounts = plan_mounts(self._reachable(spec), user=user)
            return self._beside(spec, mounts), user
        found = self.live_footing(spec.live)
        mounts = plan_live(spec, found, binds=self._ground.footing.binds)
        return self._beside(spec, mounts), found.user

    def live_footing(self, mounts: Sequence[LiveMount]) -> LiveFooting:
        """Say how the operator's directories are mounted live, and as whom; found once.

        Raises:
            ConfigurationError: One is to be written to, and nobody could.
        """
        key = tuple((mount.directory, mount.is_writable) for mount in mounts)
        with self._lock:
            if key not in self._live:
                self._live[key] = self._find_live(mounts)
            return self._live[key]

    def _find_live(self, mounts: Sequence[LiveMount]) -> LiveFooting:
        user, passage = self._ground.user, self._ground.passage
        if user is None:
            return find_footing(mounts, None, lambda mount: mount.directory)
        if self._owners is None:
            self._owners = OwnerMap(self._spawner, passage, user)
        found = find_footing(mounts, user, self._owners.place)
        if found.way != "foreign":
            return found
        sources = {one: self._spawner.run(partial(passage.reach, one)) for one in found.sources}
        return replace(found, sources=sources)

    def _beside(self, spec: CellSpec, mounts: MountPlan) -> MountPlan:
        """Add what a server runs on; beneath the workspace, which may lie in the midst of it."""
        if not spec.runtime:
            return mounts
        reach = self._ground.passage.reach
        sources = self._spawner.run(
            lambda: [(str(reach(Path(path))), path) for path in spec.runtime]
        )
        binds = [part for source, path in sources for part in ("--ro-bind", source, path)]
        return replace(mounts, arguments=(*binds, *mounts.arguments))

    def _reachable(self, spec: CellSpec) -> CellSpec:
        """Give included paths names that the cell's user can pass, as Python's may need."""
        if not spec.included:
            return spec
        for host, inside in spec.included:
            check_included(host, inside)
        reach = self._ground.passage.reach
        included = self._spawner.run(
            lambda: tuple((str(reach(Path(host))), inside) for host, inside in spec.included)
        )
        return replace(spec, included=included)
