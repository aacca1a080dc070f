"""What does an own tool say that a call of it cost? Data from the cell: nothing is believed."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Final

from cleveragents.terms.cost import MICRO

MAX_USD: Final = 1_000_000_000
MAX_TOKENS: Final = 10**12


@dataclass(frozen=True, slots=True)
class ToolReport:
    """What a result says about its own price."""

    cost_microusd: int | None = None
    """``None``: it does not say, or nothing that can be understood."""
    input_tokens: int = 0
    output_tokens: int = 0
    problem: str = ""
    """What it says in place of an amount."""


NOTHING_SAID: Final = ToolReport()


def read_report(result: object) -> ToolReport:
    """Read ``cost_usd``, ``input_tokens`` and ``output_tokens`` out of a tool's result.

    Fractions of a millionth of a dollar are rounded up.

    >>> read_report({"cost_usd": 0.0123456789}).cost_microusd
    12346
    >>> read_report({"cost_usd": -1}).problem
    'a cost of -1'
    >>> read_report(["no", "mapping"]) == NOTHING_SAID
    True
    """
    if not isinstance(result, dict):
        return NOTHING_SAID
    tokens = (_count(result.get("input_tokens")), _count(result.get("output_tokens")))
    if "cost_usd" not in result:
        return ToolReport(None, *tokens)
    cost = _microusd(result["cost_usd"])
    problem = f"a cost of {str(result['cost_usd'])[:40]}" if cost is None else ""
    return ToolReport(cost, *tokens, problem=problem)


def _microusd(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(value if isinstance(value, str) else repr(value))
        # A comparison with what is not a number is an error too.
        if not 0 <= amount <= MAX_USD:
            return None
    except InvalidOperation:
        return None
    return int((amount * MICRO).to_integral_value(ROUND_CEILING))


def _count(value: object) -> int:
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return min(max(value, 0), MAX_TOKENS) if is_count and isinstance(value, int) else 0
