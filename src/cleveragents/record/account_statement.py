"""The statements that hold, settle and watch the accounts of a chain.

Their texts are made once for each length of a chain, so that the database finds
the statement it prepared before. On SQLite one statement serves a whole chain;
on PostgreSQL, which locks the rows of one statement in any order, each serves
one account.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cleveragents.record.account_limit import WARN_PERCENT
from cleveragents.record.account_row import LIMITS, NUMBERS, PARTS

_FITS: Final = (
    "(limit_cost IS NULL OR (limit_cost > 0 AND spent_cost + held_cost + ? <= limit_cost))"
    " AND (limit_tokens IS NULL OR (limit_tokens > 0"
    " AND spent_input + spent_output + held_input + held_output + ? <= limit_tokens))"
    + "".join(
        f" AND (limit_{part} IS NULL OR (limit_{part} > 0"
        f" AND spent_{part} + held_{part} + ? <= limit_{part}))"
        for part in ("requests", "tool_calls")
    )
    # Time is known only afterwards: what has used its seconds up gets no further call.
    + " AND (limit_ms IS NULL OR (limit_ms > spent_ms AND spent_ms + held_ms + ? <= limit_ms))"
)
_HOLD: Final = (
    "UPDATE account SET "  # noqa: S608  # constants
    + ", ".join(f"held_{part} = held_{part} + ?" for part in PARTS)
    + ", seal = seal + ?"
)
HOLD_ONE: Final = f"{_HOLD} WHERE name = ? AND {_FITS}"
"""Parts, weight, name, totals: changes the account if it has room."""
RESERVED: Final = f"SELECT chain, {', '.join(PARTS)} FROM reservation WHERE id = ?"  # noqa: S608  # constants
_SETTLE: Final = (
    "UPDATE account SET "  # noqa: S608  # constants
    + ", ".join(f"held_{part} = held_{part} - ?" for part in PARTS)
    + ", "
    + ", ".join(f"spent_{part} = spent_{part} + ?" for part in PARTS)
    + ", seal = seal + ?"
)
_SPENT: Final = (
    ("cost", "spent_cost"),
    ("tokens", "(spent_input + spent_output)"),
    ("requests", "spent_requests"),
    ("tool_calls", "spent_tool_calls"),
    ("ms", "spent_ms"),
)


@lru_cache
def hold_all(accounts: int, purses: int) -> str:
    """Parts, weight, names, totals, purses: changes each account of a chain that has room.

    None where one of the purses is open: what it covers is held already.

    Args:
        accounts: How many the chain has.
        purses: How many of its plans may have one.
    """
    # Not an IN for the purses: SQLite makes a temporary table of each, and two of them
    # at once can make the allocator hand memory back to the system at every call.
    closed = " AND NOT EXISTS (SELECT 1 FROM reservation WHERE id = ?)" * purses
    return f"{_HOLD} WHERE {_among(accounts)} AND {_FITS}{closed}"


@lru_cache
def settle(accounts: int) -> str:
    """Held before, spent now, weight, names."""
    return f"{_SETTLE} WHERE {_among(accounts)}"


@lru_cache
def nearly_spent(accounts: int, used: tuple[bool, ...]) -> str:
    """Names: reads the accounts of which a limit is nearly or wholly spent, on most calls none.

    Args:
        accounts: How many are looked at.
        used: For each limit, whether anything was used of what it limits; at least one.
    """
    nearly = " OR ".join(
        f"{spent} * 100 >= limit_{limit} * {WARN_PERCENT}"
        for (limit, spent), is_used in zip(_SPENT, used, strict=True)
        if is_used
    )
    columns = ", ".join(("name", *NUMBERS[: len(LIMITS) + len(PARTS)]))
    one = f"SELECT {columns} FROM account WHERE name = ? AND ({nearly})"  # noqa: S608  # constants
    # Half as dear on SQLite as one SELECT with an IN.
    return " UNION ALL ".join([one] * accounts)


def _among(count: int) -> str:
    return f"name IN ({', '.join('?' * count)})"
