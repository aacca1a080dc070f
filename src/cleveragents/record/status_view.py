"""The data of ``plan status`` and ``plan list``, exactly as the contract names it.

Read path: nothing dear is imported here, and nothing that is read grows with
the store: every query goes by an index to one plan or one tree.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from cleveragents.record import plan_row
from cleveragents.record.call_view import call_states
from cleveragents.record.connection_view import plan_connections
from cleveragents.record.cost_view import plan_cost
from cleveragents.record.owner import is_owned
from cleveragents.record.planned_step import planned_steps
from cleveragents.record.violation_view import read_body, violations
from cleveragents.terms.connection import PREFIX as CONNECTION

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from cleveragents.record.plan_row import PlanRow
    from cleveragents.record.store import Store

_OVER: Final = frozenset({"complete", "errored", "cancelled"})
_RUNNING: Final = frozenset({"queued", "processing"})


def plan_status(
    store: Store, plan_id: str, *, locks_dir: str | os.PathLike[str], now: str = ""
) -> dict[str, Any]:
    """Give the ``data`` of ``agents plan status``.

    Args:
        store: The database, read only.
        plan_id: The plan.
        locks_dir: Where the owners' locks are; says whether somebody runs the plan.
        now: RFC 3339; counts the time of a running plan up to here. Empty: up
            to its last change of state.

    Raises:
        UnknownPlanError: There is no such plan.
        RecordError: The store cannot be read.
    """
    with store.snapshot():
        return _status(store, plan_id, locks_dir, now)


def _status(
    store: Store, plan_id: str, locks_dir: str | os.PathLike[str], now: str
) -> dict[str, Any]:
    family = plan_row.family(store, plan_id)
    plan = next(row for row in family if row.plan_id == plan_id)
    refused = violations(store, family)
    is_running = plan.state in _RUNNING
    is_interrupted = is_running and not is_owned(store, locks_dir, plan.root_id)
    data: dict[str, Any] = {
        "plan_id": plan.plan_id,
        "parent_plan_id": plan.parent_plan_id,
        "name": plan.name,
        "phase": plan.phase,
        "state": plan.state,
        "outcome": plan.outcome,
        "safety_profile": {"name": plan.safety_profile, "digest": plan.profile_digest},
        "automation_profile": plan.automation_profile or None,
        "session_id": plan.session_id or None,
        "isolation": {
            "tier": plan.isolation_tier,
            "verified": plan.isolation_verified,
            **_mapping(plan.detail.get("isolation")),
        },
        "steps": _steps(store, plan, locks_dir, is_interrupted=is_interrupted),
        "violations": refused,
        "subplans": _subplans(plan, family, refused),
        "conflicts": list(plan.detail.get("conflicts", ())),
        "waiting": waiting_calls(store, family),
        "interrupted": is_interrupted,
        "cost": plan_cost(store, plan_id, family),
        "timing": _timing(store, plan, now if is_running and not is_interrupted else ""),
    }
    if connections := plan_connections(store, plan_id):
        data["connections"] = connections
    if "served" in plan.detail:
        data["served"] = plan.detail["served"]
    if "error" in plan.detail:
        data["error"] = plan.detail["error"]
    return data


def plan_list(
    store: Store,
    *,
    state: str | None = None,
    session_id: str | None = None,
    before: str | None = None,
    limit: int = 100,
) -> dict[str, Any]:
    """Give the ``data`` of ``agents plan list``, newest first."""
    rows = plan_row.list_plans(
        store, state=state, session_id=session_id, before=before, limit=limit
    )
    return {
        "plans": [
            {
                "plan_id": row.plan_id,
                "parent_plan_id": row.parent_plan_id,
                "name": row.name,
                "phase": row.phase,
                "state": row.state,
                "outcome": row.outcome,
                "started": row.started,
            }
            for row in rows
        ]
    }


def waiting_calls(store: Store, family: Sequence[PlanRow]) -> list[dict[str, Any]]:
    """Give the calls of some plans of one tree that wait for a person's answer."""
    open_plans = {row.plan_id for row in family if row.state not in _OVER}
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for root_id in sorted({row.root_id for row in family}):
        rows = store.execute(
            "SELECT plan_id, call_id, body FROM record"
            " WHERE root_id = ? AND kind = 'approval_requested' ORDER BY position",
            (root_id,),
        )
        for plan_id, call_id, text in rows:
            if plan_id not in open_plans:
                continue
            body = read_body(text, plan_id)
            digest = str(body.get("arguments_digest"))
            if not _is_settled(store, plan_id, call_id, digest):
                found[(plan_id, call_id, digest)] = {
                    "call_id": call_id,
                    "plan_id": plan_id,
                    "tool": body.get("tool"),
                    "arguments": body.get("arguments"),
                    "digest": digest,
                    "reason": body.get("reason"),
                }
    return list(found.values())


