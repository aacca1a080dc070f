"""Each call of a plan: how it stands, which rule decided it, and what it follows from.

Read path: nothing dear is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cleveragents.errors import ConfigurationError
from cleveragents.record import plan_row
from cleveragents.record.decision_tree_view import plan_decisions, program_logs
from cleveragents.record.violation_view import read_body, violations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cleveragents.record.plan_row import PlanRow
    from cleveragents.record.store import Store


class CallState(NamedTuple):
    """One call in one word."""

    call_id: str
    tool: str
    status: str
    """``done``, ``failed``, ``denied``, ``waiting`` or ``running``."""


def call_states(store: Store, plan_id: str) -> list[CallState]:
    """Give the calls of a plan in the order in which they began.

    The fields are taken out in the database: a call's arguments and result
    are not read for it.
    """
    tool, status, allow = (_field(store, name) for name in ("tool", "status", "allow"))
    rows = store.execute(
        f"SELECT call_id, kind, {tool}, {status}, {allow} FROM record"  # noqa: S608  # constants
        " WHERE plan_id = ? AND call_id > '' ORDER BY position",
        (plan_id,),
    )
    found: dict[str, CallState] = {}
    for call_id, kind, name, ended, allowed in rows:
        before = found.get(call_id, CallState(call_id, "", ""))
        after = _after(kind, ended, before.status, is_allowed=str(allowed) in {"1", "true"})
        if after:
            found[call_id] = CallState(call_id, before.tool or name or "", after)
    return list(found.values())


def explain_plan(store: Store, plan_id: str, wanted: str = "") -> dict[str, Any]:
    """Give the ``data`` of ``agents plan explain``: decisions, and every call with its rule.

    Args:
        store: The database.
        plan_id: The plan.
        wanted: Only this decision with its calls, or only this call with the
            decisions that it follows from; empty for all.

    Raises:
        UnknownPlanError: There is no such plan.
        ConfigurationError: It has no decision and no call of that name.
    """
    family = plan_row.family(store, plan_id)
    plan = next(row for row in family if row.plan_id == plan_id)
    decisions = plan_decisions(store, plan)
    if wanted:
        decisions = [d for d in decisions if wanted == d["decision_id"] or wanted in d["calls"]]
        named = {call for d in decisions if d["decision_id"] == wanted for call in d["calls"]}
        calls = [call for name in sorted({wanted, *named}) for call in _calls(store, plan_id, name)]
        if not decisions and not calls:
            raise ConfigurationError(
                problem=f"plan {plan_id} has no decision and no call {wanted!r}",
                hint=f"'agents plan explain {plan_id}' lists them",
            )
    else:
        calls = _calls(store, plan_id)
    return {
        "plan_id": plan_id,
        "safety_profile": {"name": plan.safety_profile, "digest": plan.profile_digest},
        "decisions": decisions,
        "calls": calls,
        "violations": _violations(store, family, decisions, calls) if wanted else [],
        "program_logs": [] if wanted else program_logs(store, plan_id),
    }


def _calls(store: Store, plan_id: str, call_id: str = "") -> list[dict[str, Any]]:
    term, params = (" AND call_id = ?", (plan_id, call_id)) if call_id else ("", (plan_id,))
    rows = store.execute(
        "SELECT call_id, kind, at, body FROM record WHERE plan_id = ? AND call_id > ''"  # noqa: S608  # constants
        + term
        + " ORDER BY position",
        params,
    )
    calls: dict[str, dict[str, Any]] = {}
    for name, kind, at, text in rows:
        call = calls.setdefault(name, _blank(name))
        _tell(call, kind, at, read_body(text, plan_id))
    return list(calls.values())


def _violations(
    store: Store,
    family: Sequence[PlanRow],
    decisions: Sequence[dict[str, Any]],
    calls: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Give what was refused to the calls, and to the children that the decisions made."""
    own = {call["call_id"] for call in calls}
    children = {child for decision in decisions for child in decision["subplans"]}
    below = {row.plan_id for row in family if row.plan_id in children}
    for row in sorted(family, key=lambda row: row.depth):
        if row.parent_plan_id in below:
            below.add(row.plan_id)
    root = min(family, key=lambda row: row.depth).plan_id
    return [
        one
        for one in violations(store, family)
        if one["plan_id"] in below or (one["plan_id"] == root and one["call_id"] in own)
    ]


def _field(store: Store, name: str) -> str:
    if store.dialect == "postgresql":
        # PostgreSQL reads no JSON that holds a zero byte, wherever it is. Of the same
        # length, so that an escaped backslash before "u0000" stays whole.
        return f"(replace(body, '\\u0000', '\\ufffd')::json ->> '{name}')"
    return f"json_extract(body, '$.{name}')"


def _after(kind: str, ended: object, before: str, *, is_allowed: bool) -> str:
    match kind:
        case "decision":
            return "running"
        case "outcome":
            return {"failed": "failed", "refused": "denied"}.get(str(ended), "done")
        case "violation":
            return "denied"
        case "approval_requested":
            return "waiting"
        case "approval":
            return ("pending" if is_allowed else "denied") if before == "waiting" else before
        case _:
            return before


def _blank(call_id: str) -> dict[str, Any]:
    return {
        "call_id": call_id,
        "tool": "",
        "arguments": {},
        "verdict": None,
        "rule": None,
        "profile": None,
        "reason": None,
        "refusals": [],
        "imposed": [],
        "approved_by": None,
        "status": "running",
        "decided": None,
    }


def _tell(call: dict[str, Any], kind: str, at: str, body: dict[str, Any]) -> None:
    call["status"] = _after(
        kind, body.get("status"), call["status"], is_allowed=body.get("allow") is True
    )
    call["tool"] = call["tool"] or body.get("tool", "")
    call["arguments"] = call["arguments"] or body.get("arguments", {})
    match kind:
        case "decision":
            call |= {
                "verdict": "allowed",
                "rule": body.get("rule"),
                "profile": str(body.get("rule", "")).partition(":")[0] or None,
                "imposed": body.get("imposed", []),
                "decided": at,
            }
            call["approved_by"] = body.get("approved_by", call["approved_by"])
        case "violation":
            call |= {
                "verdict": "denied",
                "rule": body.get("rule"),
                "profile": body.get("profile") or None,
                "reason": body.get("reason"),
                "refusals": body.get("refusals", []),
                "decided": at,
            }
        case "approval":
            call["approved_by"] = body.get("who") if body.get("allow") is True else None
        case "apply_started":
            call |= {"tool": "apply", "verdict": "allowed", "rule": "apply", "decided": at}
        case "apply_finished":
            call["status"] = "done"
        case _:
            pass
