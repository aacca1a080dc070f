"""What a plan and its descendants have used. Read path: nothing dear is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleveragents.record.account_row import NUMBERS, read_account
from cleveragents.record.model_spending import of_family
from cleveragents.terms.cost import NO_LIMITS, Amount, format_usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cleveragents.record.account_row import Account
    from cleveragents.record.plan_row import PlanRow
    from cleveragents.record.store import Store


def plan_cost(store: Store, plan_id: str, family: Sequence[PlanRow]) -> dict[str, Any]:
    """Give the ``cost`` of a plan: its whole subtree's.

    A plan's account holds what its descendants used as well; a plan without
    one is the sum of its children. Calls are counted from the record: those
    that ended, whether they failed or not.

    Args:
        store: Where the accounts are.
        plan_id: The plan.
        family: It and all its descendants.
    """
    accounts = _accounts(store, family)
    account = accounts.get(plan_id)
    spent, held = _sum([plan_id], family, accounts)
    below = [row.plan_id for row in family if row.parent_plan_id == plan_id]
    handed_on = _sum(below, family, accounts)[0].cost_microusd
    models = of_family(store, family) if spent.requests else []
    # A request to a model ends with an outcome too, and is no call of a tool.
    requests = sum(model["requests"] for model in models)
    return {
        **cost_of(spent, held, account),
        "own_usd": format_usd(max(0, spent.cost_microusd - handed_on)),
        "tool_calls": _count_calls(store, family) - requests,
        "models": models,
    }


def cost_of(spent: Amount, held: Amount, account: Account | None) -> dict[str, Any]:
    """Give the contract's ``cost`` mapping of amounts and of the account that limits them."""
    limit = (account.limits if account else NO_LIMITS).cost_microusd
    share = round(spent.cost_microusd / limit, 4) if limit else None
    return {
        "spent_usd": format_usd(spent.cost_microusd),
        "reserved_usd": format_usd(held.cost_microusd),
        "limit_usd": None if limit is None else format_usd(limit),
        "share": share,
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "requests": spent.requests,
        "tool_calls": spent.tool_calls,
    }


def _accounts(store: Store, family: Sequence[PlanRow]) -> dict[str, Account]:
    found = {}
    columns = ", ".join(f"a.{column}" for column in NUMBERS)
    for root_id in sorted({row.root_id for row in family}):
        rows = store.execute(
            f"SELECT p.plan_id, a.name, {columns}, a.seal FROM plan p"  # noqa: S608  # constants
            " JOIN account a ON a.name = 'plan:' || p.plan_id WHERE p.root_id = ?",
            (root_id,),
        )
        found.update({row[0]: read_account(row[1:]) for row in rows})
    return found


def _sum(
    plan_ids: Sequence[str], family: Sequence[PlanRow], accounts: dict[str, Account]
) -> tuple[Amount, Amount]:
    under: dict[str | None, list[str]] = {}
    for row in family:
        under.setdefault(row.parent_plan_id, []).append(row.plan_id)
    tops, waiting = [], list(plan_ids)
    while waiting:
        name = waiting.pop()
        if name in accounts:
            tops.append(accounts[name])
        else:
            waiting.extend(under.get(name, ()))
    return add(*(account.spent for account in tops)), add(*(account.reserved for account in tops))


def add(*amounts: Amount) -> Amount:
    """Give the sum of amounts; nothing adds up to nothing."""
    return Amount(
        cost_microusd=sum(one.cost_microusd for one in amounts),
        input_tokens=sum(one.input_tokens for one in amounts),
        output_tokens=sum(one.output_tokens for one in amounts),
        requests=sum(one.requests for one in amounts),
        tool_calls=sum(one.tool_calls for one in amounts),
        milliseconds=sum(one.milliseconds for one in amounts),
    )


def _count_calls(store: Store, family: Sequence[PlanRow]) -> int:
    count = 0
    for row in family:
        rows = store.execute(
            "SELECT count(*) FROM record WHERE plan_id = ? AND call_id > '' AND kind = 'outcome'",
            (row.plan_id,),
        )
        count += rows[0][0]
    return count
