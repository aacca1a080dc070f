"""A subplan's budget is moved: no order of events spends a limit, or loses a micro-dollar."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cleveragents.errors import BudgetExceededError, PlanBudgetExceededError
from cleveragents.record.account import AccountBook
from cleveragents.record.account_row import NOTHING, NUMBERS, PARTS, held_by_name, seal_of
from cleveragents.record.engine import SqliteEngine
from cleveragents.record.migration.step import bring_up
from cleveragents.record.store import Store
from cleveragents.terms.cost import NO_LIMITS, Amount, Limits

if TYPE_CHECKING:
    from pathlib import Path

TREE: dict[str, tuple[str, ...]] = {"root": (), "a": ("root",), "b": ("root",), "a1": ("a", "root")}
TOP = ("session:s", "day:2026-01-01")


def chain_of(plan: str) -> tuple[str, ...]:
    return (*(f"plan:{name}" for name in (plan, *TREE[plan])), *TOP)


def memory() -> Store:
    import sqlite3

    connection = sqlite3.connect(":memory:", isolation_level=None)
    store = Store(SqliteEngine(connection, sqlite3.Error, ":memory:"))
    bring_up(store)
    return store


def check_sums(store: Store) -> None:
    """Every row has its seal, and holds what the reservations say."""
    held = held_by_name(store)
    columns = ", ".join(NUMBERS)
    for row in store.execute(f"SELECT name, {columns}, seal FROM account"):  # noqa: S608  # constants
        assert seal_of(row[0], row[1:-1]) == row[-1]
        assert row[-1 - len(PARTS) : -1] == held.get(row[0], NOTHING), row[0]


@pytest.fixture
def book() -> AccountBook:
    made = AccountBook(memory())
    for name in (*map("plan:{}".format, TREE), *TOP):
        made.ensure(name)
    return made


def held(book: AccountBook, name: str) -> int:
    return book.snapshot(name).reserved.cost_microusd


def test_what_is_handed_on_is_its_parents_no_more(book: AccountBook) -> None:
    book.set_limits("plan:root", Limits(cost_microusd=100))
    book.set_limits("plan:a", Limits(cost_microusd=60))
    book.open_purse("a", Limits(cost_microusd=60), chain_of("root"))
    with pytest.raises(PlanBudgetExceededError, match=r"0\.00006 USD held"):
        book.reserve(chain_of("b"), Amount(cost_microusd=41), "b/1")
    book.reserve(chain_of("b"), Amount(cost_microusd=40), "b/1")
    # The child draws from what was moved: its parent holds no more by it.
    book.reserve(chain_of("a"), Amount(cost_microusd=60), "a/1")
    assert [held(book, name) for name in ("plan:a", "plan:root", *TOP)] == [60, 100, 100, 100]
    book.settle("a/1", Amount(cost_microusd=25))
    assert [held(book, name) for name in ("plan:a", "plan:root", *TOP)] == [0, 75, 75, 75]
    assert book.snapshot("plan:root").spent.cost_microusd == 25
    book.close_purse("a")
    assert held(book, "plan:root") == 40
    book.close_purse("a")
    check_sums(book._store)


def test_a_child_never_gets_more_than_its_parent_has_left(book: AccountBook) -> None:
    book.set_limits("plan:root", Limits(cost_microusd=100))
    book.open_purse("a", Limits(cost_microusd=60), chain_of("root"))
    with pytest.raises(PlanBudgetExceededError):
        book.open_purse("b", Limits(cost_microusd=41), chain_of("root"))
    book.open_purse("b", Limits(cost_microusd=40), chain_of("root"))
    book.set_limits("plan:root", NO_LIMITS)
    book.set_limits("session:s", Limits(cost_microusd=100))
    with pytest.raises(BudgetExceededError, match="cost limit of session s"):
        book.reserve(chain_of("root"), Amount(cost_microusd=1), "root/1")


def test_nothing_is_moved_where_nobody_limits(book: AccountBook) -> None:
    book.open_purse("a", Limits(cost_microusd=5), ())
    book.open_purse("a", NO_LIMITS, chain_of("root"))
    assert book._store.execute("SELECT count(*) FROM reservation") == [(0,)]


def test_only_what_the_child_limits_is_moved(book: AccountBook) -> None:
    book.set_limits("plan:root", Limits(tool_calls=1))
    book.set_limits("plan:a", Limits(cost_microusd=60))
    book.open_purse("a", Limits(cost_microusd=60), chain_of("root"))
    one = Amount(cost_microusd=10, tool_calls=1)
    book.reserve(chain_of("a"), one, "a/1")
    assert book.snapshot("plan:root").reserved == Amount(cost_microusd=60, tool_calls=1)
    with pytest.raises(PlanBudgetExceededError, match="tool call limit of plan root"):
        book.reserve(chain_of("b"), one, "b/1")


def test_tokens_are_one_purse_however_they_are_used(book: AccountBook) -> None:
    book.set_limits("plan:root", Limits(tokens=100))
    book.set_limits("plan:a", Limits(tokens=80))
    book.open_purse("a", Limits(tokens=80), chain_of("root"))
    book.reserve(chain_of("a"), Amount(input_tokens=50, output_tokens=30), "a/1")
    check_sums(book._store)
    root = book.snapshot("plan:root").reserved
    assert (root.input_tokens, root.output_tokens) == (50, 30)
    book.settle("a/1", Amount(input_tokens=50, output_tokens=5))
    check_sums(book._store)
    root = book.snapshot("plan:root").reserved
    assert root.input_tokens + root.output_tokens == 25
    book.close_purse("a")
    assert book.snapshot("plan:root").reserved == Amount()
    with pytest.raises(PlanBudgetExceededError, match="token limit of plan root is 100: 55 spent"):
        book.reserve(chain_of("b"), Amount(input_tokens=46), "b/1")


def test_money_that_is_gone_is_taken_from_the_purse_first(book: AccountBook) -> None:
    book.set_limits("plan:a", Limits(cost_microusd=60))
    book.open_purse("a", Limits(cost_microusd=60), chain_of("root"))
    book.reserve(chain_of("a"), Amount(cost_microusd=10), "a/1")
    book.settle("a/1", Amount(cost_microusd=30))
    assert held(book, "plan:root") == 30
    book.reserve(chain_of("a"), Amount(cost_microusd=10), "a/2")
    book.settle("a/2", Amount(cost_microusd=100))
    root = book.snapshot("plan:root")
    assert (root.spent.cost_microusd, root.reserved.cost_microusd) == (130, 0)
    check_sums(book._store)


def test_a_child_that_goes_on_gets_what_it_has_not_spent(book: AccountBook) -> None:
    book.set_limits("plan:a", Limits(cost_microusd=60))
    for number in range(2):
        book.open_purse("a", Limits(cost_microusd=60), chain_of("root"))
        book.reserve(chain_of("a"), Amount(cost_microusd=20), f"a/{number}")
        book.settle(f"a/{number}", Amount(cost_microusd=20))
        book.reserve(chain_of("a"), Amount(cost_microusd=20), "a/dead")
        # The process dies here: what it held is given back when the plan goes on.
        assert book.release_plan("root") == 1
        assert book.release_plan("a") == 1
        assert held(book, "plan:root") == held(book, "plan:a") == 0
    book.open_purse("a", Limits(cost_microusd=60), chain_of("root"))
    assert held(book, "plan:root") == 20


def test_ninety_percent_is_told_once_for_each_limit(book: AccountBook) -> None:
    book.set_limits("plan:root", Limits(cost_microusd=100, tool_calls=10))
    book.set_limits("session:s", Limits(cost_microusd=1000))
    told = []
    for number in range(10):
        book.reserve(chain_of("root"), Amount(cost_microusd=9, tool_calls=1), f"{number}")
        told.append(book.settle(f"{number}", Amount(cost_microusd=9, tool_calls=1)).crossings)
    assert [len(crossings) for crossings in told] == [0] * 8 + [1, 1]
    assert told[8][0].text == "9 of the tool call limit of plan root, 10, are spent"
    assert told[9][0].text.startswith("0.00009 USD of the cost limit of plan root")


class Purses(RuleBasedStateMachine):
    """Any order of moving, holding, settling, dying: nothing is overspent, nothing is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.store = memory()
        self.book = AccountBook(self.store)
        self.held: dict[str, tuple[str, int]] = {}
        self.purses: set[str] = set()
        self.spent = dict.fromkeys(TREE, 0)
        self.limits: dict[str, int | None] = {}
        self.number = 0

    @initialize(limits=st.lists(st.none() | st.integers(0, 200), min_size=5, max_size=5))
    def open(self, limits: list[int | None]) -> None:
        names = [*(f"plan:{plan}" for plan in TREE), "session:s"]
        self.limits = dict(zip(names, limits, strict=True))
        for name, limit in self.limits.items():
            self.book.ensure(name, Limits(cost_microusd=limit))
        self.book.ensure(TOP[1])

    @rule(child=st.sampled_from(["a", "b", "a1"]))
    def move(self, child: str) -> None:
        budget = Limits(cost_microusd=self.limits[f"plan:{child}"])
        try:
            self.book.open_purse(child, budget, chain_of(TREE[child][0]))
        except BudgetExceededError:
            return
        if budget != NO_LIMITS:
            self.purses.add(child)

    @rule(plan=st.sampled_from(sorted(TREE)), cost=st.integers(0, 60))
    def reserve(self, plan: str, cost: int) -> None:
        self.number += 1
        name = f"{plan}/{self.number}"
        account = self.book.snapshot(f"plan:{plan}")
        limit = account.limits.cost_microusd
        total = account.spent.cost_microusd + account.reserved.cost_microusd + cost
        fits = bool(limit) and total <= (limit or 0)
        try:
            self.book.reserve(chain_of(plan), Amount(cost_microusd=cost, tool_calls=1), name)
        except BudgetExceededError:
            # What was moved to it nobody else can have taken.
            assert not (plan in self.purses and fits)
            return
        self.held[name] = (plan, cost)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.held)))
        plan, cost = self.held.pop(name)
        actual = data.draw(st.integers(0, cost))
        self.book.settle(name, Amount(cost_microusd=actual, tool_calls=1, milliseconds=3))
        for one in (plan, *TREE[plan]):
            self.spent[one] += actual

    @rule(child=st.sampled_from(["a", "b", "a1"]))
    def end(self, child: str) -> None:
        """A child ends after everything below it."""
        family = ["a1", "a"] if child == "a" else [child]
        for plan in family:
            self.book.release_plan(plan)
            self.book.close_purse(plan)
            self.purses.discard(plan)
            self.held = {name: one for name, one in self.held.items() if one[0] != plan}

    @rule(order=st.permutations(sorted(TREE)))
    def die(self, order: list[str]) -> None:
        """The process dies; everything is given back, in whatever order."""
        for plan in order:
            self.book.release_plan(plan)
        self.held.clear()
        self.purses.clear()
        for name in (*(f"plan:{plan}" for plan in TREE), *TOP):
            assert self.book.snapshot(name).reserved == Amount()

    @invariant()
    def no_limit_is_passed(self) -> None:
        for name, limit in self.limits.items():
            account = self.book.snapshot(name)
            assert account.reserved.cost_microusd >= 0
            if limit is not None:
                assert account.spent.cost_microusd + account.reserved.cost_microusd <= limit
        for plan, spent in self.spent.items():
            if self.limits:
                assert self.book.snapshot(f"plan:{plan}").spent.cost_microusd == spent

    @invariant()
    def everything_adds_up(self) -> None:
        check_sums(self.store)

    def teardown(self) -> None:
        self.store.close()


