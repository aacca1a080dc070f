"""How much may a plan use? A ``budget`` mapping in integers, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.config.amount import MAX_COUNT
from cleveragents.terms.cost import Limits, format_usd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.config.reader import Reader

_COST: Final = "max_cost_usd"
_COUNTS: Final[Mapping[str, str]] = {
    "max_tokens": "tokens",
    "max_requests": "requests",
    "max_tool_calls": "tool_calls",
    "max_seconds": "seconds",
}
KEYS: Final = (_COST, *_COUNTS)
"""Every key of a budget."""


def limits_of(reader: Reader) -> Limits:
    """Read a ``budget``; an absent key is no limit of its own, 0 admits nothing.

    Raises:
        ConfigurationError: A key is unknown or a value is no amount.
    """
    found = reader.mapping(KEYS)
    counts = {
        name: found[key].integer(0, MAX_COUNT) for key, name in _COUNTS.items() if key in found
    }
    if _COST in found:
        counts["cost_microusd"] = found[_COST].microusd()
    return Limits(**counts)


def limits_to_mapping(limits: Limits) -> dict[str, object]:
    """The mapping that ``limits_of`` reads back; money as exact text."""
    mapping: dict[str, object] = {}
    if limits.cost_microusd is not None:
        mapping[_COST] = format_usd(limits.cost_microusd)
    for key, name in _COUNTS.items():
        if (count := getattr(limits, name)) is not None:
            mapping[key] = count
    return mapping
