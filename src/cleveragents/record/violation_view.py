"""Refused calls as ``plan status`` shows them. Read path: nothing dear is imported here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cleveragents.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Collection

    from cleveragents.record.plan_row import PlanRow
    from cleveragents.record.store import Store


def violations(store: Store, family: Collection[PlanRow]) -> list[dict[str, Any]]:
    """Give every refused call of some plans of one tree, oldest first.

    Args:
        store: Where the record is.
        family: The plans; all of one root plan.

    Returns:
        One mapping a call, as the contract names its keys, with ``rule``,
        ``call_id`` and the further ``refusals`` of the same call besides.
        ``subplan_id`` is the refused plan's id when that is a subplan.
    """
    by_id = {row.plan_id: row for row in family}
    roots = {row.root_id for row in family}
    found = []
    for root_id in sorted(roots):
        rows = store.execute(
            "SELECT plan_id, call_id, at, body FROM record"
            " WHERE root_id = ? AND kind = 'violation' ORDER BY position",
            (root_id,),
        )
        for plan_id, call_id, at, text in rows:
            plan = by_id.get(plan_id)
            if plan is not None:
                body = read_body(text, plan_id)
                found.append(_violation(plan, call_id, at, body))
    return found


def read_body(text: str, plan_id: str) -> dict[str, Any]:
    """Read a stored body without the encoder that wrote it.

    Raises:
        RecordError: It is no JSON object.
    """
    try:
        body = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise RecordError(
            problem=f"a record of plan {plan_id} cannot be read: its body is no JSON object",
            hint="'agents audit verify' says more",
        )
    return body


def _violation(plan: PlanRow, call_id: str, at: str, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": body.get("kind"),
        "plan_id": plan.plan_id,
        "subplan_id": plan.plan_id if plan.parent_plan_id else None,
        "call_id": call_id,
        "tool": body.get("tool"),
        "resource_name": body.get("resource_name"),
        "profile": body.get("profile"),
        "rule": body.get("rule"),
        "reason": body.get("reason"),
        "refusals": body.get("refusals", []),
        "timestamp": at,
    }
