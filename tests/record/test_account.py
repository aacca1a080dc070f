from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cleveragents.errors import BudgetExceededError, PlanBudgetExceededError, RecordError
from cleveragents.record.account import AccountBook
from cleveragents.record.account_row import NUMBERS, seal_of
from cleveragents.record.store import Store
from cleveragents.terms.cost import NO_LIMITS, Amount, Limits

if TYPE_CHECKING:
    from tests.record.desk import Desk

ONE = Amount(tool_calls=1)


def test_what_is_held_becomes_what_is_spent(any_desk: Desk) -> None:
    book = any_desk.accounts
    book.ensure("plan:a", Limits(cost_microusd=100, tokens=50))
    book.ensure("session:s")
    worst = Amount(cost_microusd=80, input_tokens=20, output_tokens=30, requests=1, tool_calls=1)
    book.reserve(("plan:a", "session:s"), worst, "a/1")
    assert book.snapshot("plan:a").reserved == worst
    used = Amount(cost_microusd=30, input_tokens=20, output_tokens=3, requests=1, tool_calls=1)
    any_desk.settle("a/1", used, call_id="1")
    for name in ("plan:a", "session:s"):
        account = book.snapshot(name)
        assert account.reserved == Amount()
        assert account.spent == used
    assert book.snapshot("plan:a").limits == Limits(cost_microusd=100, tokens=50)
    assert any_desk.verify().problems == ()


@pytest.mark.parametrize(
    ("limits", "amount", "said"),
    [
        (Limits(cost_microusd=10_000), Amount(cost_microusd=10_001), "cost limit .* is 0.01 USD"),
        (
            Limits(tokens=10),
            Amount(input_tokens=6, output_tokens=5),
            "token limit .* is 10: 0 spent",
        ),
        (Limits(requests=0), Amount(), "request limit .* is 0"),
        (Limits(tool_calls=0), ONE, "tool call limit .* is 0: 0 spent, 0 held, 1 asked"),
        (Limits(seconds=2), Amount(milliseconds=2001), "time limit .* is 2 s"),
        (Limits(cost_microusd=0), ONE, "cost limit .* is 0 USD"),
        (Limits(seconds=0), ONE, "time limit .* is 0 s"),
        (Limits(1, 1, 1, 1, 1), Amount(2, 2, 2, 2, 2, 2000), "cost limit"),
    ],
)
def test_each_limit_refuses_and_says_which(
    any_desk: Desk, limits: Limits, amount: Amount, said: str
) -> None:
    book = any_desk.accounts
    book.ensure("plan:a", limits)
    with pytest.raises(PlanBudgetExceededError, match=f"the {said}"):
        book.reserve(("plan:a",), amount, "a/1")
    assert any_desk.store.execute("SELECT count(*) FROM reservation") == [(0,)]
    assert book.snapshot("plan:a").reserved == Amount()


def test_a_limit_is_exact_at_its_edge(any_desk: Desk) -> None:
    book = any_desk.accounts
    book.ensure("plan:a", Limits(cost_microusd=10, tool_calls=2, seconds=1))
    book.reserve(("plan:a",), Amount(cost_microusd=10, tool_calls=1), "a/1")
    # All of the money is held: what costs nothing still goes through.
    book.reserve(("plan:a",), ONE, "a/2")
    with pytest.raises(PlanBudgetExceededError, match="2 held, 1 asked for"):
        book.reserve(("plan:a",), ONE, "a/3")
    book.settle("a/1", Amount(milliseconds=999))
    book.settle("a/2", Amount())
    book.reserve(("plan:a",), ONE, "a/4")
    book.settle("a/4", Amount(milliseconds=1, tool_calls=1))
    with pytest.raises(PlanBudgetExceededError, match=r"time limit .* is 1 s: 1 s spent"):
        book.reserve(("plan:a",), ONE, "a/5")


def test_the_whole_chain_holds_or_none_of_it(any_desk: Desk) -> None:
    book = any_desk.accounts
    for name, limits in {
        "plan:child": NO_LIMITS,
        "plan:root": Limits(tool_calls=5),
        "session:s": Limits(tool_calls=1),
        "day:2026-01-01": NO_LIMITS,
    }.items():
        book.ensure(name, limits)
    chain = ("plan:child", "plan:root", "session:s", "day:2026-01-01")
    book.reserve(chain, ONE, "child/1")
    with pytest.raises(BudgetExceededError, match="tool call limit of session s is 1") as caught:
        book.reserve(chain, ONE, "child/2")
    assert not isinstance(caught.value, PlanBudgetExceededError)
    assert all(book.snapshot(name).reserved == ONE for name in chain)
    book.reserve(chain[:2], ONE, "child/3")


