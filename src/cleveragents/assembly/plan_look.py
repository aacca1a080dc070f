"""`agents plan diff`, `explain`, `list` and `tree`: what looks at plans and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleveragents.assembly.opened_house import opened_house, opened_means
from cleveragents.errors import ConfigurationError
from cleveragents.plans.served_plan import check_has_changes
from cleveragents.record import plan_row
from cleveragents.record.call_view import explain_plan
from cleveragents.record.decision_tree_view import nest
from cleveragents.record.status_view import plan_list, plan_status
from cleveragents.terms.answer import Answer
from cleveragents.terms.interaction import Nobody

if TYPE_CHECKING:
    from cleveragents.terms.plan import State


def diff(plan_id: str) -> Answer:
    """Show what a plan changed against its base."""
    with opened_house() as house, opened_means(house, Nobody()) as means:
        check_has_changes(plan_row.get(house.store(), plan_id))
        proposal = means.proposals.read(plan_id)
        if proposal is None:
            raise ConfigurationError(
                problem=f"plan {plan_id} has no collected changes yet",
                hint=f"agents plan status {plan_id}",
            )
        data: dict[str, Any] = {
            "plan_id": plan_id,
            "diff": means.git.patch(proposal.base_tree, proposal.tree),
            "changes": [{"path": c.path, "kind": c.kind} for c in proposal.changes],
            "refused": [{"path": r.path, "reason": r.reason} for r in proposal.refused],
            "held": list(proposal.held),
            "ignored": proposal.ignored,
        }
        return Answer(data=data)


def explain(plan_id: str, decision: str | None) -> Answer:
    """Say what a plan decided, and for every call which rule of which profile did."""
    with opened_house() as house:
        return Answer(data=explain_plan(house.store(), plan_id, decision or ""))


def list_plans(state: State | None) -> Answer:
    """List the plans of this home."""
    with opened_house() as house:
        return Answer(data=plan_list(house.store(), state=state))


def tree(plan_id: str) -> Answer:
    """Draw a plan with its decisions, calls, subplans, violations and costs."""
    with opened_house() as house:
        rows = plan_row.family(house.store(), plan_id)
        locks = house.home / "locks"
        data = {
            row.plan_id: plan_status(house.store(), row.plan_id, locks_dir=locks) for row in rows
        }
        for row in rows:
            explained = explain_plan(house.store(), row.plan_id)
            data[row.plan_id] |= {
                "decisions": nest(explained["decisions"]),
                "calls": explained["calls"],
            }
        children: dict[str, list[object]] = {}
        for row in sorted(rows, key=lambda row: -row.depth):
            data[row.plan_id]["subplans"] = children.get(row.plan_id, [])
            if row.parent_plan_id is not None:
                children.setdefault(row.parent_plan_id, []).append(data[row.plan_id])
        return Answer(data=data[plan_id])
