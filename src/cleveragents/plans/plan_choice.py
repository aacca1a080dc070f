"""The choices that every plan makes, in words: its way, and who does a part of it."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from cleveragents.errors import (
    BudgetExceededError,
    CleverAgentsError,
    MergeConflictError,
    MergeRefusedError,
    PlanCancelledError,
    RefusalError,
    ToolFailedError,
)
from cleveragents.plans.decision_book import PLAN_KEY, SPAWN_KEY, Choice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cleveragents.plans.charter import Charter
    from cleveragents.plans.decision_book import DecisionBook
    from cleveragents.terms.call import ToolCall
    from cleveragents.terms.plan import DelegationRequest, PlanDefinition, SubplanDefinition

SIDES: Final = ("ours", "theirs", "base")
"""``ours`` = the parent's tree so far, ``theirs`` = the child's (design, section 11)."""
SHOWN: Final = 8
"""Names of one kind that a sentence holds; of more it says how many."""


def first_choice(definition: PlanDefinition | SubplanDefinition, *, is_root: bool) -> Choice:
    """How a plan's goal is reached: decided by whoever wrote or started the plan."""
    actor = definition.actor
    match actor.kind:
        case "script":
            number = len(definition.steps)
            way = "the 1 step of its script" if number == 1 else f"the {number} steps of its script"
        case "program":
            way = f"the program: {shlex.join(actor.command)}"
        case "llm":
            way = "a model, call by call" + (f": {actor.model}" if actor.model else "")
        case "gateway":
            way = "what an MCP client asks for, call by call"
    return Choice(
        key=PLAN_KEY,
        question=definition.goal or f"how is {definition.name} done?",
        choice=way,
        by="person" if is_root else "actor",
    )


def spawn_choice(request: ToolCall, definition: SubplanDefinition) -> Choice:
    """Who does a part: the child, with what it is handed in one line."""
    return Choice(
        key=SPAWN_KEY + request.step,
        question=f"who does {definition.goal or request.step}?",
        choice=f"the subplan {definition.name}, with {_handed_on(definition.delegate)}",
        calls=(request.call_id,),
    )


@contextmanager
def spawning(
    decisions: DecisionBook, parent: Charter, request: ToolCall, definition: SubplanDefinition
) -> Iterator[None]:
    """Record who does a part of a plan before it is spawned, and how that ended.

    A child that waits for a person, or whose host ends, has not ended.
    """
    decision = decisions.record(parent, spawn_choice(request, definition))
    try:
        yield
    except CleverAgentsError as error:
        word = word_of(error)
        if word:
            decisions.conclude(parent, decision, word)
        raise
    decisions.conclude(parent, decision, "merged")


def word_of(error: CleverAgentsError) -> str:
    """How a spawn ended, in a word; nothing of the child's own and no figure of a plan above."""
    match error:
        case RefusalError():
            is_budget = error.exit_code == BudgetExceededError.exit_code
            return "over budget" if is_budget else "refused"
        case MergeRefusedError():
            return "its changes were refused"
        case MergeConflictError():
            return "conflicted"
        case PlanCancelledError():
            return "cancelled"
        case ToolFailedError():
            return "failed"
        case _:
            return ""


def conflict_choice(
    paths: tuple[str, ...], *, take: str, call_id: str, parent: str, key: str
) -> Choice:
    """Which side of a conflict is taken.

    Args:
        paths: Where both sides changed the same.
        take: ``ours``, ``theirs``, ``base`` or the path of a file.
        call_id: The spawn call whose merge it is.
        parent: The decision that spawned the child.
        key: What makes it this decision.
    """
    return Choice(
        key=key,
        question=f"both sides changed {_named(paths)}: which is taken?",
        choice=take if take in SIDES else f"the file {take}",
        alternatives=tuple(side for side in SIDES if side != take),
        calls=(call_id,),
        parent=parent,
    )


def _handed_on(delegate: DelegationRequest) -> str:
    parts = [
        ("", delegate.tools),
        ("read ", delegate.read),
        ("write ", delegate.write),
        ("hosts ", delegate.hosts),
        ("credentials ", delegate.credentials),
    ]
    said = [word + _named(names) for word, names in parts if names]
    if delegate.depth:
        said.append(f"depth {delegate.depth}")
    return "; ".join(said) or "nothing"


def _named(names: tuple[str, ...]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
