"""Do the accounts and the sums of spending say what the record's outcomes add up to?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.terms.cost import format_usd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cleveragents.record.store import Store


class CostSums:
    """What the outcomes of the record say was spent, in micro-dollars."""

    def __init__(self) -> None:
        self.accounts: dict[str, int] = {}
        self.plans: dict[str, int] = {}
        self.models: dict[tuple[str, str], int] = {}

    def add(self, plan_id: str, charged: Sequence[object], cost: object, model: object) -> None:
        """Add one outcome.

        Args:
            plan_id: The plan whose call it was.
            charged: The accounts that it was booked on.
            cost: Its cost.
            model: The model that was asked; ``None`` for a tool's call.
        """
        if not isinstance(cost, int):
            return
        if isinstance(model, str):
            self.models[plan_id, model] = self.models.get((plan_id, model), 0) + cost
        self.plans[plan_id] = self.plans.get(plan_id, 0) + cost
        for name in charged:
            self.accounts[str(name)] = self.accounts.get(str(name), 0) + cost


def check_cost(store: Store, sums: CostSums) -> Iterator[str]:
    """Give one sentence for each sum that is not the record's, to the micro-dollar.

    Args:
        store: Where the accounts and the spending are.
        sums: What the record adds up to.
    """
    booked: dict[str, int] = dict(store.execute("SELECT name, spent_cost FROM account"))
    for name in sorted(booked.keys() | sums.accounts.keys()):
        yield from _compare(f"the account {name}", booked.get(name), sums.accounts.get(name, 0))
    reported: dict[str, int] = dict(
        store.execute("SELECT plan_id, SUM(cost) FROM spending GROUP BY plan_id")
    )
    for plan_id in sorted(reported.keys() | sums.plans.keys()):
        expected = sums.plans.get(plan_id, 0)
        yield from _compare(f"the spending of plan {plan_id}", reported.get(plan_id), expected)
    used: dict[tuple[str, str], int] = {
        (row[0], row[1]): row[2]
        for row in store.execute(
            "SELECT plan_id, model, SUM(cost) FROM model_spending GROUP BY plan_id, model"
        )
    }
    for plan_id, model in sorted(used.keys() | sums.models.keys()):
        what = f"the spending of plan {plan_id} on {model}"
        expected = sums.models.get((plan_id, model), 0)
        yield from _compare(what, used.get((plan_id, model)), expected)


def _compare(what: str, found: int | None, expected: int) -> Iterator[str]:
    if found is None and expected:
        yield f"{what} is missing: the record adds up to {format_usd(expected)} USD"
    elif found is not None and found != expected:
        yield (
            f"{what} says {format_usd(int(found))} USD, the record adds up to"
            f" {format_usd(expected)} USD"
        )
