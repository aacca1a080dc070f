"""Held before spent: limits, holdings and spending, in integers, up a whole chain.

An account is named by what it limits (``plan:ID``, ``session:ID``,
``day:YYYY-MM-DD``). A reservation holds its amount on every account of a chain
or on none; settling turns the holding into what was really used. Chains run
from the plan to its ancestors, so that two chains lock in one order.

A subplan's own budget is moved out of its parent's: a purse, which is a holding
of the parent that the child's calls draw from. What they hold and spend was
held above already; what is left of the purse goes back when it is closed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cleveragents.errors import RecordError
from cleveragents.record import account_statement
from cleveragents.record.account_limit import (
    Crossing,
    crossings_of,
    excess_of,
    limit_values,
    parts_of,
    totals_of,
)
from cleveragents.record.account_row import (
    LIMITS,
    NOTHING,
    NUMBERS,
    PARTS,
    SEAL_HELD,
    SEAL_SPENT,
    read_account,
    seal_of,
    weigh,
)
from cleveragents.record.purse import PURSE, PurseShelf, purses_of
from cleveragents.terms.cost import NO_LIMITS, Amount, Limits

if TYPE_CHECKING:
    from cleveragents.record.account_row import Account
    from cleveragents.record.engine import Row
    from cleveragents.record.store import Store

_SELECT: Final = f"SELECT name, {', '.join(NUMBERS)}, seal FROM account"  # noqa: S608  # constants
_HOLD: Final = account_statement.HOLD_ONE
_NOTE: Final = (
    f"INSERT INTO reservation (id, plan_id, chain, {', '.join(PARTS)})"  # noqa: S608  # constants
    f" VALUES ({', '.join('?' * (3 + len(PARTS)))}) ON CONFLICT (id) DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a settlement was booked on."""

    chain: tuple[str, ...]
    crossings: tuple[Crossing, ...]
    """Limits that are nearly reached by it."""


