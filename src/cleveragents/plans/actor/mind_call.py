"""The calls of one answer of a model: made through the door, told back as text.

Those that stay in the cell are made in their order; network calls and children
run side by side after them, and children of one answer merge in its order.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Protocol, cast

from cleveragents.config.plan_file import subplan_from_stored
from cleveragents.errors import (
    ApprovalPendingError,
    BudgetExceededError,
    CleverAgentsError,
    ConfigurationError,
    MergeConflictError,
    MergeRefusedError,
    PlanCancelledError,
    RefusalError,
    SubplanRefusedError,
    ToolFailedError,
    UnpricedModelError,
)
from cleveragents.plans.actor.mind_answer import Answer, text_of
from cleveragents.plans.actor.mind_note import MindNotes, NoteTaker
from cleveragents.plans.actor.mind_tool import LOCAL, SPAWN, SUBMIT
from cleveragents.plans.group import MemberEnding
from cleveragents.terms.call import ToolCall
from cleveragents.terms.cost import NO_LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.plans.actor.conversation import Conversation
    from cleveragents.plans.actor.program import Submission
    from cleveragents.terms.call import CallResult
    from cleveragents.terms.model import ModelReply, ModelTool, ToolAsk

MAX_SIDE_BY_SIDE: Final = 16
"""Calls of one answer that run at the same time; children wait for `max_parallel` besides."""


class MindCaller(NoteTaker, Protocol):
    """The executor, as the calls of a model see it."""

    def call(self, call: ToolCall) -> CallResult:
        """Take one call through the door."""

    def place_of(self, tool: str) -> str:
        """Where a tool's body runs: ``cell``, ``host`` or ``door``."""

    def begin_changes(self, call_id: str, tool: str, words: str) -> None:
        """A call that may change something is next: the strategy is over."""

    def open_group(self, steps: tuple[str, ...], *, fail_fast: bool) -> None:
        """Announce spawn calls that merge in this order after all of them ended."""

    def leave_group(self, step: str, ending: MemberEnding) -> None:
        """Say how a member's last attempt ended."""

    def told(self, call_id: str) -> str | None:
        """What the model was told of a call that has no outcome; ``None`` when nothing."""

    def tell_of(self, call_id: str, text: str) -> str:
        """Record what the model is told of a call that has no outcome, and give it as kept."""

    def tell(self, text: str) -> None:
        """Report a line of the model's own words."""


