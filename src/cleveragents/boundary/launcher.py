"""Starts cells behind the wall, and nothing when the wall cannot be built.

Everything that all cells of a process stand on (the binary, the user, the
runtime) is found once; every single cell reports the checks made inside it
before anything is said to it.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.boundary import bubblewrap, guest_runtime, seccomp, trial
from cleveragents.boundary.canary import Canary
from cleveragents.boundary.cell import Cell
from cleveragents.boundary.channel import Channel, ChannelError
from cleveragents.boundary.footing import Footing, find_footing
from cleveragents.boundary.granted_path import check_included
from cleveragents.boundary.greeting import WallError, greet, own_tool_data
from cleveragents.boundary.layout import CELL_ROOT_FIX, make_cell_root
from cleveragents.boundary.mount_plan import plan_mounts
from cleveragents.boundary.program_cell import ProgramCell
from cleveragents.boundary.program_channel import ProgramChannel
from cleveragents.boundary.slot import SlotPool
from cleveragents.boundary.spawner import SPAWNER, NotDeadError, Process, Program, Spawner, ask
from cleveragents.boundary.uid_drop import CellUser, Passage, choose_user, passage_of
from cleveragents.boundary.wiring import wired
from cleveragents.boundary.workspace_watch import WorkspaceWatch
from cleveragents.errors import ConfigurationError, IsolationUnavailableError

if TYPE_CHECKING:
    from cleveragents.boundary.bubblewrap import Bubblewrap
    from cleveragents.boundary.cell_spec import CellSpec
    from cleveragents.boundary.report import IsolationReport

WARM_CELLS: Final = 8


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
        self._slots: SlotPool[Started] = SlotPool(size=WARM_CELLS, end=_discard)
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
        started = self._slots.take(spec.digest())
        return self._listen(started or self._spawn(spec))

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

    def warm(self, spec: CellSpec) -> None:
        """Start a cell in advance; see ``CellLauncher``."""
        digest = spec.digest()
        if not self._slots.has(digest):
            self._slots.put(digest, self._spawn(spec))

    def close(self) -> None:
        """End what nobody took, and the watch; cells in use stay their plans'."""
        self._slots.close()
        self._watch.close()
        with self._lock:
            if self._ground is not None:
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

    def _spawn(self, spec: CellSpec) -> Started:
        ground = self.ground()
        own_tools = own_tool_data(spec)
        mounts = plan_mounts(self._reachable(spec), user=self._user)
        with wired(
            code=ground.filter, own_tools=own_tools, has_program=bool(spec.command)
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
                    user=self._user,
                    keep_output=spec.limits.output_bytes,
                    status=wiring.status,
                )
            )
        return Started(
            process=process,
            channel=Channel(wiring.channel, quota=spec.limits.channel_bytes),
            spec=spec,
            program=None if wiring.program is None else ProgramChannel(wiring.program),
        )

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
        """Hear the hello, believe it only when every check held, and configure the guest."""
        spec = started.spec
        try:
            landlock = greet(started.channel, spec, own_tools=bubblewrap.own_tools_inside(spec))
        except (WallError, ChannelError) as error:
            raise _failure(started, str(error)) from error
        cell = Cell(
            started.process,
            started.channel,
            spec,
            landlock=landlock,
            on_end=self._watch.forget,
        )
        self._watch.add(cell)
        return cell


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
    try:
        started.process.wait_dead()
    except NotDeadError as error:
        raise IsolationUnavailableError(
            problem="a cell that did not start does not end either",
            fix="the kernel is in trouble; restart the machine",
        ) from error