def test_who_has_room_for_one_is_not_blamed_for_who_has_none(any_desk: Desk) -> None:
    book = any_desk.accounts
    book.ensure("plan:a", Limits(tool_calls=1))
    book.ensure("plan:root", Limits(tool_calls=5))
    book.ensure("session:s", Limits(tool_calls=2))
    book.reserve(("plan:root", "session:s"), ONE, "root/1")
    book.settle("root/1", ONE)
    book.reserve(("plan:root", "session:s"), ONE, "root/2")
    said = "tool call limit of session s is 2: 1 spent, 1 held, 1 asked"
    with pytest.raises(BudgetExceededError, match=said):
        book.reserve(("plan:a", "plan:root", "session:s"), ONE, "a/1")
    assert book.snapshot("plan:a").reserved == Amount()
    assert book.snapshot("plan:root").reserved == ONE
    assert any_desk.store.execute("SELECT id FROM reservation") == [("root/2",)]


@pytest.mark.parametrize(
    ("limits", "used", "said"),
    [
        (Limits(cost_microusd=100), Amount(cost_microusd=90), "0.00009 USD of the cost limit"),
        (Limits(tokens=100), Amount(input_tokens=90), "90 of the token limit"),
        (Limits(tokens=100), Amount(input_tokens=1, output_tokens=89), "90 of the token limit"),
        (Limits(requests=10), Amount(requests=9), "9 of the request limit"),
        (Limits(tool_calls=10), Amount(tool_calls=9), "9 of the tool call limit"),
        (Limits(seconds=10), Amount(milliseconds=9000), "9 s of the time limit"),
    ],
)
def test_each_limit_that_is_nearly_spent_is_told(
    any_desk: Desk, limits: Limits, used: Amount, said: str
) -> None:
    book = any_desk.accounts
    chain = ("plan:a", "session:s")
    book.ensure("plan:a")
    book.ensure("session:s", limits)
    book.reserve(chain, Amount(), "a/1")
    told = book.settle("a/1", used).crossings
    assert [one.text.startswith(f"{said} of session s") for one in told] == [True]
    book.reserve(("plan:a",), Amount(), "a/2")
    assert book.settle("a/2", used).crossings == ()


def test_a_longer_chain_needs_no_more_statements() -> None:
    counts = []
    for length in (2, 5):
        store, said = _traced()
        book = AccountBook(store)
        chain = tuple(f"plan:{number}" for number in range(length))
        for name in chain:
            book.ensure(name, Limits(cost_microusd=100))
        said.clear()
        book.reserve(chain, Amount(cost_microusd=5), "0/1")
        assert len(book.settle("0/1", Amount(cost_microusd=5)).chain) == length
        counts.append(len(said))
        store.close()
    assert counts[0] == counts[1] <= 12


def test_an_account_that_is_not_there_refuses(any_desk: Desk) -> None:
    any_desk.accounts.ensure("plan:a")
    with pytest.raises(RecordError, match="the account plan:b does not exist"):
        any_desk.accounts.reserve(("plan:a", "plan:b"), ONE, "a/1")
    assert any_desk.accounts.snapshot("plan:a").reserved == Amount()
    with pytest.raises(RecordError, match="does not exist"):
        any_desk.accounts.snapshot("plan:b")


def test_an_empty_chain_holds_nothing(any_desk: Desk) -> None:
    any_desk.accounts.reserve((), ONE, "a/1")
    assert not any_desk.accounts.release("a/1")


def test_a_call_that_is_asked_again_holds_once(any_desk: Desk) -> None:
    book = any_desk.accounts
    book.ensure("plan:a", Limits(tool_calls=2))
    book.reserve(("plan:a",), Amount(tool_calls=2), "a/1")
    book.reserve(("plan:a",), ONE, "a/1")
    assert book.snapshot("plan:a").reserved == ONE
    book.settle("a/1", ONE)
    with pytest.raises(RecordError, match="nothing is held for a/1"):
        book.settle("a/1", ONE)
    assert book.snapshot("plan:a").spent == ONE


