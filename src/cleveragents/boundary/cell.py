"""The confined process of one plan, as the host holds it: call, prepare, commit, close."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from cleveragents.boundary.cell_spec import PREPARED_TOOLS
from cleveragents.boundary.channel import ChannelError
from cleveragents.boundary.frame import FrameError
from cleveragents.boundary.message import (
    FIRST_SEQ,
    Abandon,
    Commit,
    Failure,
    Hello,
    Invoke,
    MessageError,
    Prepared,
    Reply,
)
from cleveragents.boundary.spawner import NotDeadError
from cleveragents.errors import RecordError, ToolFailedError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from cleveragents.boundary.cell_spec import CellSpec
    from cleveragents.boundary.channel import Channel
    from cleveragents.boundary.message import FromHost
    from cleveragents.boundary.program_cell import ProgramCell
    from cleveragents.boundary.report import IsolationReport
    from cleveragents.boundary.server_cell import ServerCell, ServerOrder
    from cleveragents.boundary.spawner import Process
    from cleveragents.boundary.warm_cell import WarmCell

DEFAULT_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class PreparedEffect:
    """What a file tool is about to do, by digest, before it does it."""

    before: Mapping[str, str | None]
    """Digest of each path that changes, as it is; ``None`` when absent."""
    after: Mapping[str, str | None]
    """Digest of each path as it is going to be."""


class CellLauncher(Protocol):
    """Who makes cells."""

    @property
    def isolation(self) -> IsolationReport:
        """The wall that every cell of this launcher has; worked out once."""

    def start(self, spec: CellSpec) -> Cell:
        """Give a cell that has said hello.

        Raises:
            IsolationUnavailableError: The wall cannot be built or does not stand.
            ConfigurationError: The spec asks for what cannot be mounted.
        """

    def start_program(self, spec: CellSpec) -> ProgramCell:
        """Start a program actor's command in a cell that has said hello.

        Raises:
            IsolationUnavailableError: As ``start``; also where there is no
                wall at all: a foreign program never runs without one.
            ConfigurationError: The spec has no command, or cannot be mounted.
        """

    def start_server(self, spec: CellSpec, order: ServerOrder) -> ServerCell:
        """Start a server of the operator's in a cell that has said hello.

        Raises:
            IsolationUnavailableError: As ``start_program``.
            ConfigurationError: The spec cannot be mounted.
        """

    def warm(self, spec: CellSpec) -> WarmCell:
        """Start a tool cell in advance, for whoever needs one of this spec soon.

        Raises:
            IsolationUnavailableError: As ``start``; also where there is no wall.
            ConfigurationError: As ``start``.
        """

    def close(self) -> None:
        """End every pre-warmed cell that nobody took."""


class Cell:
    """One cell. Calls come one at a time; ``kill`` may come from any thread.

    Args:
        process: The started processes; the cell's from now on.
        channel: The host's end; past hello and configuration.
        spec: What it was made of.
        landlock: The Landlock version that its hello reported.
        listener: The listening socket of its port, where it has a network.
        on_end: Told once, when the cell is closed.
    """

    def __init__(
        self,
        process: Process,
        channel: Channel,
        spec: CellSpec,
        *,
        landlock: int = 0,
        listener: socket.socket | None = None,
        on_end: Callable[[Cell], None] = lambda _: None,
    ) -> None:
        self._process = process
        self._channel = channel
        self._on_end = on_end
        self._turn = threading.Lock()
        self._seq = FIRST_SEQ - 1
        self._prepared_tool = ""
        self._reason = ""
        self._is_usable = True
        self._is_closed = False
        self._listener = listener
        self.spec = spec
        self.landlock = landlock

    @property
    def alive(self) -> bool:
        """Say whether another call can be made."""
        return self._is_usable and self._process.is_alive

    @property
    def pid(self) -> int:
        """The process outside, for people."""
        return self._process.pid

    @property
    def ended_by(self) -> str:
        """Why the host has ended it; empty when it has not."""
        return self._reason

    def take_listener(self) -> socket.socket | None:
        """Give the listening socket that the cell handed over, once.

        ``None``: the cell has no network, or it was taken already.
        """
        listener, self._listener = self._listener, None
        return listener

    @property
    def output(self) -> str:
        """The last part of what the cell printed itself, for people; never believed."""
        return self._process.out.text() + self._process.err.text()

    def is_prepared(self, tool: str) -> bool:
        """Say whether a tool works by prepare and commit."""
        return tool in PREPARED_TOOLS

    def call(
        self, tool: str, arguments: Mapping[str, object], *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Mapping[str, object]:
        """Run a tool's body and give its result.

        Raises:
            ToolFailedError: The body failed; or the cell ended, did not answer
                in time or broke the protocol, and then it is ended.
        """
        answer = self._ask(
            tool,
            lambda seq: Invoke(seq=seq, tool=tool, arguments=dict(arguments), phase="run"),
            timeout_s,
        )
        return self._reply(tool, answer)

    def prepare(
        self, tool: str, arguments: Mapping[str, object], *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> PreparedEffect:
        """Have a file tool work out what it is going to change, changing nothing.

        Raises:
            ToolFailedError: As ``call``.
        """
        answer = self._ask(
            tool,
            lambda seq: Invoke(seq=seq, tool=tool, arguments=dict(arguments), phase="prepare"),
            timeout_s,
        )
        if not isinstance(answer, Prepared):
            raise self._break(tool, "the cell answered something else than was asked")
        self._prepared_tool = tool
        return PreparedEffect(before=answer.before, after=answer.after)

    def commit(self, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Mapping[str, object]:
        """Do what was prepared last, and give its result.

        Raises:
            ToolFailedError: As ``call``; also when nothing is prepared.
        """
        tool, self._prepared_tool = self._prepared_tool, ""
        return self._reply(tool, self._ask(tool, lambda seq: Commit(seq=seq), timeout_s))

    def abandon(self, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Forget what was prepared last.

        Raises:
            ToolFailedError: As ``call``.
        """
        tool, self._prepared_tool = self._prepared_tool, ""
        self._reply(tool, self._ask(tool, lambda seq: Abandon(seq=seq), timeout_s))

    def kill(self, reason: str = "the cell was ended") -> None:
        """Kill everything in the cell without waiting; a call under way fails with the reason."""
        self._reason = self._reason or reason
        self._is_usable = False
        self._process.kill()

    def close(self) -> None:
        """End the cell and wait until its process 1 is dead. May be called again.

        Raises:
            RecordError: It does not die; nobody can say what happens in its
                workspace.
        """
        self.kill()
        with self._turn:
            if self._is_closed:
                return
            self._channel.close()
            if self._listener is not None:
                self._listener.close()
            try:
                self._process.wait_dead()
            except NotDeadError as error:
                raise RecordError(
                    problem=f"the cell of process {self._process.pid} does not end",
                    hint="the kernel is in trouble; restart the machine before resuming",
                ) from error
            self._is_closed = True
        self._on_end(self)

    def _ask(
        self, tool: str, build: Callable[[int], FromHost], timeout_s: float
    ) -> Reply | Prepared:
        with self._turn:
            if not self._is_usable:
                raise ToolFailedError(tool_name=tool, reason=self._reason)
            try:
                self._channel.send(build(self._seq + 1), timeout_s=timeout_s)
                self._seq += 1
                answer = self._channel.receive(timeout_s=timeout_s)
            except (MessageError, FrameError) as error:
                raise ToolFailedError(
                    tool_name=tool, reason=f"its arguments cannot be sent: {error}"
                ) from error
            except ChannelError as error:
                raise self._break(tool, str(error)) from error
        if isinstance(answer, Hello) or answer.seq != self._seq:
            raise self._break(tool, "the cell answered something else than was asked")
        if isinstance(answer, Failure):
            raise ToolFailedError(tool_name=tool, reason=answer.message)
        return answer

    def _reply(self, tool: str, answer: Reply | Prepared) -> Mapping[str, object]:
        if not isinstance(answer, Reply):
            raise self._break(tool, "the cell answered something else than was asked")
        return answer.value

    def _break(self, tool: str, reason: str) -> ToolFailedError:
        """End the cell: what it says is not believed any more."""
        self.kill(reason)
        return ToolFailedError(tool_name=tool, reason=self._reason)
