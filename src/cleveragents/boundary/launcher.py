"""Starts cells behind the wall, and nothing when the wall cannot be built.

Everything that all cells of a process stand on (the binary, the user, the
runtime) is found once; every single cell reports the checks made inside it
before anything is said to it.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.boundary import bubblewrap, guest_runtime, orphan, seccomp, trial
from cleveragents.boundary.beneath_host import write_all
from cleveragents.boundary.canary import Canary
from cleveragents.boundary.cell import Cell
from cleveragents.boundary.cell_port import take_port
from cleveragents.boundary.channel import Channel, ChannelError
from cleveragents.boundary.footing import Footing, find_footing
from cleveragents.boundary.granted_path import check_included
from cleveragents.boundary.greeting import WallError, greet, own_tool_data
from cleveragents.boundary.layout import CELL_ROOT_FIX, make_cell_root
from cleveragents.boundary.live_mount import plan_live
from cleveragents.boundary.live_owner import OwnerMap
from cleveragents.boundary.live_owner import find_footing as find_live
from cleveragents.boundary.mount_plan import plan_mounts
from cleveragents.boundary.program_cell import ProgramCell
from cleveragents.boundary.program_channel import ProgramChannel
from cleveragents.boundary.server_cell import ServerCell, ServerOrder
from cleveragents.boundary.spawner import SPAWNER, NotDeadError, Process, Program, Spawner, ask
from cleveragents.boundary.uid_drop import CellUser, Passage, choose_user, passage_of
from cleveragents.boundary.warm_cell import WarmCell
from cleveragents.boundary.wiring import wired
from cleveragents.boundary.workspace_watch import WorkspaceWatch
from cleveragents.errors import ConfigurationError, IsolationUnavailableError

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from cleveragents.boundary.bubblewrap import Bubblewrap
    from cleveragents.boundary.cell_spec import CellSpec, LiveMount
    from cleveragents.boundary.live_owner import LiveFooting
    from cleveragents.boundary.mount_plan import MountPlan
    from cleveragents.boundary.report import IsolationReport


@dataclass(frozen=True, slots=True)
class Ground:
    """What all cells of this process are started with."""

    binary: Bubblewrap
    binary_path: Path
    """By a name that the cell's user can pass."""
    filter: bytes
    footing: Footing
    canary: Canary