class MindCalls:
    """Makes the calls that a model asks for.

    Args:
        caller: The executor.
        conversation: Where earlier results are read again.
        tools: What the model was offered.
        outputs: JSON Schema of each value that it has to hand in.
    """

    def __init__(
        self,
        caller: MindCaller,
        conversation: Conversation,
        *,
        tools: tuple[ModelTool, ...],
        outputs: Mapping[str, Mapping[str, object]],
    ) -> None:
        self._caller = caller
        self._notes = MindNotes(caller, conversation, outputs=outputs)
        self._offered = {tool.name: tool for tool in tools}

    def make(self, turn: int, reply: ModelReply) -> tuple[tuple[Answer, ...], Submission | None]:
        """Make all calls of an answer.

        Returns:
            An answer for each, in their order; and the result, when it was
            handed in: after everything else that was asked for beside it.

        Raises:
            CleverAgentsError: One of them ended the plan; the others have
                ended by then and are in the record.
        """
        asks = reply.asks
        ids = [f"turn{turn}.{index}" for index in range(len(asks))]
        answers: dict[int, Answer] = {}
        fatal: dict[int, BaseException] = {}
        beside: list[int] = []
        for index, ask in enumerate(asks):
            problem = ask.problem or self._beyond(ask)
            if problem:
                text = f"the arguments cannot be read: {problem}"
                answers[index] = Answer(ids[index], text, is_failed=True)
            elif ask.name in LOCAL and ask.name in self._offered:
                if ask.name != SUBMIT:
                    answers[index] = self._notes.note(ids[index], ask)
            else:
                self._caller.begin_changes(ids[index], ask.name, reply.text)
                if self._caller.place_of(ask.name) == "cell":
                    self._into(answers, fatal, index, ids[index], ask)
                else:
                    beside.append(index)
            if fatal:
                break
        if not fatal:
            self._side_by_side(answers, fatal, beside, ids, asks)
        _raise_first(fatal)
        return self._with_result(answers, ids, asks)

    def _with_result(
        self, answers: dict[int, Answer], ids: list[str], asks: tuple[ToolAsk, ...]
    ) -> tuple[tuple[Answer, ...], Submission | None]:
        submission: Submission | None = None
        for index, ask in enumerate(asks):
            if index in answers:
                continue
            found, problem = self._notes.submitted(ask.arguments)
            if problem:
                answers[index] = Answer(ids[index], f"not taken: {problem}", is_failed=True)
                continue
            # The last one counts, as with anything that is said twice.
            submission = found
            answers[index] = Answer(ids[index], "taken")
        return tuple(answers[index] for index in range(len(asks))), submission

    # -- one call -------------------------------------------------------------

    def _beyond(self, ask: ToolAsk) -> str:
        """Say what a model describes of a child beyond what it was offered; empty: nothing.

        A child is a whole plan: its definition may name a program, another
        model or a script, which are for whoever writes a plan file.
        """
        tool = self._offered.get(SPAWN)
        if ask.name != SPAWN or tool is None:
            return ""
        known = cast("Mapping[str, object]", tool.parameters["properties"])
        unknown = sorted(ask.arguments.keys() - known.keys())
        return f"{SPAWN} has no argument {unknown[0]!r} here" if unknown else ""

    def _into(
        self,
        answers: dict[int, Answer],
        fatal: dict[int, BaseException],
        index: int,
        call_id: str,
        ask: ToolAsk,
    ) -> None:
        try:
            answers[index] = self._one(call_id, ask)
        except BaseException as error:  # noqa: BLE001  # raised by `make` when all have ended
            fatal[index] = error

    def _one(self, call_id: str, ask: ToolAsk) -> Answer:
        told = self._caller.told(call_id)
        if told is not None:
            return Answer(call_id, told, is_failed=True)
        arguments = _with_actor(ask.arguments) if ask.name == SPAWN else ask.arguments
        try:
            result = self._caller.call(ToolCall(step=call_id, tool=ask.name, arguments=arguments))
        except SubplanRefusedError as error:
            return self._child_refused(call_id, error, arguments)
        except (BudgetExceededError, UnpricedModelError):
            raise
        except RefusalError as error:
            return Answer(
                call_id, f"refused ({error.code}): {error.message}", is_failed=True, refusal=error
            )
        except MergeRefusedError as error:
            return Answer(call_id, f"refused ({error.code}): {error.message}", is_failed=True)
        except ToolFailedError as error:
            return Answer(call_id, f"failed: {error.reason}", is_failed=True)
        return Answer(call_id, text_of(ask.name, result.value))

    def _child_refused(
        self, call_id: str, error: SubplanRefusedError, arguments: Mapping[str, object]
    ) -> Answer:
        text = f"the child ended without a result ({error.code}): {error.reason}"
        if error.exit_code != BudgetExceededError.exit_code:
            return Answer(call_id, text, is_failed=True)
        if _own_budget(arguments):
            # Its own share is used up, which leaves the parent free to choose another way. The
            # spawn has no outcome (section 11): what the model heard of it is noted beside it.
            told = self._caller.tell_of(call_id, text)
            return Answer(call_id, told, is_failed=True)
        raise error

    # -- several --------------------------------------------------------------

    def _side_by_side(
        self,
        answers: dict[int, Answer],
        fatal: dict[int, BaseException],
        beside: list[int],
        ids: list[str],
        asks: tuple[ToolAsk, ...],
    ) -> None:
        if not beside:
            return
        spawns = tuple(ids[index] for index in beside if asks[index].name == SPAWN)
        if spawns:
            self._caller.open_group(spawns, fail_fast=False)
        places = threading.Semaphore(MAX_SIDE_BY_SIDE)

        def one(index: int) -> None:
            is_spawn = asks[index].name == SPAWN
            # Children wait for a place of their own, and merge only when all have ended.
            if is_spawn:
                self._into(answers, fatal, index, ids[index], asks[index])
            else:
                with places:
                    self._into(answers, fatal, index, ids[index], asks[index])
            if is_spawn:
                self._caller.leave_group(ids[index], _ending(fatal, answers, index))

        if len(beside) == 1:
            one(beside[0])
            return
        threads = [threading.Thread(target=one, args=(index,), name=ids[index]) for index in beside]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _ending(
    fatal: Mapping[int, BaseException], answers: Mapping[int, Answer], index: int
) -> MemberEnding:
    match fatal.get(index):
        case ApprovalPendingError() | MergeConflictError():
            return MemberEnding(is_waiting=True)
        case PlanCancelledError():
            return MemberEnding()
        case None:
            answer = answers[index]
            return MemberEnding(failure=answer.text if answer.is_failed else "")
        case error:
            return MemberEnding(failure=str(error))


def _raise_first(fatal: Mapping[int, BaseException]) -> None:
    if fatal:
        raise fatal[min(fatal, key=lambda index: (_rank(fatal[index]), index))]


def _rank(error: BaseException) -> int:
    # Anything that is no verdict of ours outranks a verdict; who was ended because of another
    # says nothing about why the plan ends.
    if not isinstance(error, CleverAgentsError):
        return 0
    return 2 if isinstance(error, PlanCancelledError) else 1


def _with_actor(arguments: Mapping[str, object]) -> Mapping[str, object]:
    """A model's child thinks with the model that its parent was lent."""
    return {**arguments, "actor": {"kind": "llm"}}


def _own_budget(arguments: Mapping[str, object]) -> bool:
    try:
        return subplan_from_stored(arguments).delegate.budget != NO_LIMITS
    except ConfigurationError:
        return False
