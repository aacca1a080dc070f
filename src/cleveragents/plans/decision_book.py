"""Who decided what, and why: the decisions of each plan, once each, in the record.

The record's kind ``decision`` is the door's verdict on one call. A choice is
what lies before: how a goal is reached, who does a part, whether to go on over
a refusal. A resumed plan takes the same way and meets the same keys, so that
none of its choices is written twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, Protocol

from cleveragents.errors import ConfigurationError
from cleveragents.record.decision_tree_view import fold
from cleveragents.record.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from cleveragents.record.decision_tree_view import Decision
    from cleveragents.record.log import RecordLog
    from cleveragents.record.redaction import Redactor

By = Literal["actor", "person", "runtime"]
PLAN_KEY: Final = "plan"
"""Of the first decision of each plan: how its goal is reached."""
SPAWN_KEY: Final = "spawn:"
"""Begins the key of who does a part; the step of the spawn call follows."""
MAX_TEXT: Final = 500
"""Characters of a question, a choice and an outcome that are kept."""
MAX_REASON: Final = 2_000
MAX_ALTERNATIVE: Final = 200
MAX_ALTERNATIVES: Final = 12
MAX_NAME: Final = 128
"""Characters of a call's id."""
MAX_CALLS: Final = 64
# With these, no part of an entry is large enough to be moved out of the record's row, whatever
# its characters are: the views read the row alone.


@dataclass(frozen=True, slots=True)
class Choice:
    """What was decided."""

    key: str
    """What makes it this decision on every way that a replay takes, such as ``spawn:docs``."""
    question: str
    """What was to be decided."""
    choice: str
    alternatives: tuple[str, ...] = ()
    """What else there was."""
    reason: str = ""
    calls: tuple[str, ...] = ()
    """Ids of the plan's calls that follow from it."""
    parent: str = ""
    """The decision that it belongs to; empty: the plan's first."""
    by: By = "actor"
    who: str = ""
    """The person, where it is known."""


class HasIds(Protocol):
    """A plan, by its ids: a charter is one."""

    @property
    def plan_id(self) -> str:
        """Its id."""

    @property
    def root_id(self) -> str:
        """That of the root plan whose chain it is recorded in."""


class DecisionBook:
    """Writes and reads the decisions of the plans that this process owns.

    Args:
        log: The record.
        redactor: Replaces credential values in what an actor says of itself.
        lock: The store's: a decision may be part of a transaction.
    """

    def __init__(
        self, log: RecordLog, redactor: Redactor, *, lock: AbstractContextManager[bool]
    ) -> None:
        self._log = log
        self._redactor = redactor
        # INVARIANT: the store's own lock and no second one: whoever is in a transaction holds it.
        self._lock = lock
        self._known: dict[str, dict[str, Decision]] = {}

    def begin(self, plan: HasIds, choice: Choice, *, is_fresh: bool) -> None:
        """Record the first decision of a plan that is about to run.

        Args:
            plan: The plan.
            choice: How its goal is reached.
            is_fresh: It was made just now: its record is empty.
        """
        with self._lock:
            if is_fresh:
                self._known[plan.plan_id] = {}
            self.record(plan, replace(choice, key=PLAN_KEY))

    def record(self, plan: HasIds, choice: Choice) -> str:
        """Record a decision, unless the same key of the same plan is recorded already.

        Texts that are too long are cut, and items that are too many left out.

        Args:
            plan: The plan that decides.
            choice: What was decided.

        Returns:
            Its id, unique in its plan: ``d1``, ``d2``. Of a key that is known,
            the id that it has, whatever else is said this time.
        """
        clean = self._redactor.text
        key = clean(choice.key)
        with self._lock:
            known = self._of(plan.plan_id)
            if key in known:
                return known[key].decision_id
            first = known.get(PLAN_KEY)
            body = {
                "decision_id": f"d{len(known) + 1}",
                "key": key,
                "question": clean(choice.question)[:MAX_TEXT],
                "choice": clean(choice.choice)[:MAX_TEXT],
                "alternatives": [
                    clean(one)[:MAX_ALTERNATIVE] for one in choice.alternatives[:MAX_ALTERNATIVES]
                ],
                "reason": clean(choice.reason)[:MAX_REASON],
                "calls": [clean(call)[:MAX_NAME] for call in choice.calls[:MAX_CALLS]],
                "parent": choice.parent or (first.decision_id if first else ""),
                "by": choice.by,
                "who": choice.who[:MAX_NAME],
            }
            at = self._append("choice", plan, body)
            (known[key],) = fold([("choice", at, body)])
            return known[key].decision_id

    def conclude(self, plan: HasIds, decision_id: str, outcome: str) -> None:
        """Say what became of a decision; the latest word counts, and is written once.

        Raises:
            ConfigurationError: The plan has made no such decision.
        """
        with self._lock:
            known = self._of(plan.plan_id)
            key = _key_of(known, decision_id)
            text = self._redactor.text(outcome)[:MAX_TEXT]
            if known[key].outcome != text:
                body = {"decision_id": decision_id, "outcome": text}
                self._append("choice_outcome", plan, body)
                known[key] = known[key]._replace(outcome=text)

    def find(self, plan_id: str, decision_id: str) -> Decision | None:
        """Give a decision of a plan; ``None`` when it has made no such decision."""
        with self._lock:
            found = self._of(plan_id).values()
            return next((one for one in found if one.decision_id == decision_id), None)

    def find_key(self, plan_id: str, key: str) -> str:
        """Give the id of the decision with a key; empty when there is none."""
        with self._lock:
            found = self._of(plan_id).get(self._redactor.text(key))
            return found.decision_id if found else ""

    def find_spawn(self, plan_id: str, call_id: str) -> str:
        """Give the id of the decision that a spawn call follows from; empty when there is none."""
        return self.find_key(plan_id, SPAWN_KEY + call_id.partition("~")[0])

    def listing(self, plan_id: str) -> tuple[Decision, ...]:
        """Give every decision of one plan, and of no other, in the order of deciding."""
        with self._lock:
            return tuple(self._of(plan_id).values())

    def forget(self, plan_id: str) -> None:
        """Keep nothing of a plan in memory; the record has it."""
        with self._lock:
            self._known.pop(plan_id, None)

    def _of(self, plan_id: str) -> dict[str, Decision]:
        found = self._known.get(plan_id)
        if found is None:
            # Only the plan's owner writes decisions: read once, it is known.
            entries = self._log.call_entries(plan_id, "")
            found = {
                one.key: one
                for one in fold((e.kind, e.at, self._log.resolve(e.body)) for e in entries)
            }
            self._known[plan_id] = found
        return found

    def _append(
        self,
        kind: Literal["choice", "choice_outcome"],
        plan: HasIds,
        body: Mapping[str, object],
    ) -> str:
        entry = Entry(kind=kind, root_id=plan.root_id, plan_id=plan.plan_id, call_id="", body=body)
        return self._log.append(entry).at


def _key_of(known: Mapping[str, Decision], decision_id: str) -> str:
    for key, one in known.items():
        if one.decision_id == decision_id:
            return key
    raise ConfigurationError(
        problem=f"the plan has made no decision {decision_id!r}",
        hint="'agents plan explain' lists them",
    )
