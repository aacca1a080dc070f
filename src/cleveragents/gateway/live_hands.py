"""The hands of a gateway's plan: a few cells over the operator's live directories.

Each call that needs a cell has one for itself for as long as it runs, so that
a slow one holds up nobody; calls that change files through prepare and commit
come one after another. There is no workspace: nothing is kept, restored or
collected, and what a call did stays done.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, cast

from cleveragents.boundary.live_directory import marks_of
from cleveragents.errors import ConfigurationError, IsolationUnavailableError, ToolFailedError
from cleveragents.runtime.plan_cell import DIGEST_FILES, DIGEST_TIMEOUT_S
from cleveragents.terms.stop import STOPPER
from cleveragents.tools.catalog import PREPARED_TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from cleveragents.boundary.cell import Cell, CellLauncher
    from cleveragents.boundary.cell_spec import CellSpec
    from cleveragents.runtime.call_context import PreparedEffect
    from cleveragents.runtime.cell_proxy import CellNetwork, CellProxy
    from cleveragents.runtime.tool_server import ToolServers

ENDED: Final = "the gateway was ended"


@dataclass(slots=True, eq=False)
class _Held:
    """A cell, what is at its port, and which files its hidden paths lay on at its start."""

    cell: Cell
    spec: CellSpec
    marks: tuple[tuple[int, int], ...]
    proxy: CellProxy | None = None
    """Who answers at its port; ``None``: it has none."""

    @property
    def is_good(self) -> bool:
        """Say whether a further call may be made in it."""
        if not self.cell.alive or marks_of(self.spec.live) != self.marks:
            return False
        return self.proxy is None or not self.proxy.is_spent

    def during(self, tool: str, call_id: str) -> AbstractContextManager[None]:
        """Let one call reach hosts; what it leaves open is closed and recorded at its end."""
        return nullcontext() if self.proxy is None else self.proxy.during(tool, call_id)

    def close(self) -> None:
        """End it, and wait until nothing of it is left. May be called again."""
        try:
            self.cell.close()
        finally:
            # After the cell: what its processes had open has ended by itself.
            if self.proxy is not None:
                self.proxy.close()


@dataclass(slots=True)
class Turn:
    """One call on its way; any thread may cancel it."""

    call_id: str = ""
    """Which call; set when it begins."""
    _held: _Held | None = None
    _stop: Callable[[str], None] | None = None
    _reason: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cancel(self, reason: str) -> None:
        """End what the call waits for, and the cell that it runs in, now or once it has one."""
        with self._lock:
            self._reason = reason
            if self._stop is not None:
                self._stop(reason)
            if self._held is not None:
                self._held.cell.kill(reason)

    @contextmanager
    def stopping(self, stop: Callable[[str], None]) -> Iterator[None]:
        """While inside, have a cancel call this with its reason; at once if there was one."""
        with self._lock:
            self._stop = stop
            if self._reason:
                stop(self._reason)
        try:
            yield
        finally:
            with self._lock:
                self._stop = None

    def take(self, held: _Held) -> None:
        """Run in this cell from now on."""
        with self._lock:
            self._held = held
            if self._reason:
                held.cell.kill(self._reason)

    def leave(self) -> _Held | None:
        """Give the cell up."""
        with self._lock:
            held, self._held = self._held, None
            return held

    @property
    def held(self) -> _Held | None:
        """What it runs in."""
        return self._held


class LiveHands:
    """Cells over live directories; implements the door's ``Hands``.

    Args:
        launcher: Starts cells.
        spec_of: What a cell is made of, looked at anew for each one: files
            that look secret come and go.
        size: How many cells there are at most.
    """

    program_log: Final = ""
    """A gateway's plan runs no program of its own."""

    def __init__(
        self, *, launcher: CellLauncher, spec_of: Callable[[], CellSpec], size: int
    ) -> None:
        self._launcher = launcher
        self._spec_of = spec_of
        self._room = threading.BoundedSemaphore(size)
        self._changing = threading.Lock()
        self._lock = threading.Lock()
        self._free: list[_Held] = []
        self._every: list[_Held] = []
        self._network: CellNetwork | None = None
        self._is_ended = False
        self._servers: ToolServers | None = None
        self._mine = threading.local()
        self.on_end: Callable[[], None] = lambda: None
        """Told when the plan's owner ends it: a cancel, or its time is up."""

    def reach(self, network: CellNetwork) -> None:
        """Give the cells that are started from now on a port of the host's proxy."""
        self._network = network

    def attend(self, servers: ToolServers) -> None:
        """End these servers too when the cells are ended."""
        self._servers = servers

    @contextmanager
    def turn(self, turn: Turn, tool: str, call_id: str = "") -> Iterator[None]:
        """Make this thread act for one call; a cell that it took is given back after it."""
        turn.call_id = call_id
        alone = self._changing if self.is_prepared(tool) else nullcontext()
        with alone:
            self._mine.turn = turn
            token = STOPPER.set(turn)
            try:
                yield
            finally:
                STOPPER.reset(token)
                del self._mine.turn
                self._give_back(turn)

    def warm(self) -> None:
        """Start a cell in advance.

        Raises:
            ToolFailedError: It does not start; says why.
        """
        with self.turn(Turn(), ""):
            self._open("")

    def call(
        self, tool: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> Mapping[str, object]:
        """Run a body in a cell.

        Raises:
            ToolFailedError: The body failed, or the cell ended under it.
        """
        held = self._open(tool)
        turn: Turn = self._mine.turn
        with held.during(tool, turn.call_id):
            return held.cell.call(tool, arguments, timeout_s=timeout_s)

    def prepare(
        self, tool: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> PreparedEffect:
        """Work out what a file tool is going to change, changing nothing."""
        return self._open(tool).cell.prepare(tool, arguments, timeout_s=timeout_s)

    def commit(self, *, timeout_s: float) -> Mapping[str, object]:
        """Do what this call has prepared."""
        return self._open("commit").cell.commit(timeout_s=timeout_s)

    def is_prepared(self, tool: str) -> bool:
        """Say whether the tool works by prepare and commit."""
        return tool in PREPARED_TOOLS

    def digests(self, paths: tuple[str, ...]) -> Mapping[str, str | None]:
        """Digest of each path as it is now; ``None`` when absent."""
        found = self._open(DIGEST_FILES).cell.call(
            DIGEST_FILES, {"paths": list(paths)}, timeout_s=DIGEST_TIMEOUT_S
        )
        return cast("Mapping[str, str | None]", found["digests"])

    def checkpoint(self, call_id: str) -> None:
        """Keep nothing: a live directory is the operator's, not the plan's."""
        del call_id

    def restore(self, call_id: str) -> bool:
        """Bring nothing back; False, since there is never a checkpoint."""
        del call_id
        return False

    def end_now(self) -> None:
        """End every cell under whatever runs in it, for good; called by the watch."""
        with self._lock:
            self._is_ended = True
            every = list(self._every)
        for held in every:
            held.cell.kill(ENDED)
        if self._servers is not None:
            self._servers.end_now()
        self.on_end()

    def close(self) -> None:
        """End every cell and wait until their process trees are dead.

        Raises:
            RecordError: One does not end, or something of a connection could not be recorded.
        """
        with self._lock:
            self._is_ended = True
            self._free.clear()
            every = list(self._every)
        with ExitStack() as stack:
            # Each of them, whatever ails another.
            if self._servers is not None:
                stack.callback(self._servers.close)
            for held in every:
                stack.callback(self._close, held)

    def _open(self, tool: str) -> _Held:
        turn: Turn = self._mine.turn
        if turn.held is not None:
            return turn.held
        self._room.acquire()
        with ExitStack() as stack:
            stack.callback(self._room.release)
            if self._is_ended:
                # Those that have waited for a place are many: a cell for each takes a while.
                raise ToolFailedError(tool_name=tool, reason=ENDED)
            try:
                turn.take(self._take())
            except (ConfigurationError, IsolationUnavailableError) as error:
                raise ToolFailedError(tool_name=tool, reason=error.message) from error
            except OSError as error:
                # Out of descriptors or processes, which may pass.
                reason = f"no cell can be started: {error.strerror}"
                raise ToolFailedError(tool_name=tool, reason=reason) from error
            stack.pop_all()
        return self._open(tool)

    def _take(self) -> _Held:
        while True:
            with self._lock:
                held = self._free.pop() if self._free else None
            if held is None:
                return self._start()
            if held.is_good:
                return held
            self._close(held)

    def _start(self) -> _Held:
        network = self._network
        # A port only where some tool that runs in the cell may reach a host.
        spec = replace(self._spec_of(), network=network is not None and bool(network.tools))
        marks = marks_of(spec.live)
        held = _Held(self._launcher.start(spec), spec, marks)
        with self._lock:
            self._every.append(held)
            is_ended = self._is_ended
        with ExitStack() as stack:
            stack.callback(self._close, held)
            listener = held.cell.take_listener()
            if listener is not None and network is not None:
                held.proxy = network.open(listener)
            stack.pop_all()
        if is_ended:
            held.cell.kill(ENDED)
        return held

    def _give_back(self, turn: Turn) -> None:
        held = turn.leave()
        if held is None:
            return
        try:
            with self._lock:
                if held.cell.alive and not self._is_ended:
                    self._free.append(held)
                    return
            self._close(held)
        finally:
            self._room.release()

    def _close(self, held: _Held) -> None:
        held.close()
        with self._lock:
            if held in self._every:
                self._every.remove(held)
