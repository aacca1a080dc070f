"""Money and counts, in integers: nothing here is a float."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MICRO: Final = 1_000_000
"""Micro-dollars in a dollar."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Ceilings of one account; ``None`` is "no limit of its own", 0 admits nothing."""

    cost_microusd: int | None = None
    tokens: int | None = None
    requests: int | None = None
    tool_calls: int | None = None
    seconds: int | None = None

    @property
    def is_unlimited(self) -> bool:
        """Say whether no dimension has a limit."""
        return self == NO_LIMITS


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Amount:
    """What a call is going to use at worst, or has used."""

    cost_microusd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    requests: int = 0
    tool_calls: int = 0
    milliseconds: int = 0


def format_usd(microusd: int) -> str:
    """Decimal dollars without trailing zeros.

    >>> format_usd(13_200), format_usd(0), format_usd(2_000_000)
    ('0.0132', '0', '2.00')
    """
    whole, rest = divmod(abs(microusd), MICRO)
    sign = "-" if microusd < 0 else ""
    if microusd == 0:
        return "0"
    digits = f"{rest:06d}".rstrip("0")
    return f"{sign}{whole}.{digits:0<2}"