TestPurses = Purses.TestCase
TestPurses.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_sixty_four_children_together_spend_no_more_than_their_parent_has(tmp_path: Path) -> None:
    store = Store.open(f"sqlite://{tmp_path}/accounts.db")
    book = AccountBook(store)
    book.ensure("plan:root", Limits(cost_microusd=10_000))
    book.ensure("session:s", Limits(cost_microusd=5_003))
    above = ("plan:root", "session:s")
    gate = threading.Barrier(64)

    def work(worker: int) -> int:
        chance = random.Random(worker)  # noqa: S311  # no secret
        child, has_purse = f"c{worker}", worker % 2 == 0
        budget = Limits(cost_microusd=150) if has_purse else NO_LIMITS
        book.ensure(f"plan:{child}", budget)
        gate.wait(30)
        try:
            book.open_purse(child, budget, above)
        except BudgetExceededError:
            return 0
        spent = 0
        for number in range(5):
            name, worst = f"{child}/{number}", chance.randint(1, 60)
            try:
                book.reserve((f"plan:{child}", *above), Amount(cost_microusd=worst), name)
            except BudgetExceededError:
                continue
            if chance.random() < 0.2:
                continue  # It died between the two.
            actual = chance.randint(0, worst)
            book.settle(name, Amount(cost_microusd=actual))
            spent += actual
            used = book.snapshot("session:s")
            assert used.spent.cost_microusd + used.reserved.cost_microusd <= 5_003
        book.release_plan(child)
        book.close_purse(child)
        return spent

    with ThreadPoolExecutor(64) as pool:
        spent = sum(pool.map(work, range(64)))
    for name in above:
        account = book.snapshot(name)
        assert account.spent.cost_microusd == spent <= 5_003
        assert account.reserved == Amount()
    check_sums(store)
    store.close()


