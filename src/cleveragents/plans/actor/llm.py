"""The model actor: asks a model what to do next, and does it through the door.

The loop is ours, one request at a time, so that the record can answer each
request and each call again: a replay takes the same way to the same place. A
model's words are data here; what it wants done is asked of the executor like
anybody's call (ADR 0008).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Protocol

from cleveragents.errors import (
    ModelFailedError,
    RefusalError,
    ToolFailedError,
)
from cleveragents.plans.actor.mind_call import MindCaller, MindCalls
from cleveragents.plans.actor.program import Submission
from cleveragents.plans.decision_book import Choice
from cleveragents.runtime.model_ask import ModelAsk
from cleveragents.terms.digest import digest_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.plans.actor.conversation import Conversation
    from cleveragents.plans.actor.mind_answer import Answer
    from cleveragents.plans.mind import Mind
    from cleveragents.terms.model import ModelEndpoint, ModelReply, ModelRequest, ModelTool

MAX_TRIES: Final = 3
"""Of one endpoint in one turn, for failures that may pass."""
MAX_REPEATS: Final = 5
"""Turns in a row that ask for exactly the same: a model that goes round in circles."""
MAX_REMINDERS: Final = 3
"""How often a model is told that its result is still missing."""
_AGAIN: Final = frozenset({"interrupted", "bad_reply", "timed_out", "overloaded", "outage"})
_ELSEWHERE: Final = frozenset({"overloaded", "outage"})
_CUT: Final = "Your answer was cut off at its length limit. Go on, in shorter steps."
_MISSING: Final = "The outputs are still missing: call submit_result."
_EMPTY: Final = "You answered nothing. Call a tool, or say in a few words how the work ended."


class ModelCaller(MindCaller, Protocol):
    """The executor, as a model actor sees it."""

    def ask_model(self, ask: ModelAsk) -> ModelReply:
        """Take one request through the door."""

    def should_stop(self) -> bool:
        """Say whether the plan is cancelled or out of time."""


class Speech:
    """A model's words as they arrive, told line by line."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._rest = ""

    def hear(self, text: str) -> None:
        """Take the next piece."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._say(line)

    def end(self) -> None:
        """Tell what no line's end came after."""
        self._say(self._rest)
        self._rest = ""

    def _say(self, line: str) -> None:
        if line.strip():
            self._tell(line)