def test_a_dead_plan_gives_back_what_it_held(any_desk: Desk) -> None:
    book = any_desk.accounts
    for name in ("plan:root", "plan:a", "plan:b"):
        book.ensure(name)
    book.reserve(("plan:a", "plan:root"), ONE, "a/1")
    book.reserve(("plan:a", "plan:root"), ONE, "a/2")
    book.reserve(("plan:b", "plan:root"), ONE, "b/1")
    assert book.release_plan("a") == 2
    assert book.release_plan("a") == 0
    assert book.snapshot("plan:root").reserved == ONE
    assert book.release("b/1")
    assert not book.release("b/1")
    assert book.snapshot("plan:root").reserved == Amount()


def test_limits_are_kept_until_they_are_changed(any_desk: Desk) -> None:
    book = any_desk.accounts
    book.ensure("plan:a", Limits(tool_calls=1))
    book.ensure("plan:a", Limits(tool_calls=9))
    book.reserve(("plan:a",), ONE, "a/1")
    assert book.snapshot("plan:a").limits == Limits(tool_calls=1)
    book.set_limits("plan:a", Limits(tool_calls=2, seconds=3))
    assert book.snapshot("plan:a").limits == Limits(tool_calls=2, seconds=3)
    assert book.snapshot("plan:a").reserved == ONE
    book.set_limits("session:new", Limits(tokens=1))
    assert book.snapshot("session:new").limits == Limits(tokens=1)
    assert any_desk.verify().problems == ()


def test_nothing_is_negative(any_desk: Desk) -> None:
    with pytest.raises(RecordError, match="a limit is negative"):
        any_desk.accounts.ensure("plan:a", Limits(tokens=-1))
    any_desk.accounts.ensure("plan:a")
    with pytest.raises(RecordError, match="negative amount"):
        any_desk.accounts.reserve(("plan:a",), Amount(cost_microusd=-1), "a/1")
    any_desk.accounts.reserve(("plan:a",), ONE, "a/1")
    with pytest.raises(RecordError, match="negative amount"):
        any_desk.accounts.settle("a/1", Amount(input_tokens=-1))


def test_settlement_and_outcome_are_one_commit(any_desk: Desk) -> None:
    book = any_desk.accounts
    book.ensure("plan:a")
    book.reserve(("plan:a",), ONE, "a/1")
    with pytest.raises(ZeroDivisionError), any_desk.store.transaction():  # noqa: PT012  # the whole block is what fails
        book.settle("a/1", ONE)
        any_desk.append("outcome", call_id="a")
        raise ZeroDivisionError
    assert book.snapshot("plan:a").spent == Amount()
    with any_desk.store.transaction():
        book.settle("a/1", ONE)
        any_desk.append("outcome", call_id="a")
    assert book.snapshot("plan:a").spent == ONE


def test_what_was_really_used_is_booked_in_full(any_desk: Desk) -> None:
    book = any_desk.accounts
    book.ensure("plan:a", Limits(cost_microusd=10))
    book.reserve(("plan:a",), Amount(cost_microusd=10), "a/1")
    book.settle("a/1", Amount(cost_microusd=12))
    assert book.snapshot("plan:a").spent == Amount(cost_microusd=12)
    with pytest.raises(PlanBudgetExceededError):
        book.reserve(("plan:a",), Amount(cost_microusd=1), "a/2")


def test_a_holding_whose_account_is_gone_is_an_error(desk: Desk) -> None:
    desk.accounts.ensure("plan:a")
    desk.accounts.reserve(("plan:a",), ONE, "a/1")
    desk.store.change("DELETE FROM account")
    with pytest.raises(RecordError, match="account plan:a of a holding does not exist"):
        desk.accounts.settle("a/1", ONE)


def test_threads_together_spend_no_more_than_the_limit(any_desk: Desk) -> None:
    book = any_desk.accounts
    book.ensure("plan:root", Limits(cost_microusd=100, tool_calls=1000))
    for child in range(4):
        book.ensure(f"plan:{child}")
    gate = threading.Barrier(8)

    def work(worker: int) -> int:
        gate.wait(30)
        admitted = 0
        for number in range(10):
            try:
                chain = (f"plan:{worker % 4}", "plan:root")
                book.reserve(chain, Amount(cost_microusd=3), f"{worker}/{number}")
            except PlanBudgetExceededError:
                continue
            any_desk.settle(f"{worker}/{number}", Amount(cost_microusd=3), call_id=f"{number}")
            admitted += 1
        return admitted

    with ThreadPoolExecutor(8) as pool:
        admitted = sum(pool.map(work, range(8)))
    assert admitted == 33
    assert book.snapshot("plan:root").spent.cost_microusd == 99
    assert any_desk.verify().problems == ()


