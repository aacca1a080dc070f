"""The program actor: any executable in the cell, asking over one channel.

The host decides by the context that it holds for that channel, never by
anything that the program says. A program that knows nothing of the channel
works too: exit 0 hands in what it changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, assert_never

from cleveragents.boundary.channel import ChannelError
from cleveragents.boundary.frame import FrameError
from cleveragents.boundary.message import MessageError
from cleveragents.boundary.program_channel import Quiet
from cleveragents.boundary.program_message import (
    PROTOCOL,
    Accepted,
    Answer,
    Ask,
    Begin,
    Decide,
    Failed,
    Open,
    Outcome,
    Progress,
    Refused,
    Submit,
    Welcome,
)
from cleveragents.errors import (
    BudgetExceededError,
    MergeRefusedError,
    RefusalError,
    SubplanRefusedError,
    ToolFailedError,
)
from cleveragents.plans.actor.output import output_problem
from cleveragents.plans.actor.program_decision import ProgramDecisions
from cleveragents.terms.call import ToolCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.boundary.program_cell import ProgramCell
    from cleveragents.boundary.program_message import FromProgram, ToProgram
    from cleveragents.plans.decision_book import Choice
    from cleveragents.record.decision_tree_view import Decision
    from cleveragents.terms.call import CallResult

LISTEN_S: Final = 0.25
"""Between two looks at cancel requests and deadlines while the program is silent."""
ANSWER_S: Final = 30.0
"""How long a program may leave an answer unread while the channel is full."""
LOG_TAIL: Final = 2_000
"""Characters of a failed program's log that its error shows."""
MAX_REFUSED: Final = 1_000
"""Requests refused to one program; each of them is a durable entry of the record."""
_NO_BUDGET: Final = "a budget of this plan or above it does not admit the call"


class ProgramCaller(Protocol):
    """The executor, as a program actor sees it."""

    def call(self, call: ToolCall) -> CallResult:
        """Take one call through the door."""

    def open_resource(self, resource: str, call_id: str) -> Mapping[str, object]:
        """Ask the door for a resource by name."""

    def attempt_of(self, tool: str) -> int:
        """Which attempt a call of this tool belongs to, after a restart."""

    def check(self) -> None:
        """Raise when the plan is cancelled or out of time."""

    def tell(self, text: str) -> None:
        """Report a line of the program's own words."""

    def decide(self, choice: Choice) -> str:
        """Record a decision of the plan, once."""

    def conclude(self, decision_id: str, outcome: str) -> None:
        """Say what became of a decision of the plan."""

    def decision(self, decision_id: str) -> Decision | None:
        """Give a decision of the plan; ``None`` when it has made no such decision."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What a program handed in."""

    outputs: Mapping[str, object] = field(default_factory=dict)
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """What a program is told of its plan: nothing of its parent's."""

    plan_id: str
    name: str
    goal: str
    inputs: Mapping[str, object]
    outputs: Mapping[str, Mapping[str, object]]
    """JSON Schema of each declared output."""
    tools: tuple[str, ...]


class ProgramActor:
    """Listens to one program until it ends.

    Args:
        caller: The executor.
        program: The running program.
        task: What it is told.
    """

    def __init__(self, caller: ProgramCaller, program: ProgramCell, task: Task) -> None:
        self._caller = caller
        self._program = program
        self._task = task
        self._submission: Submission | None = None
        self._refusals = 0
        self._decisions = ProgramDecisions(caller)

    def run(self) -> Submission:
        """Answer the program until it ends, and give what it handed in.

        Raises:
            ToolFailedError: It ended with another code than 0, or sent what
                no program may send; its log's tail says more.
            CleverAgentsError: A call waits for a person, or the plan is
                cancelled, out of time or out of budget.
        """
        try:
            while True:
                message = self._program.receive(timeout_s=LISTEN_S)
                if message is Quiet.ENDED:
                    break
                if message is Quiet.SILENT:
                    self._caller.check()
                    if self._program.wait(timeout_s=0) is not None:
                        break
                    continue
                self._program.send(self._answer(message), timeout_s=ANSWER_S)
            return self._ended()
        except (ChannelError, MessageError, FrameError) as error:
            self._program.kill(str(error))
            raise self._failure(str(error)) from error

    def _ended(self) -> Submission:
        code = self._program.wait(timeout_s=LISTEN_S)
        while code is None:
            self._caller.check()
            code = self._program.wait(timeout_s=LISTEN_S)
        self._caller.check()
        if code != 0:
            raise self._failure(self._program.ended_by or f"it ended with exit code {code}")
        return self._submission or Submission()

    def _failure(self, reason: str) -> ToolFailedError:
        tail = self._program.log[-LOG_TAIL:].strip()
        return ToolFailedError(
            tool_name=f"program {self._task.name}",
            reason=f"{reason}; the end of its log: {tail!r}" if tail else reason,
        )

    def _answer(self, message: FromProgram) -> ToProgram:
        if self._submission is not None:
            raise ChannelError("a message came after the result")
        match message:
            case Begin():
                return self._welcome(message.seq)
            case Ask():
                return self._asked(message)
            case Open():
                return self._opened(message)
            case Progress():
                self._caller.tell(message.text)
                return Accepted(seq=message.seq)
            case Decide() | Outcome():
                return self._counted(self._decisions.take(message))
            case Submit():
                return self._submitted(message)
            case _:
                assert_never(message)

    def _welcome(self, seq: int) -> Welcome:
        return Welcome(
            seq=seq,
            protocol=PROTOCOL,
            plan_id=self._task.plan_id,
            name=self._task.name,
            goal=self._task.goal,
            inputs=dict(self._task.inputs),
            tools=self._task.tools,
        )

    def _asked(self, message: Ask) -> ToProgram:
        call = ToolCall(
            step=f"ask-{message.seq}",
            tool=message.tool,
            arguments=message.arguments,
            attempt=self._caller.attempt_of(message.tool),
        )
        try:
            result = self._caller.call(call)
        except (RefusalError, MergeRefusedError) as error:
            return self._refused(message.seq, error)
        except ToolFailedError as error:
            return Failed(seq=message.seq, code=error.code, reason=error.reason)
        return Answer(seq=message.seq, value=dict(result.value))

    def _opened(self, message: Open) -> ToProgram:
        try:
            value = self._caller.open_resource(message.resource, f"open-{message.seq}")
        except RefusalError as error:
            return self._refused(message.seq, error)
        return Answer(seq=message.seq, value=dict(value))

    def _counted(self, answer: ToProgram) -> ToProgram:
        if isinstance(answer, Refused):
            self._refusals += 1
            if self._refusals > MAX_REFUSED:
                raise ChannelError("too many refused requests")
        return answer

    def _refused(self, seq: int, error: RefusalError | MergeRefusedError) -> ToProgram:
        # The record keeps whose limit it was and its figures: those of plans above are not
        # for the program.
        is_budget = isinstance(error, BudgetExceededError) or (
            isinstance(error, SubplanRefusedError)
            and error.exit_code == BudgetExceededError.exit_code
        )
        reason = _NO_BUDGET if is_budget else error.message
        return self._counted(Refused(seq=seq, code=error.code, reason=reason))

    def _submitted(self, message: Submit) -> ToProgram:
        problem = output_problem(message.outputs, self._task.outputs)
        if problem:
            # Not taken: the program may hand in a result that fits.
            return Refused(seq=message.seq, code="outputs", reason=problem)
        self._submission = Submission(outputs=message.outputs, summary=message.summary)
        return Accepted(seq=message.seq)
