"""What was spent, by day and plan: written with each settlement, read by reports.

Read path: nothing dear is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cleveragents.record.account_row import PARTS
from cleveragents.terms.cost import Amount, format_usd

if TYPE_CHECKING:
    from cleveragents.record.engine import Row
    from cleveragents.record.store import Store

NO_SESSION: Final = ""
_BOOK: Final = (
    f"INSERT INTO spending (day, plan_id, session_id, {', '.join(PARTS)})"  # noqa: S608  # constants
    f" VALUES ({', '.join('?' * (3 + len(PARTS)))}) ON CONFLICT (day, plan_id) DO UPDATE SET "
    + ", ".join(f"{part} = spending.{part} + excluded.{part}" for part in PARTS)
)
_SUMS: Final = ", ".join(f"SUM(s.{part})" for part in PARTS)
_REPORTS: Final = {
    "day": (
        f"SELECT s.day, '', {_SUMS} FROM spending s WHERE s.day >= ?"  # noqa: S608  # constants
        " GROUP BY s.day ORDER BY s.day"
    ),
    "session": (
        f"SELECT s.session_id, '', {_SUMS} FROM spending s WHERE s.day >= ?"  # noqa: S608  # constants
        " GROUP BY s.session_id ORDER BY s.session_id"
    ),
    "plan": (
        f"SELECT s.plan_id, MAX(p.name), {_SUMS} FROM spending s"  # noqa: S608  # constants
        " LEFT JOIN plan p ON p.plan_id = s.plan_id WHERE s.day >= ?"
        " GROUP BY s.plan_id ORDER BY s.plan_id"
    ),
}
GROUPS: Final = tuple(_REPORTS)
_NAMES: Final = {"day": "day", "session": "session_id", "plan": "plan_id"}


def book(store: Store, *, day: str, plan_id: str, session_id: str, amount: Amount) -> None:
    """Add what a settled call used; part of the caller's transaction."""
    values = (
        amount.cost_microusd,
        amount.input_tokens,
        amount.output_tokens,
        amount.requests,
        amount.tool_calls,
        amount.milliseconds,
    )
    store.change(_BOOK, (day, plan_id, session_id, *values))


def report(store: Store, *, by: str, since: str = "") -> dict[str, Any]:
    """Give the ``data`` of ``agents cost``: one row for each that spent, and the sum.

    Args:
        store: The database.
        by: One of ``GROUPS``.
        since: First day, as ``YYYY-MM-DD``; empty: all.
    """
    rows = store.execute(_REPORTS[by], (since,))
    found = [_shown(row, by) for row in rows]
    total = [sum(column) for column in zip(*(row[2:] for row in rows), strict=True)]
    return {
        "by": by,
        "since": since or None,
        "rows": found,
        "total": _amounts(total or [0] * len(PARTS)),
    }


def _shown(row: Row, by: str) -> dict[str, Any]:
    named = {"name": row[1]} if by == "plan" else {}
    return {_NAMES[by]: row[0], **named, **_amounts(row[2:])}


def _amounts(parts: Row | list[int]) -> dict[str, Any]:
    # PostgreSQL adds BIGINTs up to a number of another type.
    cost, given, made, requests, calls, ms = (int(part) for part in parts)
    return {
        "cost_usd": format_usd(cost),
        "input_tokens": given,
        "output_tokens": made,
        "requests": requests,
        "tool_calls": calls,
        "seconds": ms / 1000,
    }