class LlmActor:
    """One plan's model, from the goal to its last word.

    Args:
        caller: The executor.
        mind: Models and bounds, as they were fixed when the plan started.
        endpoints: Who is asked, the first choice first.
        conversation: Instructions and tools; the goal is said already.
        outputs: JSON Schema of each value that it has to hand in.
        size_of: An upper bound of a request's tokens.
    """

    def __init__(
        self,
        caller: ModelCaller,
        *,
        mind: Mind,
        endpoints: tuple[ModelEndpoint, ...],
        conversation: Conversation,
        tools: tuple[ModelTool, ...],
        outputs: Mapping[str, Mapping[str, object]],
        size_of: Callable[[ModelRequest], int],
    ) -> None:
        self._caller = caller
        self._mind = mind
        self._endpoints = endpoints
        self._talk = conversation
        self._calls = MindCalls(caller, conversation, tools=tools, outputs=outputs)
        self._outputs = outputs
        self._size_of = size_of
        self._current = 0
        self._refusals = 0
        self._repeats: tuple[str, int] = ("", 0)

    def run(self) -> Submission:
        """Ask and act until the model is done.

        Raises:
            RefusalError: A budget, or the last of too many refusals in a row.
            ToolFailedError: The model failed, or comes to no end.
            CleverAgentsError: What ends any plan: a person is asked, a cancel.
        """
        reminders = 0
        for turn in range(1, self._mind.max_turns + 1):
            self._talk.shrink(self._mind.context_tokens, self._size_of)
            reply = self._ask(turn)
            self._talk.answer(reply)
            if reply.finish == "refused" and not reply.asks:
                raise ToolFailedError(
                    tool_name="model_request", reason="the provider's filter withheld the answer"
                )
            if reply.asks:
                self._check_repeats(reply)
                submission = self._act(turn, reply)
                if submission is not None:
                    return submission
                continue
            reminder = self._reminder(reply)
            if not reminder:
                return Submission(summary=reply.text.strip())
            reminders += 1
            if reminders > MAX_REMINDERS:
                raise ToolFailedError(tool_name="model_request", reason=_never(reminder))
            self._talk.say(reminder)
        raise ToolFailedError(
            tool_name="model_request",
            reason=f"the model has not come to an end in {self._mind.max_turns} turns"
            " (setting: max_turns)",
        )

    def _reminder(self, reply: ModelReply) -> str:
        if reply.finish == "length":
            return _CUT
        if self._outputs:
            return _MISSING
        return "" if reply.text.strip() else _EMPTY

    # -- asking ---------------------------------------------------------------

    def _ask(self, turn: int) -> ModelReply:
        attempt, tries = 0, 0
        while True:
            attempt, tries = attempt + 1, tries + 1
            speech = Speech(self._caller.tell)
            try:
                reply = self._caller.ask_model(self._asked(turn, attempt, speech))
            except ModelFailedError as error:
                if self._has_another_way(turn, attempt, error):
                    tries = 0
                elif error.kind not in _AGAIN or tries >= MAX_TRIES:
                    raise
            else:
                speech.end()
                return reply

    def _has_another_way(self, turn: int, attempt: int, error: ModelFailedError) -> bool:
        if error.kind == "too_long":
            return self._talk.elide()
        return error.kind in _ELSEWHERE and self._fall_back(turn, attempt, error)

    def _asked(self, turn: int, attempt: int, speech: Speech) -> ModelAsk:
        endpoint = self._endpoints[self._current]
        return ModelAsk(
            step=f"turn{turn}",
            attempt=attempt,
            endpoint=endpoint,
            request=self._talk.request(),
            # Only the first attempt's entry holds the words; the others are the same request.
            new=self._talk.new if attempt == 1 else (),
            digest=digest_value([self._talk.digest, endpoint.model, endpoint.base_url]),
            on_text=speech.hear,
            should_stop=self._caller.should_stop,
        )

    def _fall_back(self, turn: int, attempt: int, error: ModelFailedError) -> bool:
        """Go over to the next model; False when there is none."""
        if self._current + 1 >= len(self._endpoints):
            return False
        failed = self._endpoints[self._current].model
        self._current += 1
        self._caller.decide(
            Choice(
                key=f"turn{turn}.fallback{attempt}",
                question="which model answers?",
                choice=self._endpoints[self._current].model,
                alternatives=(failed,),
                reason=error.reason,
                by="runtime",
            )
        )
        return True

    def _check_repeats(self, reply: ModelReply) -> None:
        digest = digest_value([[ask.name, ask.arguments, ask.problem] for ask in reply.asks])
        last, count = self._repeats
        count = count + 1 if digest == last else 1
        self._repeats = (digest, count)
        if count > MAX_REPEATS:
            raise ToolFailedError(
                tool_name="model_request",
                reason=f"the model asked for exactly the same calls {count} times in a row",
            )

    # -- acting ---------------------------------------------------------------

    def _act(self, turn: int, reply: ModelReply) -> Submission | None:
        answers, submission = self._calls.make(turn, reply)
        for ask, answer in zip(reply.asks, answers, strict=True):
            self._talk.result(
                ask.id, ask.name, answer.call_id, answer.text, is_failed=answer.is_failed
            )
        self._count_refusals(answers)
        return submission

    def _count_refusals(self, answers: tuple[Answer, ...]) -> None:
        last: RefusalError | None = None
        for answer in answers:
            if answer.refusal is not None:
                self._refusals += 1
                last = answer.refusal
            elif not answer.is_failed:
                self._refusals = 0
        if last is not None and self._refusals >= self._mind.max_refusals:
            raise last


def _never(reminder: str) -> str:
    return f"the model did not mend its answer, asked {MAX_REMINDERS} times: {json.dumps(reminder)}"
