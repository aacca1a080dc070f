"""Starts cells behind the wall, and nothing when the wall cannot be built.

Everything that all cells of a process stand on (the binary, the user, the
runtime) is found once; every single cell reports the checks made inside it
before anything is said to it.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from cleveragents.boundary import bubblewrap, orphan, trial
from cleveragents.boundary.beneath_host import write_all
from cleveragents.boundary.cell import Cell
from cleveragents.boundary.cell_mount import CellMounts
from cleveragents.boundary.channel import Channel
from cleveragents.boundary.greeting import own_tool_data
from cleveragents.boundary.ground import Ground, find_ground
from cleveragents.boundary.program_cell import ProgramCell
from cleveragents.boundary.program_channel import ProgramChannel
from cleveragents.boundary.server_cell import ServerCell, ServerOrder
from cleveragents.boundary.spawner import SPAWNER, Program, Spawner
from cleveragents.boundary.started_cell import Started
from cleveragents.boundary.uid_drop import choose_user
from cleveragents.boundary.warm_cell import WarmCell
from cleveragents.boundary.wiring import wired
from cleveragents.boundary.workspace_watch import WorkspaceWatch
from cleveragents.errors import ConfigurationError, IsolationUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cleveragents.boundary.cell_spec import CellSpec, LiveMount
    from cleveragents.boundary.live_owner import LiveFooting
    from cleveragents.boundary.report import IsolationReport


class BubblewrapLauncher:
    """Tier A. Thread-safe.

    Args:
        cell_root: A directory of the host for the guest's runtime and the
            trials, on the file system of the workspaces; for root it must be
            passable by everybody.
        spawner: Who starts the processes; one for a host process.
    """

    def __init__(self, cell_root: Path, *, spawner: Spawner = SPAWNER) -> None:
        self._cell_root = cell_root
        self._spawner = spawner
        self._lock = threading.RLock()
        self._found: tuple[Ground, CellMounts] | None = None
        self._report: IsolationReport | None = None
        self._waiting: set[WarmCell] = set()
        self._watch = WorkspaceWatch()

    @property
    def owner(self) -> tuple[int, int] | None:
        """Uid and gid that slots and base trees must belong to; ``None``: the host's own.

        Raises:
            IsolationUnavailableError: Root finds no uid that is nobody's.
        """
        user = choose_user(is_root=os.geteuid() == 0)
        return None if user is None else (user.uid, user.gid)

    @property
    def isolation(self) -> IsolationReport:
        """The wall, found by building it once; never raises."""
        with self._lock:
            if self._report is None:
                self._report = self._try_out()
            return self._report

    def ground(self) -> Ground:
        """Find what all cells stand on, once.

        Raises:
            IsolationUnavailableError: Something of it is missing.
        """
        return self._standing()[0]

    def _standing(self) -> tuple[Ground, CellMounts]:
        with self._lock:
            if self._found is None:
                ground = find_ground(self._cell_root, self._spawner)
                self._found = ground, CellMounts(ground, self._spawner)
            return self._found

    def start(self, spec: CellSpec) -> Cell:
        """Give a cell that has said hello; see ``CellLauncher``."""
        if spec.command:
            raise ConfigurationError(problem="a tool cell has no command")
        return self._listen(self._spawn(spec))

    def start_program(self, spec: CellSpec) -> ProgramCell:
        """Start a program actor's command in a cell that has said hello.

        Raises:
            IsolationUnavailableError: As ``start``.
            ConfigurationError: The spec has no command, or cannot be mounted.
        """
        if not spec.command:
            raise ConfigurationError(problem="a program actor's cell needs a command")
        started = self._spawn(spec)
        cell = self._listen(started)
        if started.program is None:  # cannot be: a command has a channel
            raise ConfigurationError(problem="the program has no channel")
        return ProgramCell(cell, started.program, started.process)

    def start_server(self, spec: CellSpec, order: ServerOrder) -> ServerCell:
        """Start a server in a cell that has said hello.

        Args:
            spec: Mounts and limits; without a command.
            order: What becomes of the cell's first process.

        Raises:
            IsolationUnavailableError: As ``start``.
            ConfigurationError: The spec cannot be mounted, or the order is too large.
        """
        frame = order.frame()
        started = self._spawn(spec, is_server=True)
        _, listener = started.greeted()
        reading, writing = started.streams
        cell = ServerCell(
            started.process,
            started.channel,
            spec,
            reading=reading,
            writing=writing,
            listener=listener,
            on_end=self._watch.forget,
        )
        try:
            write_all(writing, frame)
        except OSError as error:
            cell.close()
            raise IsolationUnavailableError(
                problem="the server's cell ended before its order was read",
                fix="'agents doctor' says which layer is missing",
            ) from error
        if not spec.live:
            self._watch.add(cell)
        return cell

    def warm(self, spec: CellSpec) -> WarmCell:
        """Start a cell in advance; see ``CellLauncher``."""
        if spec.command:
            raise ConfigurationError(problem="a program is started when its plan begins")
        started = self._spawn(spec)
        warm = WarmCell(
            spec.digest(),
            is_alive=lambda: started.process.is_alive,
            listen=lambda: self._listen(started),
            end=started.discard,
            forget=self._waiting.discard,
        )
        self._waiting.add(warm)
        return warm

    def close(self) -> None:
        """End what nobody took, and the watch; cells in use stay their plans'."""
        for warm in tuple(self._waiting):
            warm.close()
        self._watch.close()
        with self._lock:
            if self._found is not None:
                orphan.sweep(self._cell_root)
                self._found[0].canary.close()
            self._found = None

    def _try_out(self) -> IsolationReport:
        try:
            ground = self.ground()
        except IsolationUnavailableError as error:
            return trial.failed(error)
        return trial.try_out(
            self.start,
            self._cell_root / "trial",
            facts=trial.Facts(
                bubblewrap=ground.binary.text,
                has_overlay=ground.binary.has_overlay,
                user=ground.user,
                is_root=os.geteuid() == 0,
                namespace=ground.passage.is_open,
            ),
        )

    def _spawn(self, spec: CellSpec, *, is_server: bool = False) -> Started:
        ground, mounts_of = self._standing()
        own_tools = own_tool_data(spec)
        mounts, user = mounts_of.of(spec)
        with wired(
            code=ground.filter,
            own_tools=own_tools,
            has_program=bool(spec.command),
            has_network=spec.network,
            has_streams=is_server,
        ) as wiring:
            line = bubblewrap.command_line(
                binary=ground.binary_path,
                spec=spec,
                ground=ground.footing,
                mounts=mounts,
                descriptors=wiring.inherited,
                canary=ground.canary.names,
            )
            process = self._spawner.start(
                Program(
                    line=line,
                    descriptors=wiring.inherited.all,
                    user=user,
                    keep_output=spec.limits.output_bytes,
                    status=wiring.status,
                )
            )
        return Started(
            process=process,
            channel=Channel(wiring.channel, quota=spec.limits.channel_bytes),
            spec=spec,
            program=None if wiring.program is None else ProgramChannel(wiring.program),
            network=wiring.network,
            streams=wiring.streams,
        )

    def live_footing(self, mounts: Sequence[LiveMount]) -> LiveFooting:
        """Say how the operator's directories are mounted live, and as whom; found once.

        Raises:
            ConfigurationError: One is to be written to, and nobody could.
            IsolationUnavailableError: The wall cannot be built.
        """
        return self._standing()[1].live_footing(mounts)

    def _listen(self, started: Started) -> Cell:
        """Give a cell whose wall stands, watched."""
        spec = started.spec
        landlock, listener = started.greeted()
        cell = Cell(
            started.process,
            started.channel,
            spec,
            landlock=landlock,
            listener=listener,
            on_end=self._watch.forget,
        )
        if not spec.live:
            # How large the operator's own directory is, is not the cell's doing.
            self._watch.add(cell)
        return cell
