"""A subplan's budget, moved out of its parent's: which part of a holding does it cover?

A purse is a reservation on the parent's chain, named by the child. The child's
calls draw from it in the dimensions that the child's budget limits, so that
what its siblings may still hold does not change by what it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cleveragents.record.account_row import NOTHING, PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cleveragents.record.store import Store

PURSE: Final = "purse:"
"""What a purse's identity begins with; the rest is the child's id."""
_LIMITED: Final = ("cost", "tokens", "tokens", "requests", "tool_calls")
"""Which limit of the child covers each part; milliseconds are never covered."""
_CHANGE: Final = (
    f"UPDATE reservation SET {', '.join(f'{part} = {part} + ?' for part in PARTS)} WHERE id = ?"  # noqa: S608  # constants
)

Parts = tuple[int, ...]
Share = tuple[tuple[str, ...], Parts]
"""Some accounts of a chain, and an amount."""


@dataclass(frozen=True, slots=True)
class _Purse:
    name: str
    left: Parts
    covers: tuple[bool, ...]
    """For each part."""

    def share(self, parts: Parts) -> Parts:
        """What of an amount is this purse's business; all tokens are kept as output."""
        covered = [n if is_own else 0 for n, is_own in zip(parts, self.covers, strict=True)]
        cost, given, made, requests, calls, ms = covered
        return (cost, 0, given + made, requests, calls, ms)


class PurseShelf:
    """The purses of one store. Works inside the account book's transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def drawn(self, chain: tuple[str, ...], parts: Parts) -> Iterator[Share]:
        """Take what a chain's purses cover; give who has to hold how much besides.

        Args:
            chain: Account names from the plan up.
            parts: What is asked for.

        Yields:
            Some accounts of the chain, in its order, and their part.
        """
        start = 0
        for index, purse in self._of(chain):
            yield chain[start : index + 1], parts
            start = index + 1
            taken = tuple(map(min, purse.share(parts), purse.left))
            self._change(purse, tuple(-part for part in taken))
            parts = _minus(parts, taken)
        yield chain[start:], parts

    def refunded(self, chain: tuple[str, ...], held: Parts, actual: Parts) -> Iterator[Share]:
        """Put back what a settled call drew from purses and did not use.

        What it used beyond its holding is taken from them, as far as they go.

        Yields:
            The accounts above a purse, and how much more they hold for it.
        """
        rest = _minus(held, actual)
        if not any(rest[: len(_LIMITED)]):
            return
        for index, purse in self._of(chain):
            moved = tuple(
                max(part, -left) for part, left in zip(purse.share(rest), purse.left, strict=True)
            )
            rest = _minus(rest, moved)
            if moved != NOTHING:
                self._change(purse, moved)
                yield chain[index + 1 :], moved

    def _of(self, chain: tuple[str, ...]) -> list[tuple[int, _Purse]]:
        names = purses_of(chain)
        if not names:
            return []
        columns = ", ".join(
            [f"r.{part}" for part in PARTS] + [f"a.limit_{part}" for part in _LIMITED]
        )
        rows = self._store.execute(
            f"SELECT r.id, {columns} FROM reservation r"  # noqa: S608  # constants
            f" JOIN account a ON a.name = 'plan:' || substr(r.id, {len(PURSE) + 1})"
            f" WHERE r.id IN ({', '.join('?' * len(names))})",
            names,
        )
        found = {
            row[0]: _Purse(
                row[0],
                tuple(row[1 : 1 + len(PARTS)]),
                (*(limit is not None for limit in row[1 + len(PARTS) :]), False),
            )
            for row in rows
        }
        return [(index, found[name]) for index, name in enumerate(names) if name in found]

    def _change(self, purse: _Purse, moved: Parts) -> None:
        self._store.change(_CHANGE, (*moved, purse.name))


@lru_cache
def purses_of(chain: tuple[str, ...]) -> tuple[str, ...]:
    """Give the purses that the plans of a chain may have, each where its plan is."""
    # The last plan of a chain is the root, which has no parent to have a purse of.
    plans = [name.removeprefix("plan:") for name in chain if name.startswith("plan:")]
    return tuple(PURSE + plan for plan in plans[:-1])


def _minus(one: Parts, other: Parts) -> Parts:
    return tuple(a - b for a, b in zip(one, other, strict=True))
