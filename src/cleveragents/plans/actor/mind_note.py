"""A model's own notes: decisions, earlier results read again, and the result that it hands in.

Nothing of it touches anything; it is answered by the loop and asks no door.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cleveragents.plans.actor.conversation import RECALL
from cleveragents.plans.actor.mind_answer import Answer
from cleveragents.plans.actor.output import output_problem
from cleveragents.plans.actor.program import Submission
from cleveragents.plans.decision_book import Choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.plans.actor.conversation import Conversation
    from cleveragents.terms.model import ToolAsk


class NoteTaker(Protocol):
    """The executor, as a model's notes see it."""

    def decide(self, choice: Choice) -> str:
        """Record a decision, once; gives its id."""


class MindNotes:
    """Answers the tools that are notes.

    Args:
        taker: The executor.
        conversation: Where earlier results are read again.
        outputs: JSON Schema of each value that it has to hand in.
    """

    def __init__(
        self,
        taker: NoteTaker,
        conversation: Conversation,
        *,
        outputs: Mapping[str, Mapping[str, object]],
    ) -> None:
        self._taker = taker
        self._talk = conversation
        self._outputs = outputs

    def note(self, call_id: str, ask: ToolAsk) -> Answer:
        """Take a decision down, or read an earlier result again."""
        if ask.name == RECALL:
            return self._recalled(call_id, ask.arguments)
        found = ask.arguments
        question, choice = found.get("question"), found.get("choice")
        alternatives = found.get("alternatives", [])
        if not isinstance(question, str) or not isinstance(choice, str) or not question:
            return Answer(call_id, "a decision needs a question and a choice", is_failed=True)
        others = tuple(map(str, alternatives)) if isinstance(alternatives, list) else ()
        reason = str(found.get("reason", ""))
        name = self._taker.decide(Choice(call_id, question, choice, others, reason))
        return Answer(call_id, f"recorded as {name}")

    def _recalled(self, call_id: str, arguments: Mapping[str, object]) -> Answer:
        name, offset = arguments.get("call_id"), arguments.get("offset", 0)
        if not isinstance(name, str) or not isinstance(offset, int) or offset < 0:
            return Answer(call_id, "needs a call_id, and an offset from 0 on", is_failed=True)
        text = self._talk.recall(name, offset)
        if text is None:
            return Answer(call_id, f"no long result is kept under {name[:64]!r}", is_failed=True)
        return Answer(call_id, text)

    def submitted(self, arguments: Mapping[str, object]) -> tuple[Submission, str]:
        """Read a result that is handed in.

        Returns:
            The result, and why it is not taken; empty when it is.
        """
        outputs = arguments.get("outputs")
        if not isinstance(outputs, dict):
            return Submission(), "'outputs' is missing"
        missing = sorted(self._outputs.keys() - outputs.keys())
        if missing:
            return Submission(), f"the output {missing[0]!r} is missing"
        problem = output_problem(outputs, self._outputs)
        if problem:
            return Submission(), problem
        return Submission(outputs=outputs, summary=str(arguments.get("summary", ""))), ""