@dataclass(frozen=True, slots=True)
class Started:
    """A cell that was started and has not been listened to yet."""

    process: Process
    channel: Channel
    spec: CellSpec
    program: ProgramChannel | None
    """The program actor's own channel."""
    network: socket.socket | None = None
    """Where the guest hands over its listening socket; ``None``: the cell has no network."""
    streams: tuple[int, ...] = ()
    """A server's output and input; empty: the cell is none's."""


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
        self._user: CellUser | None = None
        self._ground: Ground | None = None
        self._passage: Passage | None = None
        self._report: IsolationReport | None = None
        self._owners: OwnerMap | None = None
        self._live: dict[tuple[tuple[Path, bool], ...], LiveFooting] = {}
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
        with self._lock:
            if self._ground is None:
                self._ground = self._find_ground()
            return self._ground

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
        _, listener = self._greeted(started)
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
            end=lambda: _discard(started),
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
            if self._ground is not None:
                orphan.sweep(self._cell_root)
                self._ground.canary.close()
            self._ground = None

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
                user=self._user,
                is_root=os.geteuid() == 0,
                namespace=self._passage is not None and self._passage.is_open,
            ),
        )

    def _find_ground(self) -> Ground:
        code = seccomp.filter_bytes(os.uname().machine)
        if code is None:
            raise IsolationUnavailableError(
                problem=f"there is no system call filter for {os.uname().machine}",
                fix="run on x86_64 or aarch64",
            )
        is_root = os.geteuid() == 0
        self._user = choose_user(is_root=is_root)
        binary = bubblewrap.discover(lambda path: ask([str(path), "--version"]), is_root=is_root)
        self._make_root()
        orphan.sweep(self._cell_root)
        runtime = guest_runtime.prepare(self._cell_root / "runtime", user=self._user)
        passage = passage_of(self._user, self._cell_root / "passage")
        footing = self._spawner.run(lambda: find_footing(passage.reach, runtime=runtime))
        self._passage = passage
        return Ground(
            binary=binary,
            binary_path=self._spawner.run(lambda: passage.reach(binary.path)),
            filter=code,
            footing=footing,
            canary=Canary(self._cell_root),
        )

    def _make_root(self) -> None:
        try:
            problem = make_cell_root(self._cell_root)
            if problem:
                raise IsolationUnavailableError(problem=problem, fix=CELL_ROOT_FIX)
            (self._cell_root / "passage").mkdir(mode=0o711, exist_ok=True)
        except OSError as error:
            raise IsolationUnavailableError(
                problem=f"{self._cell_root} cannot be made: {error.strerror}",
                fix="make it writable, or set CLEVERAGENTS_HOME to a directory that is",
            ) from error

    def _spawn(self, spec: CellSpec, *, is_server: bool = False) -> Started:
        ground = self.ground()
        own_tools = own_tool_data(spec)
        mounts, user = self._mounted(spec)
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
        self.ground()
        key = tuple((mount.directory, mount.is_writable) for mount in mounts)
        with self._lock:
            if key not in self._live:
                self._live[key] = self._find_live(mounts)
            return self._live[key]

    def _find_live(self, mounts: Sequence[LiveMount]) -> LiveFooting:
        user, passage = self._user, self._passage
        if user is None or passage is None:
            return find_live(mounts, None, lambda mount: mount.directory)
        if self._owners is None:
            self._owners = OwnerMap(self._spawner, passage, user)
        found = find_live(mounts, user, self._owners.place)
        if found.way != "foreign":
            return found
        sources = {one: self._spawner.run(partial(passage.reach, one)) for one in found.sources}
        return replace(found, sources=sources)

    def _mounted(self, spec: CellSpec) -> tuple[MountPlan, CellUser | None]:
        """Give the mounts of a cell's workspace, and who the cell is."""
        if not spec.live:
            mounts = plan_mounts(self._reachable(spec), user=self._user)
            return self._beside(spec, mounts), self._user
        found = self.live_footing(spec.live)
        mounts = plan_live(spec, found, binds=self.ground().footing.binds)
        return self._beside(spec, mounts), found.user

    def _beside(self, spec: CellSpec, mounts: MountPlan) -> MountPlan:
        """Add what a server runs on; beneath the workspace, which may lie in the midst of it."""
        passage = self._passage
        if not spec.runtime or passage is None:
            return mounts
        sources = self._spawner.run(
            lambda: [(str(passage.reach(Path(path))), path) for path in spec.runtime]
        )
        binds = [part for source, path in sources for part in ("--ro-bind", source, path)]
        return replace(mounts, arguments=(*binds, *mounts.arguments))

    def _reachable(self, spec: CellSpec) -> CellSpec:
        """Give included paths names that the cell's user can pass, as Python's may need."""
        passage = self._passage
        if not spec.included or passage is None:
            return spec
        for host, inside in spec.included:
            check_included(host, inside)
        included = self._spawner.run(
            lambda: tuple(
                (str(passage.reach(Path(host))), inside) for host, inside in spec.included
            )
        )
        return replace(spec, included=included)

    def _listen(self, started: Started) -> Cell:
        """Give a cell whose wall stands, watched."""
        spec = started.spec
        landlock, listener = self._greeted(started)
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

    def _greeted(self, started: Started) -> tuple[int, socket.socket | None]:
        """Hear the hello, believe it only when every check held, and configure the guest.

        Returns:
            The Landlock version, and the listening socket of a cell with a network.
        """
        spec = started.spec
        try:
            landlock = greet(started.channel, spec, own_tools=bubblewrap.own_tools_inside(spec))
            listener = None if started.network is None else take_port(started.network)
        except (WallError, ChannelError) as error:
            raise _failure(started, str(error)) from error
        return landlock, listener


def _failure(started: Started, problem: str) -> IsolationUnavailableError:
    """End a cell that did not start, and say why and what mends it."""
    _discard(started)
    said = " ".join(started.process.err.text().split())
    return IsolationUnavailableError(
        problem=f"the cell did not start: {said or problem}", fix=bubblewrap.fix_for(said)
    )


def _discard(started: Started) -> None:
    started.process.kill()
    started.channel.close()
    if started.program is not None:
        started.program.close()
    if started.network is not None:
        started.network.close()
    for descriptor in started.streams:
        os.close(descriptor)
    try:
        started.process.wait_dead()
    except NotDeadError as error:
        raise IsolationUnavailableError(
            problem="a cell that did not start does not end either",
            fix="the kernel is in trouble; restart the machine",
        ) from error
