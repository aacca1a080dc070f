"""What a plan decided, in the order of deciding and as a tree.

Read path: nothing dear is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cleveragents.record.violation_view import read_body

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cleveragents.record.plan_row import PlanRow
    from cleveragents.record.store import Store

PROGRAM_LOG: Final = "program_log"
"""Marks the note that holds the last part of what a program printed."""
MAX_NESTING: Final = 12
"""Decisions below decisions; what an actor nests deeper stands at this depth."""


class Decision(NamedTuple):
    """One choice of a plan."""

    decision_id: str
    key: str
    """What it is recognised by when the plan is resumed."""
    question: str
    choice: str
    alternatives: tuple[str, ...]
    reason: str
    calls: tuple[str, ...]
    """Calls of the plan that followed from it."""
    parent: str
    """The decision that it belongs to; empty for the first."""
    by: str
    """``actor``, ``person`` or ``runtime``."""
    who: str
    """The person."""
    at: str
    outcome: str = ""
    """What became of it; empty as long as nobody knows."""


def fold(entries: Iterable[tuple[str, str, Mapping[str, object]]]) -> tuple[Decision, ...]:
    """Make decisions of a plan's entries.

    Args:
        entries: Kind, time and body of each, oldest first; those of other kinds are passed over.
    """
    found: dict[str, Decision] = {}
    for kind, at, body in entries:
        name = str(body.get("decision_id"))
        if kind == "choice":
            found[name] = _decision(name, at, body)
        elif kind == "choice_outcome" and name in found:
            found[name] = found[name]._replace(outcome=str(body.get("outcome")))
    return tuple(found.values())


def to_mapping(decision: Decision) -> dict[str, object]:
    """Give a decision as people and programs see it; what it is recognised by is left out."""
    mapping: dict[str, object] = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in decision._asdict().items()
        if name != "key"
    }
    # As everywhere in the data: what there is none of is null.
    return {name: None if value == "" else value for name, value in mapping.items()}


def plan_decisions(store: Store, plan: PlanRow) -> list[dict[str, Any]]:
    """Give the decisions of one plan in the order of deciding.

    What a person said to a call that waited is one of them: it stands in the
    record as ``approval``, and is not written a second time.

    Args:
        store: The database.
        plan: The plan.

    Returns:
        One mapping a decision; its ``subplans`` are the children that its
        calls made.
    """
    rows = store.execute(
        "SELECT kind, at, call_id, body FROM record WHERE plan_id = ? AND kind IN"
        " ('choice', 'choice_outcome', 'approval', 'spawn') ORDER BY position",
        (plan.plan_id,),
    )
    entries: list[tuple[str, str, Mapping[str, object]]] = []
    children: dict[str, str] = {}
    answers = 0
    for kind, at, call_id, text in rows:
        body = read_body(text, plan.plan_id)
        if kind == "spawn":
            children[call_id] = str(body.get("subplan_id"))
        elif kind == "approval":
            answers += 1
            entries.append(("choice", at, _answer(f"a{answers}", call_id, body)))
        else:
            entries.append((kind, at, body))
    found = [to_mapping(one) for one in fold(entries)]
    for one in found:
        one["subplans"] = [children[call] for call in _texts(one["calls"]) if call in children]
    if found and found[0]["parent"] is None:
        # How the goal is reached comes out as the plan does.
        found[0]["outcome"] = plan.outcome or plan.state
    return found


def nest(decisions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put each decision below the one that it belongs to, as its ``decisions``."""
    nested = [{**one, "decisions": []} for one in decisions]
    depths: dict[str, int] = {}
    by_id: dict[str, dict[str, Any]] = {}
    tops: list[dict[str, Any]] = []
    for one in nested:
        parent = by_id.get(str(one["parent"]))
        while parent is not None and depths[parent["decision_id"]] >= MAX_NESTING:
            parent = by_id[str(parent["parent"])]
        depths[one["decision_id"]] = depths[parent["decision_id"]] + 1 if parent else 1
        by_id[one["decision_id"]] = one
        (parent["decisions"] if parent else tops).append(one)
    return tops


def program_logs(store: Store, plan_id: str) -> list[dict[str, Any]]:
    """Give the last part of what the program of a plan printed, once for each of its starts."""
    rows = store.execute(
        "SELECT at, body FROM record WHERE plan_id = ? AND call_id = '' AND kind = 'note'"
        " ORDER BY position",
        (plan_id,),
    )
    notes = [(at, read_body(text, plan_id)) for at, text in rows]
    return [
        {
            "attempt": body.get("attempt"),
            "text": body[PROGRAM_LOG],
            "left_out": body.get("left_out"),
            "at": at,
        }
        for at, body in notes
        if PROGRAM_LOG in body
    ]


def _answer(name: str, call_id: str, body: Mapping[str, object]) -> dict[str, object]:
    said, otherwise = ("yes", "no") if body.get("allow") is True else ("no", "yes")
    return {
        "decision_id": name,
        "key": f"approval:{call_id}",
        "question": f"may the call {call_id} run?",
        "choice": said,
        "alternatives": [otherwise],
        "reason": body.get("reason") or "",
        "calls": [call_id],
        "parent": "d1",
        "by": "person",
        "who": body.get("who") or "",
    }


def _decision(name: str, at: str, body: Mapping[str, object]) -> Decision:
    return Decision(
        decision_id=name,
        key=str(body.get("key")),
        question=str(body.get("question")),
        choice=str(body.get("choice")),
        alternatives=_texts(body.get("alternatives")),
        reason=str(body.get("reason")),
        calls=_texts(body.get("calls")),
        parent=str(body.get("parent")),
        by=str(body.get("by")),
        who=str(body.get("who", "")),
        at=at,
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()
