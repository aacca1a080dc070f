"""What a call is booked at: what its tool declares, or reports; on the account of the day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import BudgetExceededError
from cleveragents.record.spending import report
from cleveragents.runtime.cost_tracker import CostTracker
from cleveragents.runtime.tool_report import read_report
from cleveragents.terms.cost import Limits
from cleveragents.terms.tool import ToolSpec
from tests.record.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRICED = ToolSpec("ask", "", {"type": "object"}, origin="own", cost_microusd=20_000)


class Day:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.today = "2026-01-01"

    def __call__(self) -> str:
        return self.today


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, f"sqlite://{tmp_path}/cleveragents.db")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("result", "cost", "has_problem"),
    [
        ({"cost_usd": "0.01"}, 10_000, False),
        ({"cost_usd": 0.1}, 100_000, False),
        ({"cost_usd": 0}, 0, False),
        ({"cost_usd": "0.0000001"}, 1, False),
        ({"cost_usd": -0.01}, None, True),
        ({"cost_usd": "NaN"}, None, True),
        ({"cost_usd": float("nan")}, None, True),
        ({"cost_usd": float("inf")}, None, True),
        ({"cost_usd": 1e30}, None, True),
        ({"cost_usd": "1 EUR"}, None, True),
        ({"cost_usd": True}, None, True),
        ({"cost_usd": [1]}, None, True),
        ({"cost_usd": None}, None, True),
        ({"text": "free"}, None, False),
        ("text", None, False),
        (None, None, False),
    ],
)
def test_what_a_tool_says_is_read_as_money_or_not_at_all(
    result: object, cost: int | None, has_problem: bool
) -> None:
    found = read_report(result)
    assert found.cost_microusd == cost
    assert bool(found.problem) is has_problem


@pytest.mark.parametrize("tokens", [-1, True, "5", 1.5, None])
def test_what_is_no_count_of_tokens_counts_nothing(tokens: object) -> None:
    assert read_report({"input_tokens": tokens}).input_tokens == 0


@pytest.mark.parametrize(
    ("value", "booked", "said"),
    [
        ({"value": {"text": "no price"}}, 20_000, ""),
        ({"value": {"cost_usd": "0.005"}}, 5_000, ""),
        ({"value": {"cost_usd": "0.5"}}, 500_000, "ask reported 0.50 USD and declares 0.02 USD"),
        ({"value": {"cost_usd": -1}}, 20_000, "ask reported a cost of -1"),
        ({}, 20_000, ""),
    ],
)
def test_what_is_reported_is_booked_and_what_is_wrong_is_told(
    desk: Desk, value: dict[str, object], booked: int, said: str
) -> None:
    tracker = CostTracker(desk.accounts, store=desk.store)
    desk.accounts.ensure("plan:a")
    assert tracker.reserve(("plan:a",), PRICED, reservation="a/1")
    bill = tracker.settle(PRICED, reservation="a/1", milliseconds=5, value=value)
    assert bill.body["cost_microusd"] == booked
    assert bill.body["charged"] == ["plan:a"]
    assert [str(one["text"]).startswith(said) for one in bill.warnings] == [True] * bool(said)
    account = desk.accounts.snapshot("plan:a")
    assert account.spent.cost_microusd == booked
    assert account.spent.milliseconds == 5


def test_the_tools_of_the_house_report_nothing(desk: Desk) -> None:
    tracker = CostTracker(desk.accounts)
    spec = ToolSpec("read_file", "", {"type": "object"})
    desk.accounts.ensure("plan:a")
    tracker.reserve(("plan:a",), spec, reservation="a/1")
    lie = {"value": {"cost_usd": 5, "input_tokens": 7}}
    bill = tracker.settle(spec, reservation="a/1", milliseconds=5, value=lie)
    assert (bill.body, bill.warnings) == ({}, ())


def test_a_spawn_takes_no_time_of_its_own(desk: Desk) -> None:
    tracker = CostTracker(desk.accounts)
    spec = ToolSpec("spawn_subplan", "", {"type": "object"}, place="door")
    desk.accounts.ensure("plan:a")
    tracker.reserve(("plan:a",), spec, reservation="a/1")
    tracker.settle(spec, reservation="a/1", milliseconds=60_000)
    assert desk.accounts.snapshot("plan:a").spent.milliseconds == 0


def test_after_midnight_the_new_day_is_charged(desk: Desk) -> None:
    clock = Day()
    limits = Limits(cost_microusd=20_000)
    tracker = CostTracker(desk.accounts, store=desk.store, today=clock, per_day=limits)
    chain = ("plan:a", "session:s", "day:2026-01-01")
    desk.accounts.ensure("plan:a")
    desk.accounts.ensure("session:s")
    desk.accounts.ensure("day:2026-01-01", limits)
    for number, day in enumerate(("2026-01-01", "2026-01-02")):
        clock.today = day
        tracker.reserve(chain, PRICED, reservation=f"a/{number}")
        tracker.settle(PRICED, reservation=f"a/{number}", milliseconds=1)
        with pytest.raises(BudgetExceededError, match=f"day {day}"):
            tracker.reserve(chain, PRICED, reservation="a/more")
    data = report(desk.store, by="day")
    assert [(row["day"], row["cost_usd"]) for row in data["rows"]] == [
        ("2026-01-01", "0.02"),
        ("2026-01-02", "0.02"),
    ]
    assert report(desk.store, by="day", since="2026-01-02")["total"]["cost_usd"] == "0.02"
    by_session = report(desk.store, by="session")["rows"]
    assert [(row["session_id"], row["cost_usd"]) for row in by_session] == [("s", "0.04")]
    assert report(desk.store, by="plan")["rows"][0]["plan_id"] == "a"
    assert report(desk.store, by="plan", since="2027-01-01")["total"]["tool_calls"] == 0
