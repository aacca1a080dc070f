"""The hands of a gateway's plan: a few cells over the operator's live directories.

Each call that needs a cell has one for itself for as long as it runs, so that
a slow one holds up nobody; calls that change files through prepare and commit
come one after another. There is no workspace: nothing is kept, restored or
collected, and what a call did stays done.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from cleveragents.boundary.live_mount import marks_of
from cleveragents.errors import (
    ConfigurationError,
    IsolationUnavailableError,
    RecordError,
    ToolFailedError,
)
from cleveragents.runtime.plan_cell import DIGEST_FILES, DIGEST_TIMEOUT_S
from cleveragents.tools.catalog import PREPARED_TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cleveragents.boundary.cell import Cell, CellLauncher
    from cleveragents.boundary.cell_spec import CellSpec
    from cleveragents.runtime.call_context import PreparedEffect
    from cleveragents.runtime.tool_server import ToolServers

ENDED: Final = "the gateway was ended"


@dataclass(slots=True)
class _Held:
    """A cell, and which files its hidden paths lay on when it was started."""

    cell: Cell
    spec: CellSpec
    marks: tuple[tuple[int, int], ...]

    @property
    def is_good(self) -> bool:
        return self.cell.alive and marks_of(self.spec.live) == self.marks


@dataclass(slots=True)
class Turn:
    """One call on its way; any thread may cancel it."""

    _held: _Held | None = None
    _reason: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cancel(self, reason: str) -> None:
        """End the cell that the call runs in, now or as soon as it has one."""
        with self._lock:
            self._reason = reason
            if self._held is not None:
                self._held.cell.kill(reason)

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
    def cell(self) -> Cell | None:
        """The cell that it runs in."""
        return None if self._held is None else self._held.cell


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
        self._every: list[Cell] = []
        self._is_ended = False
        self._servers: ToolServers | None = None
        self._mine = threading.local()
        self.on_end: Callable[[], None] = lambda: None
        """Told when the plan's owner ends it: a cancel, or its time is up."""

    def attend(self, servers: ToolServers) -> None:
        """End these servers too when the cells are ended."""
        self._servers = servers

    @contextmanager
    def turn(self, turn: Turn, tool: str) -> Iterator[None]:
        """Make this thread act for one call; a cell that it took is given back after it."""
        alone = self._changing if self.is_prepared(tool) else nullcontext()
        with alone:
            self._mine.turn = turn
            try:
                yield
            finally:
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
        return self._open(tool).call(tool, arguments, timeout_s=timeout_s)

    def prepare(
        self, tool: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> PreparedEffect:
        """Work out what a file tool is going to change, changing nothing."""
        return self._open(tool).prepare(tool, arguments, timeout_s=timeout_s)

    def commit(self, *, timeout_s: float) -> Mapping[str, object]:
        """Do what this call has prepared."""
        return self._open("commit").commit(timeout_s=timeout_s)

    def is_prepared(self, tool: str) -> bool:
        """Say whether the tool works by prepare and commit."""
        return tool in PREPARED_TOOLS

    def digests(self, paths: tuple[str, ...]) -> Mapping[str, str | None]:
        """Digest of each path as it is now; ``None`` when absent."""
        found = self._open(DIGEST_FILES).call(
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
            cells = list(self._every)
        for cell in cells:
            cell.kill(ENDED)
        if self._servers is not None:
            self._servers.end_now()
        self.on_end()

    def close(self) -> None:
        """End every cell and wait until their process trees are dead."""
        with self._lock:
            self._is_ended = True
            self._free.clear()
            cells = list(self._every)
        try:
            for cell in cells:
                self._close(cell)
        finally:
            if self._servers is not None:
                self._servers.close()

    def _open(self, tool: str) -> Cell:
        turn: Turn = self._mine.turn
        if turn.cell is not None:
            return turn.cell
        self._room.acquire()
        try:
            turn.take(self._take())
        except (ConfigurationError, IsolationUnavailableError) as error:
            self._room.release()
            raise ToolFailedError(tool_name=tool, reason=error.message) from error
        except RecordError:
            self._room.release()
            raise
        return self._open(tool)

    def _take(self) -> _Held:
        while True:
            with self._lock:
                held = self._free.pop() if self._free else None
            if held is None:
                return self._start()
            if held.is_good:
                return held
            self._close(held.cell)

    def _start(self) -> _Held:
        spec = self._spec_of()
        marks = marks_of(spec.live)
        cell = self._launcher.start(spec)
        with self._lock:
            self._every.append(cell)
            is_ended = self._is_ended
        if is_ended:
            cell.kill(ENDED)
        return _Held(cell, spec, marks)

    def _give_back(self, turn: Turn) -> None:
        held = turn.leave()
        if held is None:
            return
        try:
            with self._lock:
                if held.cell.alive and not self._is_ended:
                    self._free.append(held)
                    return
            self._close(held.cell)
        finally:
            self._room.release()

    def _close(self, cell: Cell) -> None:
        cell.close()
        with self._lock:
            if cell in self._every:
                self._every.remove(cell)
