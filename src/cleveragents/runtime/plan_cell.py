"""The hands of one plan: its warm cell over its workspace, started again when it ended.

One confined process per plan and grant. It is started at the first call, kept
for the next ones, and closed before its workspace is collected, restored or
written to by the host.
"""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING, Final, cast

from cleveragents.boundary.tree_copy import is_empty
from cleveragents.policy.connection import Caller
from cleveragents.tools.catalog import PREPARED_TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.boundary.cell import Cell, CellLauncher
    from cleveragents.boundary.cell_spec import CellSpec
    from cleveragents.boundary.program_cell import ProgramCell
    from cleveragents.boundary.warm_cell import WarmCell
    from cleveragents.boundary.workspace import Workspaces
    from cleveragents.boundary.workspace_slot import Slot
    from cleveragents.runtime.call_context import PreparedEffect
    from cleveragents.runtime.cell_proxy import CellNetwork, CellProxy
    from cleveragents.runtime.tool_server import ToolServers
    from cleveragents.terms.proposal import FileChange

DIGEST_FILES: Final = "digest_files"
"""A body that no catalogue names: only the host asks for it."""
DIGEST_TIMEOUT_S: Final = 60.0


class PlanCell:
    """One plan's cell and workspace; implements the door's ``Hands``.

    Args:
        launcher: Starts cells.
        workspaces: Keeps and restores the workspace's change.
        slot: The plan's workspace.
        spec_of: Mounts, limits and tools over a slot, derived from profile and grant.
    """

    def __init__(
        self,
        *,
        launcher: CellLauncher,
        workspaces: Workspaces,
        slot: Slot,
        spec_of: Callable[[Slot], CellSpec],
    ) -> None:
        self._launcher = launcher
        self._workspaces = workspaces
        self._slot = slot
        self._spec_of = spec_of
        self._network: CellNetwork | None = None
        self._proxy: CellProxy | None = None
        self._cell: Cell | None = None
        self._program: ProgramCell | None = None
        self._is_ended = False
        self.program_log = ""
        """What the program printed that was started last; whole once its cell is closed."""
        self._lock = threading.RLock()
        self._servers: ToolServers | None = None
        self._tree = ""
        self._warm: WarmCell | None = None

    @property
    def guard(self) -> threading.RLock:
        """Held while the workspace is mounted or let go."""
        return self._lock

    def attend(self, servers: ToolServers) -> None:
        """End these servers whenever the cell is ended: they are over the same workspace."""
        self._servers = servers

    def reach(self, network: CellNetwork) -> None:
        """Give the cells that are started from now on a port of the host's proxy."""
        self._network = network

    def spec(self) -> CellSpec:
        """Mounts and limits of a further cell over the workspace as it is now."""
        with self._lock:
            return self._spec()

    @property
    def slot(self) -> Slot:
        """The workspace as it is now."""
        return self._slot

    @property
    def known_tree(self) -> str:
        """The tree of the workspace as it is now; empty: it has to be collected."""
        with self._lock:
            return self._tree

    def remember_tree(self, tree: str) -> None:
        """Take a word for what the workspace holds, until a cell of it starts.

        INVARIANT: nothing but a cell and ``receive`` changes a workspace. So it is not taken
        while there is one, and forgotten before there is another one.
        """
        with self._lock:
            around = (self._cell, self._warm, self._program, self._servers)
            self._tree = tree if all(one is None for one in around) else ""

    def warm(self) -> None:
        """Start the cell now for the first call of a plan that is about to begin.

        Raises:
            IsolationUnavailableError: There is no wall.
        """
        with self._lock:
            if self._cell is None and self._warm is None:
                self._warm = self._launcher.warm(self._tool_spec())

    def start_program(self, command: tuple[str, ...]) -> ProgramCell:
        """Start a program actor; the door's calls for it run beside it, over the same mounts.

        Raises:
            IsolationUnavailableError: There is no wall, and a foreign program
                never runs without one.
        """
        with self._lock:
            self.close()
            program = self._launcher.start_program(
                dataclasses.replace(self._spec(), command=command)
            )
            self._cell = program.tools
            self._program = program
            self._proxy = self._open_port(program.tools, Caller())
            if self._is_ended:
                program.kill()
            return program

    def call(
        self, tool: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> Mapping[str, object]:
        """Run a body in the cell.

        Raises:
            ToolFailedError: The body failed, or the cell ended under it.
        """
        cell = self._open()
        proxy = self._proxy
        if proxy is None:
            return cell.call(tool, arguments, timeout_s=timeout_s)
        with proxy.during(tool):
            return cell.call(tool, arguments, timeout_s=timeout_s)

    def prepare(
        self, tool: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> PreparedEffect:
        """Work out what a file tool is going to change, changing nothing."""
        return self._open().prepare(tool, arguments, timeout_s=timeout_s)

    def commit(self, *, timeout_s: float) -> Mapping[str, object]:
        """Do what was prepared last."""
        return self._open().commit(timeout_s=timeout_s)

    def is_prepared(self, tool: str) -> bool:
        """Say whether the tool works by prepare and commit."""
        return tool in PREPARED_TOOLS

    def digests(self, paths: tuple[str, ...]) -> Mapping[str, str | None]:
        """Digest of each path as it is now; ``None`` when absent."""
        found = self._open().call(DIGEST_FILES, {"paths": list(paths)}, timeout_s=DIGEST_TIMEOUT_S)
        return cast("Mapping[str, str | None]", found["digests"])

    def checkpoint(self, call_id: str) -> None:
        """Keep the workspace's change so that ``restore`` can bring it back."""
        self._workspaces.checkpoint(self._slot, call_id)

    def restore(self, call_id: str) -> bool:
        """Bring the workspace back to the checkpoint; False when there is none."""
        with self._lock:
            self.close()
            self._tree = ""
            restored = self._workspaces.restore(self._slot, call_id)
            if restored is None:
                return False
            self._slot = restored
            return True

    def freeze(self) -> Slot:
        """Give a workspace that nobody writes any more, for a child to start from.

        The cell goes on over a fresh layer; it is ended first when there is
        something to freeze, since nobody may change a mounted layer.
        """
        with self._lock:
            if self._slot.kind == "overlay" and not is_empty(self._slot.upper):
                self.close()
                self._slot = self._workspaces.freeze(self._slot)
            return self._slot

    def receive(self, changes: tuple[FileChange, ...]) -> None:
        """Write what a merge gave into the workspace.

        A cell over an overlay is ended first: nobody may change a mounted layer.
        """
        with self._lock:
            self._tree = ""
            if self._slot.kind == "overlay":
                self.close()
            elif self._servers is not None:
                self._servers.pause()
            self._workspaces.receive(self._slot, changes)

    def end_now(self) -> None:
        """End the cell under whatever runs in it, for good; called by the watch."""
        # No lock: the call under way holds it, and this is what ends that call.
        self._is_ended = True
        cell = self._cell
        if cell is not None:
            cell.kill()
        if self._servers is not None:
            self._servers.end_now()

    def close(self) -> None:
        """End the cell and wait until its process tree is dead."""
        with self._lock:
            cell, self._cell = self._cell, None
            program, self._program = self._program, None
            proxy, self._proxy = self._proxy, None
            warm, self._warm = self._warm, None
            if warm is not None:
                warm.close()
            if program is not None:
                program.close()
                self.program_log = program.log
            elif cell is not None:
                cell.close()
            if proxy is not None:
                # After the cell: what its processes had open has ended by itself.
                proxy.close()
            if self._servers is not None:
                self._servers.close()

    def _open_port(self, cell: Cell, resident: Caller | None = None) -> CellProxy | None:
        listener = cell.take_listener()
        if listener is None or self._network is None:
            return None
        return self._network.open(listener, resident)

    def _spec(self) -> CellSpec:
        self._tree = ""
        spec = self._spec_of(self._slot)
        if not spec.write and self._slot.kind == "overlay" and not is_empty(self._slot.upper):
            # What children brought lies in the upper layer, which a cell that may not write
            # does not look through.
            self._slot = self._workspaces.freeze(self._slot)
            spec = self._spec_of(self._slot)
        return dataclasses.replace(spec, network=self._network is not None)

    def _tool_spec(self) -> CellSpec:
        spec = self._spec()
        if self._network is not None and not self._network.tools:
            # Nothing that may run in it may reach a host: that is for others beside it.
            return dataclasses.replace(spec, network=False)
        return spec

    def _started(self, spec: CellSpec) -> Cell:
        warm, self._warm = self._warm, None
        cell = None if warm is None else warm.take(spec.digest())
        return cell or self._launcher.start(spec)

    def _open(self) -> Cell:
        with self._lock:
            if self._program is not None:
                # A program's tools live and die with it; a second cell would be another plan.
                return self._program.tools
            if self._cell is not None and not self._is_good(self._cell):
                self._cell.close()
                self._cell = None
                if self._proxy is not None:
                    self._proxy.close()
            if self._cell is None:
                self._cell = self._started(self._tool_spec())
                self._proxy = self._open_port(self._cell)
                if self._is_ended:
                    self._cell.kill()
            return self._cell

    def _is_good(self, cell: Cell) -> bool:
        return cell.alive and (self._proxy is None or not self._proxy.is_spent)
