"""How much money is meant? US dollars as a person writes them, in integers."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from cleveragents.errors import ConfigurationError
from cleveragents.policy.spelling import shown
from cleveragents.terms.cost import MICRO

MAX_USD: Final = 1_000_000_000
MAX_COUNT: Final = 10**15
"""A larger limit is a spelling mistake."""
_DECIMALS: Final = 6
"""A dollar is a million units: finer amounts cannot be kept."""
_AMOUNT: Final = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)


def parse_usd(text: str, *, where: str) -> int:
    """Read an amount of US dollars, exactly, in millionths of a dollar.

    Args:
        text: Decimal digits, such as ``2`` or ``0.10``; no sign, no exponent.
        where: File and key path, or the option, for errors.

    Raises:
        ConfigurationError: It is no amount, negative, too big, or finer than
            a millionth of a dollar.

    >>> parse_usd("0.10", where="--max-cost"), parse_usd("2", where="--max-cost")
    (100000, 2000000)
    """
    if not _AMOUNT.fullmatch(text):
        raise ConfigurationError(
            problem=f"{shown(text)} is no amount of dollars", where=where, hint="write it like 2.50"
        )
    amount = Decimal(text)
    if amount < 0:
        raise ConfigurationError(problem="an amount cannot be negative", where=where)
    if amount > MAX_USD:
        raise ConfigurationError(problem=f"an amount cannot exceed {MAX_USD} dollars", where=where)
    scaled = amount * MICRO
    if scaled != int(scaled):
        raise ConfigurationError(problem=f"an amount has at most {_DECIMALS} decimals", where=where)
    return int(scaled)


def usd_text(value: object) -> str | None:
    """The decimal digits of a number as it was written; ``None`` for anything else.

    A float is taken by its shortest spelling, which is the one that was
    written: the reader of files refuses numbers of which that is not so.

    >>> usd_text(0.1), usd_text(1e-07), usd_text(True)
    ('0.1', '0.0000001', None)
    """
    match value:
        case str():
            return value
        case bool():
            # A number to Python, and to nobody else.
            return None
        case int() | float():
            return f"{Decimal(repr(value)):f}"
    return None


def parse_count(text: str, *, where: str) -> int:
    """Read a whole number that limits something.

    Args:
        text: Decimal digits; no sign, no exponent.
        where: File and key path, or the option, for errors.

    Raises:
        ConfigurationError: It is no whole number, negative, or too big.

    >>> parse_count("400000", where="--max-tokens")
    400000
    """
    if not _AMOUNT.fullmatch(text) or "." in text:
        raise ConfigurationError(problem=f"{shown(text)} is no whole number", where=where)
    count = int(text)
    if count < 0:
        raise ConfigurationError(problem="a limit cannot be negative", where=where)
    if count > MAX_COUNT:
        raise ConfigurationError(problem=f"a limit cannot exceed {MAX_COUNT}", where=where)
    return count
