"""How is a cost said to a person, and what helps a plan that has none left?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.cli.fact import rows_at, text_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    Data = Mapping[str, object]


def spent_text(cost: Data) -> str:
    """What is spent of what limit, and how much of it by the plan itself.

    >>> spent_text({"spent_usd": "0.04", "limit_usd": "0.05", "share": 0.8, "own_usd": "0.02"})
    '$0.04 of $0.05 (80 %), $0.02 its own'
    """
    spent, limit = text_at(cost, "spent_usd", absent="0"), text_at(cost, "limit_usd")
    own, share = text_at(cost, "own_usd"), cost.get("share")
    text = f"${spent}" + (f" of ${limit}" if limit else "")
    text += f" ({share * 100:.0f} %)" if isinstance(share, float) else ""
    return text + (f", ${own} its own" if own and own != spent else "")


def way_on(data: Data) -> tuple[tuple[str, str], ...]:
    """What a person types for a plan that a limit ended; nothing for any other.

    The last refusal counts: an older one may be answered already.
    """
    refused = [v for v in rows_at(data, "violations") if text_at(v, "kind") == "budget_exceeded"]
    if not refused:
        return ()
    plan, reason = text_at(data, "plan_id"), text_at(refused[-1], "reason")
    resume = f"agents plan resume {plan}"
    if " limit of session " in reason:
        name = text_at(data, "session_id")
        return (("raise the limit", f"agents session edit {name} --max-cost N"), ("go on", resume))
    if " limit of day " in reason:
        return (("go on tomorrow, or with a higher budget_per_day", resume),)
    return (("go on with a higher limit", f"{resume} --max-cost N"),)