AMOUNTS = st.builds(
    Amount,
    cost_microusd=st.integers(0, 40),
    input_tokens=st.integers(0, 20),
    output_tokens=st.integers(0, 20),
    requests=st.integers(0, 2),
    tool_calls=st.integers(0, 2),
)
LIMITS = st.builds(
    Limits,
    cost_microusd=st.none() | st.integers(0, 100),
    tokens=st.none() | st.integers(0, 100),
    requests=st.none() | st.integers(0, 10),
    tool_calls=st.none() | st.integers(0, 10),
)
TREE = {"root": (), "a": ("root",), "b": ("root",), "a1": ("a", "root")}


class Accounts(RuleBasedStateMachine):
    """Any order of holding, settling, releasing: no limit is passed, nothing gets lost."""

    def __init__(self) -> None:
        super().__init__()
        self.store = _memory()
        self.book = AccountBook(self.store)
        self.held: dict[str, tuple[str, Amount]] = {}
        self.spent: dict[str, int] = dict.fromkeys(TREE, 0)
        self.number = 0

    def chain(self, plan: str) -> tuple[str, ...]:
        return tuple(f"plan:{name}" for name in (plan, *TREE[plan]))

    @initialize(limits=st.lists(LIMITS, min_size=4, max_size=4))
    def open(self, limits: list[Limits]) -> None:
        self.limits = dict(zip(TREE, limits, strict=True))
        for name, one in self.limits.items():
            self.book.ensure(f"plan:{name}", one)

    @rule(plan=st.sampled_from(sorted(TREE)), amount=AMOUNTS)
    def reserve(self, plan: str, amount: Amount) -> None:
        self.number += 1
        name = f"{plan}/{self.number}"
        try:
            self.book.reserve(self.chain(plan), amount, name)
        except PlanBudgetExceededError:
            return
        self.held[name] = (plan, amount)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.held)))
        plan, amount = self.held.pop(name)
        actual = Amount(
            **{
                field: data.draw(st.integers(0, getattr(amount, field)), label=field)
                for field in (
                    "cost_microusd",
                    "input_tokens",
                    "output_tokens",
                    "requests",
                    "tool_calls",
                )
            }
        )
        self.book.settle(name, actual)
        for one in (plan, *TREE[plan]):
            self.spent[one] += actual.cost_microusd

    @rule(plan=st.sampled_from(sorted(TREE)))
    def release_plan(self, plan: str) -> None:
        gone = [name for name, (owner, _) in self.held.items() if owner == plan]
        assert self.book.release_plan(plan) == len(gone)
        for name in gone:
            del self.held[name]

    @invariant()
    def no_limit_is_passed(self) -> None:
        if not hasattr(self, "limits"):
            return
        for name, limits in self.limits.items():
            account = self.book.snapshot(f"plan:{name}")
            pairs: list[tuple[int | None, Any]] = [
                (limits.cost_microusd, lambda a: a.cost_microusd),
                (limits.tokens, lambda a: a.input_tokens + a.output_tokens),
                (limits.requests, lambda a: a.requests),
                (limits.tool_calls, lambda a: a.tool_calls),
            ]
            for limit, part in pairs:
                assert limit is None or part(account.spent) + part(account.reserved) <= limit
            assert account.spent.cost_microusd == self.spent[name]
            below = [amount for plan, amount in self.held.values() if name in (plan, *TREE[plan])]
            assert account.reserved.cost_microusd == sum(one.cost_microusd for one in below)

    @invariant()
    def every_row_adds_up(self) -> None:
        columns = ", ".join(NUMBERS)
        for row in self.store.execute(f"SELECT name, {columns}, seal FROM account"):  # noqa: S608  # constants
            assert seal_of(row[0], row[1:-1]) == row[-1]

    def teardown(self) -> None:
        self.store.close()


def _traced() -> tuple[Store, list[str]]:
    """A store, and the statements that reach its database."""
    store, said = _memory(), list[str]()
    store._engine._connection.set_trace_callback(said.append)  # type: ignore[attr-defined]  # SQLite's own view
    return store, said


def _memory() -> Store:
    import sqlite3

    from cleveragents.record.engine import SqliteEngine
    from cleveragents.record.migration.step import bring_up

    connection = sqlite3.connect(":memory:", isolation_level=None)
    store = Store(SqliteEngine(connection, sqlite3.Error, ":memory:"))
    bring_up(store)
    return store


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
