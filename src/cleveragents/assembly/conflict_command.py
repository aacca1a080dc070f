"""`agents plan conflicts` and `resolve`: what a merge or an apply left for a person."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cleveragents.assembly.house import person
from cleveragents.assembly.opened_house import opened_house, opened_means
from cleveragents.plans.charter import read_charter
from cleveragents.record import plan_row
from cleveragents.terms.answer import Answer, Message
from cleveragents.terms.interaction import Nobody

if TYPE_CHECKING:
    from cleveragents.plans.means import Means


def conflicts(plan_id: str) -> Answer:
    """List what waits to be settled."""
    with opened_house() as house, opened_means(house, Nobody()) as means:
        found = _open_conflicts(means, plan_id)
        # What an apply met in the user's directory is no merge's: it is kept with the plan.
        kept = plan_row.get(house.store(), plan_id).detail.get("conflicts", [])
        found += [one for one in kept if one.get("kind") == "apply"]
        return Answer(data={"plan_id": plan_id, "conflicts": found})


def resolve(plan_id: str, path: str, take: str) -> Answer:
    """Settle one conflicted path; the last one makes the plan resumable."""
    with opened_house() as house, opened_means(house, Nobody()) as means:
        charter = read_charter(means.log, _conflicted(means, plan_id, path))
        with means.owned(charter.root_id):
            means.conflicts.resolve(charter, path, take=take, who=person(os.environ))
            left = _open_conflicts(means, plan_id)
            for one in plan_row.of_root(means.store, charter.root_id):
                if one.detail.get("conflicts"):
                    detail = {**one.detail, "conflicts": _open_conflicts(means, one.plan_id)}
                    means.rows.update(one.plan_id, detail=detail)
        after = f"agents plan resume {charter.root_id}" if not left else "agents plan conflicts"
        text = f"{path}: took {take}; {len(left)} left, next: {after}"
        return Answer(
            data={"plan_id": plan_id, "conflicts": left}, messages=(Message("info", text),)
        )


def _open_conflicts(means: Means, plan_id: str) -> list[dict[str, object]]:
    """The open conflicts of a plan and of those below it."""
    family = plan_row.family(means.store, plan_id)
    return [one for row in family for one in means.conflicts.listing(row.plan_id)]


def _conflicted(means: Means, plan_id: str, path: str) -> str:
    """Which plan of a family has an open conflict in a path; the asked one when none has."""
    for row in plan_row.family(means.store, plan_id):
        if any(one["path"] == path for one in means.conflicts.listing(row.plan_id)):
            return row.plan_id
    return plan_id