class AccountBook:
    """The accounts of one store; right with threads and with many processes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._purses = PurseShelf(store)
        self._has_one_writer = store.dialect == "sqlite"
        self._reserved = account_statement.RESERVED + store.for_update

    def ensure(self, name: str, limits: Limits = NO_LIMITS) -> None:
        """Open an account; one that exists keeps its limits.

        Raises:
            RecordError: A limit is negative.
        """
        values = limit_values(limits)
        with self._store.transaction():
            self._store.change(
                "INSERT INTO account (name, limit_cost, limit_tokens, limit_requests,"
                " limit_tool_calls, limit_ms, seal) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (name) DO NOTHING",
                (name, *values, seal_of(name, (*values, *[0] * 2 * len(PARTS)))),
            )

    def set_limits(self, name: str, limits: Limits) -> None:
        """Change the limits of an account, opening it when there is none.

        What is spent and held stays, also above a new limit.
        """
        values = limit_values(limits)
        with self._store.transaction():
            self.ensure(name, limits)
            row = self._row(name, self._store.for_update)
            numbers = (*values, *row[1 + len(LIMITS) : -1])
            self._store.change(
                "UPDATE account SET limit_cost = ?, limit_tokens = ?, limit_requests = ?,"
                " limit_tool_calls = ?, limit_ms = ?, seal = ? WHERE name = ?",
                (*values, seal_of(name, numbers), name),
            )

    def reserve(self, chain: tuple[str, ...], amount: Amount, reservation_id: str) -> None:
        """Hold an amount on every account of a chain, or on none.

        A holding of the same identity, left by a process that died, is given
        back first.

        Args:
            chain: Account names from the plan up to its ancestors, session and day.
            amount: The worst case; nothing in it is negative.
            reservation_id: Identity of the call.

        Raises:
            PlanBudgetExceededError: A plan of the chain has not that much left.
            BudgetExceededError: A session or a day has not.
            RecordError: An account of the chain does not exist.
        """
        if not chain:
            return
        parts = parts_of(amount)
        with self._store.transaction():
            stored = (reservation_id, chain[0].removeprefix("plan:"), _written(chain), *parts)
            if not self._store.change(_NOTE, stored):
                self.release(reservation_id)
                self._store.change(_NOTE, stored)
            if self._has_one_writer and self._hold_at_once(chain, parts):
                return
            for names, asked in self._purses.drawn(chain, parts):
                self._hold(names, asked)

    def open_purse(self, child_id: str, budget: Limits, chain: tuple[str, ...]) -> None:
        """Move a subplan's budget, as far as it has not spent it, out of its parent's.

        Args:
            child_id: The subplan.
            budget: Its own limits. Time is not moved: it passes for both at once.
            chain: The parent's accounts; empty when nobody limits it.

        Raises:
            BudgetExceededError: The parent, or somebody above it, has not that much left.
        """
        if not chain or budget.is_unlimited:
            return
        with self._store.transaction():
            rows = self._store.execute(f"{_SELECT} WHERE name = ?", (f"plan:{child_id}",))
            used = read_account(rows[0]).spent if rows else Amount()
            spent = totals_of(parts_of(used))
            values = zip(limit_values(budget), spent, strict=True)
            cost, tokens, requests, calls, _ = (max(0, (n or 0) - used) for n, used in values)
            left = Amount(
                cost_microusd=cost, output_tokens=tokens, requests=requests, tool_calls=calls
            )
            self.reserve(chain, left, PURSE + child_id)

    def close_purse(self, child_id: str) -> None:
        """Give back what is left of a subplan's budget; nothing when there is no purse."""
        self.release(PURSE + child_id)

    def settle(self, reservation_id: str, actual: Amount) -> Settlement:
        """Replace a holding by what was used.

        What was used is booked even when it is more than was held: money that
        is gone is not made less by not counting it.

        Raises:
            RecordError: Nothing is held under this identity.
        """
        with self._store.transaction():
            settled = self._give_back(reservation_id, parts_of(actual))
        if settled is None:
            raise RecordError(problem=f"nothing is held for {reservation_id}")
        return settled

    def release(self, reservation_id: str) -> bool:
        """Give a holding back unused; say whether there was one."""
        with self._store.transaction():
            return self._give_back(reservation_id, NOTHING) is not None

    def release_plan(self, plan_id: str) -> int:
        """Give back everything that a dead plan still holds; say how many holdings."""
        return self._release("plan_id = ?", plan_id)

    def release_tree(self, root_id: str) -> int:
        """The same for a root plan and everything below it, their purses too."""
        return self._release("plan_id IN (SELECT plan_id FROM plan WHERE root_id = ?)", root_id)

    def snapshot(self, name: str) -> Account:
        """Give an account as it stands.

        Raises:
            RecordError: There is no such account.
        """
        return read_account(self._row(name, ""))

    def _release(self, term: str, value: str) -> int:
        with self._store.transaction():
            rows = self._store.execute(
                f"SELECT id FROM reservation WHERE {term} ORDER BY id",  # noqa: S608  # constants
                (value,),
            )
            return sum(self.release(str(row[0])) for row in rows)

    def _hold_at_once(self, chain: tuple[str, ...], parts: tuple[int, ...]) -> bool:
        """Hold on a whole chain by one statement, or on none where anything is in the way."""
        purses, count = purses_of(chain), len(chain)
        values = (*parts, weigh(SEAL_HELD, parts), *chain, *totals_of(parts), *purses)
        change = self._store.change
        change("SAVEPOINT hold")
        is_held = change(account_statement.hold_all(count, len(purses)), values) == count
        if not is_held:
            change("ROLLBACK TO hold")
        change("RELEASE hold")
        return is_held

    def _hold(self, chain: tuple[str, ...], parts: tuple[int, ...]) -> None:
        totals, weight = totals_of(parts), weigh(SEAL_HELD, parts)
        for name in chain:
            if self._store.change(_HOLD, (*parts, weight, name, *totals)) != 1:
                raise excess_of(self.snapshot(name), totals) or RecordError(
                    problem=f"the account {name} refuses without a limit"
                )

    def _give_back(self, reservation_id: str, actual: tuple[int, ...]) -> Settlement | None:
        rows = self._store.execute(self._reserved, (reservation_id,))
        if not rows:
            return None
        held = rows[0][1:]
        chain = _read(rows[0][0])
        self._store.change("DELETE FROM reservation WHERE id = ?", (reservation_id,))
        self._book(chain, held, actual)
        for above, moved in self._purses.refunded(chain, held, actual):
            self._book(above, tuple(-part for part in moved), NOTHING)
        return Settlement(chain, self._crossings(chain, actual))

    def _book(self, chain: tuple[str, ...], held: tuple[int, ...], actual: tuple[int, ...]) -> None:
        moved = weigh(SEAL_SPENT, actual) - weigh(SEAL_HELD, held)
        # PostgreSQL locks the rows of one statement in any order: there one after the
        # other, so that no two chains wait for each other.
        for names in (chain,) if self._has_one_writer else ((name,) for name in chain):
            text = account_statement.settle(len(names))
            if self._store.change(text, (*held, *actual, moved, *names)) != len(names):
                gone = next(name for name in names if not self._exists(name))
                raise RecordError(problem=f"the account {gone} of a holding does not exist")

    def _crossings(self, chain: tuple[str, ...], actual: tuple[int, ...]) -> tuple[Crossing, ...]:
        used = tuple(map(bool, totals_of(actual)))
        if not any(used):
            return ()
        rows = self._store.execute(account_statement.nearly_spent(len(chain), used), chain)
        return crossings_of(rows, actual) if rows else ()

    def _exists(self, name: str) -> bool:
        return bool(self._store.execute("SELECT 1 FROM account WHERE name = ?", (name,)))

    def _row(self, name: str, suffix: str) -> Row:
        rows = self._store.execute(f"{_SELECT} WHERE name = ?{suffix}", (name,))
        if not rows:
            raise RecordError(problem=f"the account {name} does not exist")
        return rows[0]


@lru_cache
def _written(chain: tuple[str, ...]) -> str:
    return json.dumps(chain)


@lru_cache
def _read(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))