def _is_settled(store: Store, plan_id: str, call_id: str, digest: str) -> bool:
    """Say whether the last time that this was asked, an answer or an end came after it."""
    rows = store.execute(
        "SELECT kind, body FROM record WHERE plan_id = ? AND call_id = ? AND kind IN"
        " ('approval_requested', 'approval', 'outcome', 'violation') ORDER BY position",
        (plan_id, call_id),
    )
    is_settled = False
    for kind, text in rows:
        body = read_body(text, plan_id)
        if kind == "approval_requested":
            is_settled = is_settled and body.get("arguments_digest") != digest
        elif kind != "approval" or body.get("digest") == digest:
            is_settled = True
    return is_settled


def _steps(
    store: Store, plan: PlanRow, locks_dir: str | os.PathLike[str], *, is_interrupted: bool
) -> list[dict[str, Any]]:
    """Give the calls made, in their order, and after them the steps still to come."""
    cut_off = "interrupted" if is_interrupted or plan.state in _OVER else "running"
    steps = [
        {
            "id": call.call_id,
            "tool": call.tool,
            "status": cut_off if call.status == "running" else call.status,
        }
        for call in call_states(store, plan.plan_id)
        # What a call connects to is part of that call: summed up below, and each of them
        # stands in 'plan explain'.
        if not call.call_id.startswith(CONNECTION)
    ]
    if plan.state not in _OVER:
        made = {step["id"].partition("~")[0] for step in steps}
        steps.extend(
            {"id": name, "tool": tool, "status": "pending"}
            for name, tool in planned_steps(store, plan.plan_id, locks_dir)
            if name not in made
        )
    return steps


def _subplans(
    plan: PlanRow, family: Sequence[PlanRow], refused: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    parents = {row.plan_id: row.parent_plan_id for row in family}
    counts = dict.fromkeys(parents, 0)
    for violation in refused:
        name: str | None = violation["plan_id"]
        while name is not None and name in counts:
            counts[name] += 1
            name = parents[name]
    return [
        {
            "plan_id": row.plan_id,
            "name": row.name,
            "state": row.state,
            "outcome": row.outcome,
            "violations": counts[row.plan_id],
        }
        for row in family
        if row.parent_plan_id == plan.plan_id
    ]


def _timing(store: Store, plan: PlanRow, now: str) -> dict[str, Any]:
    elapsed_ms = plan.elapsed_ms
    if now:
        # The owner's own start: what an earlier process worked is in the row already.
        rows = store.execute("SELECT started FROM owner WHERE root_id = ?", (plan.root_id,))
        since = max(plan.started, rows[0][0] if rows else "")
        elapsed_ms += _between_ms(since, now)
    return {"started": plan.started, "elapsed_s": round(elapsed_ms / 1000, 3)}


def _between_ms(since: str, until: str) -> int:
    try:
        span = datetime.fromisoformat(until) - datetime.fromisoformat(since)
    except (ValueError, TypeError):
        return 0
    return max(0, int(span.total_seconds() * 1000))


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