WORKER = """
import os, random, signal, sys
from cleveragents.errors import BudgetExceededError
from cleveragents.record.account import AccountBook
from cleveragents.record.store import Store
from cleveragents.terms.cost import Amount, Limits
url, worker = sys.argv[1:]
store = Store.open(url)
book = AccountBook(store)
chance = random.Random(int(worker))
child = f"c{worker}"
above = ("plan:root", "session:s")
book.ensure(f"plan:{child}", Limits(cost_microusd=300))
print("ready", flush=True)
sys.stdin.readline()
book.open_purse(child, Limits(cost_microusd=300), above)
for number in range(30):
    name, worst = f"{child}/{number}", chance.randint(1, 40)
    try:
        book.reserve((f"plan:{child}", *above), Amount(cost_microusd=worst), name)
    except BudgetExceededError:
        continue
    if number == 12 and int(worker) % 2:
        os.kill(os.getpid(), signal.SIGKILL)
    book.settle(name, Amount(cost_microusd=chance.randint(0, worst)))
"""


def test_eight_processes_half_of_them_killed_lose_and_overspend_nothing(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/accounts.db"
    store = Store.open(url)
    book = AccountBook(store)
    book.ensure("plan:root", Limits(cost_microusd=3_000))
    book.ensure("session:s", Limits(cost_microusd=2_400))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate(timeout=60)
    assert [worker.returncode for worker in workers] == [0, -9] * 4
    session = book.snapshot("session:s")
    assert session.spent.cost_microusd + session.reserved.cost_microusd <= 2_400
    check_sums(store)
    spent = session.spent.cost_microusd
    # The dead ones' calls are given back; the purses belong to the root.
    dead = store.execute("SELECT id, chain FROM reservation WHERE id LIKE 'c%'")
    assert len(dead) == 4
    assert all(json.loads(chain)[1:] == ["plan:root", "session:s"] for _, chain in dead)
    for number in range(8):
        book.release_plan(f"c{number}")
    book.release_plan("root")
    for name in ("plan:root", "session:s"):
        account = book.snapshot(name)
        assert (account.spent.cost_microusd, account.reserved) == (spent, Amount())
    children = [book.snapshot(f"plan:c{number}").spent.cost_microusd for number in range(8)]
    assert sum(children) == spent
    check_sums(store)
    store.close()
