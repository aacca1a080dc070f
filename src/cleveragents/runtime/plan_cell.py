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
from cleveragents.tools.catalog import PREPARED_TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.boundary.cell import Cell, CellLauncher
    from cleveragents.boundary.cell_spec import CellSpec
    from cleveragents.boundary.program_cell import ProgramCell
    from cleveragents.boundary.workspace import Workspaces
    from cleveragents.boundary.workspace_slot import Slot
    from cleveragents.runtime.call_context import PreparedEffect
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
        self._cell: Cell | None = None
        self._program: ProgramCell | None = None
        self._is_ended = False
        self._lock = threading.RLock()

    @property
    def slot(self) -> Slot:
        """The workspace as it is now."""
        return self._slot

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
        return self._open().call(tool, arguments, timeout_s=timeout_s)

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
            if self._slot.kind == "overlay":
                self.close()
            self._workspaces.receive(self._slot, changes)

    def end_now(self) -> None:
        """End the cell under whatever runs in it, for good; called by the watch."""
        # No lock: the call under way holds it, and this is what ends that call.
        self._is_ended = True
        cell = self._cell
        if cell is not None:
            cell.kill()

    def close(self) -> None:
        """End the cell and wait until its process tree is dead."""
        with self._lock:
            cell, self._cell = self._cell, None
            program, self._program = self._program, None
            if program is not None:
                program.close()
            elif cell is not None:
                cell.close()

    def _spec(self) -> CellSpec:
        spec = self._spec_of(self._slot)
        if not spec.write and self._slot.kind == "overlay" and not is_empty(self._slot.upper):
            # What children brought lies in the upper layer, which a cell that may not write
            # does not look through.
            self._slot = self._workspaces.freeze(self._slot)
            spec = self._spec_of(self._slot)
        return spec

    def _open(self) -> Cell:
        with self._lock:
            if self._program is not None:
                # A program's tools live and die with it; a second cell would be another plan.
                return self._program.tools
            if self._cell is not None and not self._cell.alive:
                self._cell.close()
                self._cell = None
            if self._cell is None:
                self._cell = self._launcher.start(self._spec())
                if self._is_ended:
                    self._cell.kill()
            return self._cell
