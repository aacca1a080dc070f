"""What does an account's limit compare with, what exceeds it, and when is it nearly reached?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cleveragents.errors import BudgetExceededError, PlanBudgetExceededError, RecordError
from cleveragents.terms.cost import format_usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cleveragents.record.account_row import Account
    from cleveragents.record.engine import Row
    from cleveragents.terms.cost import Amount, Limits

DIMENSIONS: Final = ("cost", "token", "request", "tool call", "time")
"""In the order in which a limit is named when several are passed."""
WARN_PERCENT: Final = 90
"""Part of a limit at which a person is told."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """A limit of which a settlement used up the most part."""

    account: str
    dimension: str
    limit: str
    spent: str

    @property
    def text(self) -> str:
        """One sentence for a person."""
        whose = self.account.replace(":", " ", 1)
        return f"{self.spent} of the {self.dimension} limit of {whose}, {self.limit}, are spent"


def parts_of(amount: Amount) -> tuple[int, ...]:
    """Give an amount in the order of the columns.

    Raises:
        RecordError: A part of it is negative.
    """
    parts = (
        amount.cost_microusd,
        amount.input_tokens,
        amount.output_tokens,
        amount.requests,
        amount.tool_calls,
        amount.milliseconds,
    )
    if min(parts) < 0:
        raise RecordError(problem="a negative amount would give back what is spent")
    return parts


def totals_of(parts: Sequence[int]) -> tuple[int, ...]:
    """Give what each limit compares with: tokens are one dimension."""
    return (parts[0], parts[1] + parts[2], parts[3], parts[4], parts[5])


def limit_values(limits: Limits) -> tuple[int | None, ...]:
    """Give limits in the order of the columns.

    Raises:
        RecordError: A limit is negative.
    """
    seconds = limits.seconds
    values = (
        limits.cost_microusd,
        limits.tokens,
        limits.requests,
        limits.tool_calls,
        None if seconds is None else seconds * 1000,
    )
    if any(value is not None and value < 0 for value in values):
        raise RecordError(problem="a limit is negative")
    return values


def excess_of(account: Account, totals: Sequence[int]) -> BudgetExceededError | None:
    """Give the first limit of an account that does not admit an amount."""
    values = zip(
        DIMENSIONS,
        limit_values(account.limits),
        totals_of(parts_of(account.spent)),
        totals_of(parts_of(account.reserved)),
        totals,
        strict=True,
    )
    for dimension, limit, spent, held, asked in values:
        if limit is None:
            continue
        is_used_up = limit == 0 or (dimension == "time" and spent >= limit)
        if is_used_up or spent + held + asked > limit:
            kind, _, plain = account.name.partition(":")
            error = PlanBudgetExceededError if kind == "plan" else BudgetExceededError
            return error(
                whose=f"{kind} {plain}",
                dimension=dimension,
                limit=show(dimension, limit),
                spent=show(dimension, spent),
                reserved=show(dimension, held),
                asked=show(dimension, asked),
            )
    return None


def crossings_of(rows: Sequence[Row], actual: Sequence[int]) -> tuple[Crossing, ...]:
    """Give the limits that a settlement brought to ``WARN_PERCENT``, each once.

    Args:
        rows: Name, limits and what is spent now, of each account.
        actual: What was settled.
    """
    found = []
    added = totals_of(actual)
    for name, *numbers in rows:
        limits = numbers[: len(DIMENSIONS)]
        if not any(limits):
            continue
        spent = totals_of(numbers[len(DIMENSIONS) :])
        for dimension, limit, now, more in zip(DIMENSIONS, limits, spent, added, strict=True):
            if limit and (now - more) * 100 < limit * WARN_PERCENT <= now * 100:
                shown = (show(dimension, limit), show(dimension, now))
                found.append(Crossing(name, dimension, *shown))
    return tuple(found)


def show(dimension: str, value: int) -> str:
    """Spell a number of a dimension with its unit."""
    match dimension:
        case "cost":
            return f"{format_usd(value)} USD"
        case "time":
            return f"{value / 1000:g} s"
        case _:
            return str(value)
