"""One row of the ``account`` table, what it adds up to, and its checksum.

Read by ``agents plan status``: nothing dear is imported here.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING, Final

from cleveragents.errors import RecordError
from cleveragents.terms.cost import Amount, Limits

if TYPE_CHECKING:
    from cleveragents.record.engine import Row
    from cleveragents.record.store import Store

PARTS: Final = ("cost", "input", "output", "requests", "tool_calls", "ms")
"""Column names of an amount, in the order of ``Amount``'s fields."""
NOTHING: Final = (0,) * len(PARTS)
LIMITS: Final = ("cost", "tokens", "requests", "tool_calls", "ms")

NUMBERS: Final = (
    *(f"limit_{part}" for part in LIMITS),
    *(f"spent_{part}" for part in PARTS),
    *(f"held_{part}" for part in PARTS),
)
WEIGHTS: Final = tuple(range(3, 3 + 2 * len(NUMBERS), 2))
"""Odd and distinct: one changed digit anywhere changes the weighted sum."""
SEAL_HELD: Final = WEIGHTS[-len(PARTS) :]
SEAL_SPENT: Final = WEIGHTS[-2 * len(PARTS) : -len(PARTS)]


@dataclass(frozen=True, slots=True)
class Account:
    """One account at one moment."""

    name: str
    limits: Limits
    spent: Amount
    reserved: Amount


def read_account(row: Row) -> Account:
    """Make an account of a row: name, ``NUMBERS``, seal."""
    cost, tokens, requests, tool_calls, ms = row[1 : 1 + len(LIMITS)]
    start = 1 + len(LIMITS)
    return Account(
        name=row[0],
        limits=Limits(cost, tokens, requests, tool_calls, None if ms is None else ms // 1000),
        spent=Amount(*row[start : start + len(PARTS)]),
        reserved=Amount(*row[start + len(PARTS) : start + 2 * len(PARTS)]),
    )


def held_by_name(store: Store) -> dict[str, tuple[int, ...]]:
    """Give what is reserved on each account, added up from the reservations.

    Raises:
        RecordError: A reservation cannot be read.
    """
    found: dict[str, tuple[int, ...]] = {}
    sql = f"SELECT id, chain, {', '.join(PARTS)} FROM reservation"  # noqa: S608  # constants
    for name, chain, *parts in store.execute(sql):
        try:
            for account in json.loads(chain):
                before = found.get(account, NOTHING)
                found[account] = tuple(a + b for a, b in zip(before, parts, strict=True))
        except (ValueError, TypeError) as error:
            raise RecordError(problem=f"the reservation {name} cannot be read") from error
    return found


def seal_of(name: str, numbers: tuple[int | None, ...]) -> int:
    """Give the checksum of a row, kept by addition as the row changes.

    No protection against somebody who means it; against damage, and so that
    ``agents audit verify`` sees a changed byte here too.
    """
    start = zlib.crc32(name.encode())
    return start + weigh(WEIGHTS, tuple(-1 if n is None else n for n in numbers))


def weigh(weights: tuple[int, ...], numbers: tuple[int, ...]) -> int:
    """Give the weighted sum that seals are made of."""
    return sum(map(mul, weights, numbers))
