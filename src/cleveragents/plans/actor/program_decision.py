"""What a program says of its own decisions: words for people, within limits, never believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from cleveragents.boundary.program_message import Accepted, Answer, Decide, Refused
from cleveragents.plans.decision_book import (
    MAX_ALTERNATIVE,
    MAX_ALTERNATIVES,
    MAX_REASON,
    MAX_TEXT,
    Choice,
)
from cleveragents.record.decision_tree_view import to_mapping
from cleveragents.terms.digest import digest_value
from cleveragents.terms.excerpt import MAX_RESULT_BYTES, json_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cleveragents.boundary.program_message import Outcome, ToProgram
    from cleveragents.record.decision_tree_view import Decision

MAX_DECISIONS: Final = 1_000
"""Of one program; each is an entry of the record."""
MAX_OUTCOMES: Final = 2_000
_KEY: Final = "decide-"
"""Begins the key of what a program decided, and of nothing else."""


class Decider(Protocol):
    """The executor, as far as decisions go."""

    def decide(self, choice: Choice) -> str:
        """Record a decision of the plan, once."""

    def conclude(self, decision_id: str, outcome: str) -> None:
        """Say what became of a decision of the plan."""

    def decision(self, decision_id: str) -> Decision | None:
        """Give a decision of the plan; ``None`` when it has made no such decision."""


class ProgramDecisions:
    """Takes the decisions of one program.

    Args:
        caller: The executor.
    """

    def __init__(self, caller: Decider) -> None:
        self._caller = caller
        self._decided = 0
        self._concluded = 0

    def take(self, message: Decide | Outcome) -> ToProgram:
        """Record a decision or what became of one, or say why it is not taken.

        A program that was started again and decides the same in the same place
        gets the same id; what it decides differently now is another decision.
        """
        return self._decide(message) if isinstance(message, Decide) else self._conclude(message)

    def _decide(self, message: Decide) -> ToProgram:
        problem = self._problem(message)
        if problem:
            return Refused(seq=message.seq, code="decide", reason=problem)
        self._decided += 1
        said = [message.question, message.choice, message.alternatives, message.reason]
        name = self._caller.decide(
            Choice(
                key=f"{_KEY}{message.seq}:{digest_value([*said, message.parent])}",
                question=message.question,
                choice=message.choice,
                alternatives=message.alternatives,
                reason=message.reason,
                parent=message.parent,
            )
        )
        return Answer(seq=message.seq, value={"decision": name})

    def _conclude(self, message: Outcome) -> ToProgram:
        found = self._caller.decision(message.decision)
        problem = ""
        if self._concluded >= MAX_OUTCOMES:
            problem = f"more than {MAX_OUTCOMES} outcomes"
        elif len(message.text) > MAX_TEXT:
            problem = f"an outcome has at most {MAX_TEXT} characters"
        elif found is None or not found.key.startswith(_KEY):
            # What the runtime or a person decided is not for a program to close.
            problem = "this program has made no such decision"
        if problem:
            return Refused(seq=message.seq, code="outcome", reason=problem)
        self._concluded += 1
        self._caller.conclude(message.decision, message.text)
        return Accepted(seq=message.seq)

    def _problem(self, message: Decide) -> str:
        if self._decided >= MAX_DECISIONS:
            return f"more than {MAX_DECISIONS} decisions"
        if not message.question.strip() or not message.choice.strip():
            return "a decision has a question and a choice"
        if message.parent and self._caller.decision(message.parent) is None:
            return "its parent is no decision of this plan"
        return _excess(message)


def _excess(message: Decide) -> str:
    if max(len(message.question), len(message.choice)) > MAX_TEXT:
        return f"a question and a choice have at most {MAX_TEXT} characters"
    if len(message.reason) > MAX_REASON:
        return f"a reason has at most {MAX_REASON} characters"
    if len(message.alternatives) > MAX_ALTERNATIVES:
        return f"there are more than {MAX_ALTERNATIVES} alternatives"
    if any(len(one) > MAX_ALTERNATIVE for one in message.alternatives):
        return f"an alternative has at most {MAX_ALTERNATIVE} characters"
    return ""


def shown_decisions(decisions: Sequence[Decision]) -> dict[str, object]:
    """Give a plan's own decisions as its program gets them: the latest that fit one message.

    Returns:
        ``decisions``, oldest first, and as ``left_out`` how many came before them.
    """
    shown: list[dict[str, object]] = []
    room = MAX_RESULT_BYTES
    for one in reversed(decisions):
        item = to_mapping(one)
        room -= json_bytes(item) + 1
        if room < 0:
            break
        shown.append(item)
    return {"decisions": shown[::-1], "left_out": len(decisions) - len(shown)}
