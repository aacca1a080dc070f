"""What each model was used for, by day and plan: written with each settlement.

Read path: nothing dear is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cleveragents.terms.cost import format_usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cleveragents.record.engine import Row
    from cleveragents.record.plan_row import PlanRow
    from cleveragents.record.store import Store
    from cleveragents.terms.cost import Amount

_PARTS: Final = ("cost", "input", "cached", "output", "requests")
_BOOK: Final = (
    f"INSERT INTO model_spending (day, plan_id, model, session_id, {', '.join(_PARTS)})"  # noqa: S608  # constants
    f" VALUES ({', '.join('?' * (4 + len(_PARTS)))})"
    " ON CONFLICT (day, plan_id, model) DO UPDATE SET "
    + ", ".join(f"{part} = model_spending.{part} + excluded.{part}" for part in _PARTS)
)
_SUMS: Final = ", ".join(f"SUM(m.{part})" for part in _PARTS)


def book(
    store: Store,
    *,
    day: str,
    plan_id: str,
    model: str,
    session_id: str,
    amount: Amount,
    cached_tokens: int,
) -> None:
    """Add what one request used; part of the caller's transaction."""
    values = (
        amount.cost_microusd,
        amount.input_tokens,
        cached_tokens,
        amount.output_tokens,
        amount.requests,
    )
    store.change(_BOOK, (day, plan_id, model, session_id, *values))


def report(store: Store, *, since: str = "") -> dict[str, Any]:
    """Give the ``data`` of ``agents cost --by model``: one row for each model, and the sum.

    Args:
        store: The database.
        since: First day, as ``YYYY-MM-DD``; empty: all.
    """
    rows = store.execute(
        f"SELECT m.model, {_SUMS} FROM model_spending m WHERE m.day >= ?"  # noqa: S608  # constants
        " GROUP BY m.model ORDER BY m.model",
        (since,),
    )
    total = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)]
    return {
        "by": "model",
        "since": since or None,
        "rows": [{"model": row[0], **_amounts(row[1:])} for row in rows],
        "total": _amounts(total or [0] * len(_PARTS)),
    }


def of_family(store: Store, family: Sequence[PlanRow]) -> list[dict[str, Any]]:
    """Give what each model was used for by some plans of one root.

    Args:
        store: The database.
        family: A plan and all its descendants.
    """
    plans = {row.plan_id for row in family}
    found: dict[str, list[int]] = {}
    for root_id in sorted({row.root_id for row in family}):
        rows = store.execute(
            f"SELECT m.plan_id, m.model, {_SUMS} FROM model_spending m"  # noqa: S608  # constants
            " JOIN plan p ON p.plan_id = m.plan_id WHERE p.root_id = ?"
            " GROUP BY m.plan_id, m.model",
            (root_id,),
        )
        for row in rows:
            if row[0] in plans:
                parts = found.setdefault(row[1], [0] * len(_PARTS))
                found[row[1]] = [a + int(b) for a, b in zip(parts, row[2:], strict=True)]
    return [{"model": model, **_amounts(found[model])} for model in sorted(found)]


def _amounts(parts: Row | list[int]) -> dict[str, Any]:
    # PostgreSQL adds BIGINTs up to a number of another type.
    cost, given, cached, made, requests = (int(part) for part in parts)
    return {
        "cost_usd": format_usd(cost),
        "input_tokens": given,
        "cached_tokens": cached,
        "output_tokens": made,
        "requests": requests,
    }
