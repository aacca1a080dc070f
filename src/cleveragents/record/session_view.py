"""The data of ``agents session``: sums of the account, plans with theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleveragents.record import plan_row
from cleveragents.record.account_row import NUMBERS, Account, read_account
from cleveragents.record.cost_view import cost_of, plan_cost
from cleveragents.record.violation_view import violations
from cleveragents.terms.cost import NO_LIMITS, Amount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cleveragents.record.session_row import SessionRow
    from cleveragents.record.store import Store

MAX_PLANS = 1000
"""Of one session; the sums hold all of them."""


def session_brief(store: Store, row: SessionRow) -> dict[str, Any]:
    """Give a session with its account, without its plans."""
    account = _account(store, row)
    spent, held = (account.spent, account.reserved) if account else (Amount(), Amount())
    limits = account.limits if account else NO_LIMITS
    return {
        "session_id": row.session_id,
        "workspace": row.workspace_dir or None,
        "created": row.created,
        "cost": cost_of(spent, held, account),
        "limits": {
            "max_tokens": limits.tokens,
            "max_requests": limits.requests,
            "max_tool_calls": limits.tool_calls,
            "max_seconds": limits.seconds,
        },
    }


def session_show(store: Store, row: SessionRow) -> dict[str, Any]:
    """Give the ``data`` of ``agents session show``."""
    with store.snapshot():
        data = session_brief(store, row)
        plans = tuple(_plans(store, row.session_id))
        # Calls without a price are booked nowhere but in the record.
        data["cost"]["tool_calls"] = sum(plan["cost"]["tool_calls"] for plan in plans)
        return {**data, "plans": list(plans)}


def _plans(store: Store, session_id: str) -> Iterator[dict[str, Any]]:
    found = plan_row.list_plans(store, session_id=session_id, roots_only=True, limit=MAX_PLANS)
    for plan in found:
        family = plan_row.of_root(store, plan.plan_id)
        yield {
            "plan_id": plan.plan_id,
            "name": plan.name,
            "phase": plan.phase,
            "state": plan.state,
            "outcome": plan.outcome,
            "started": plan.started,
            "violations": len(violations(store, family)),
            "cost": plan_cost(store, plan.plan_id, family),
        }


def _account(store: Store, row: SessionRow) -> Account | None:
    rows = store.execute(
        f"SELECT name, {', '.join(NUMBERS)}, seal FROM account WHERE name = ?",  # noqa: S608  # constants
        (row.account,),
    )
    return read_account(rows[0]) if rows else None
