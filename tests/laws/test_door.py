"""What the laws say about order and number at the door.

One call at a time is tested in ``tests/runtime``; ``checks.py`` removes the
checks that both are about, and ``docs/security/laws.md`` lists them.
"""

from __future__ import annotations

import concurrent.futures
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import (
    BudgetExceededError,
    PlanBudgetExceededError,
    ToolAccessDeniedError,
    ToolFailedError,
)
from cleveragents.policy.profile import BUILT_IN, SafetyProfile
from cleveragents.terms.cost import Limits
from features.doubles.in_memory_hands import HostDiedError, InMemoryHands
from tests.runtime.world import PLAN, Person, Setting, World

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cleveragents.runtime.call_context import CallContext

ACCOUNT = f"plan:{PLAN}"
SECRET = "correct-horse-battery"  # made up


@dataclass
class WatchingHands(InMemoryHands):
    """Looks at the record at the moment when an effect begins."""

    world: World | None = None
    seen: list[list[str]] = field(default_factory=list)

    def call(
        self, tool: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> Mapping[str, object]:
        self._look()
        return super().call(tool, arguments, timeout_s=timeout_s)

    def commit(self, *, timeout_s: float) -> Mapping[str, object]:
        self._look()
        return super().commit(timeout_s=timeout_s)

    def _look(self) -> None:
        if self.world is not None:
            self.seen.append(self.world.kinds())


def _limited(home: Path, **limits: Limits) -> World:
    """A world whose accounts have limits; a name's ``__`` stands for its colon."""
    names = tuple(name.replace("__", ":") for name in limits)
    world = World(home, Setting(accounts=names))
    for name, limit in zip(names, limits.values(), strict=True):
        world.accounts.ensure(name, limit)
    return world


# -- written before done (law 4) ------------------------------------------------------


def test_the_decision_is_on_disk_before_an_effect_in_the_cell(tmp_path: Path) -> None:
    hands = WatchingHands()
    world = hands.world = World(tmp_path, hands=hands)
    world.call_as("one", "write_file", {"path": "a.txt", "content": "x"})
    world.call_as("two", "run_command", {"command": "make"})
    assert hands.seen == [["decision"], ["decision", "outcome", "decision"]]


def test_the_decision_is_on_disk_before_a_request_is_sent(tmp_path: Path) -> None:
    world = World(tmp_path)
    seen: list[list[str]] = []

    class Watching:
        def perform(
            self,
            tool: str,
            arguments: Mapping[str, object],
            context: CallContext,
            *,
            timeout_s: float,
        ) -> Mapping[str, object]:
            seen.append(world.kinds())
            return {"status": 200}

    world.door._effect._broker = Watching()
    world.call("fetch_url", url="https://example.com/")
    assert seen == [["decision"]]


# -- held before spent (law 5) ----------------------------------------------------------


def test_a_limit_further_up_the_chain_holds_too(tmp_path: Path) -> None:
    world = _limited(tmp_path, plan__01PLAN=Limits(), session__S=Limits(tool_calls=1))
    world.call_as("one", "read_file", {"path": "a.txt"})
    with pytest.raises(BudgetExceededError):
        world.call_as("two", "read_file", {"path": "a.txt"})
    assert world.hands.ran == ["read_file"]


def test_nothing_stays_held_after_a_call_that_ended_well_or_badly(tmp_path: Path) -> None:
    world = _limited(tmp_path, plan__01PLAN=Limits(tool_calls=5))
    world.call_as("one", "read_file", {"path": "a.txt"})
    with pytest.raises(ToolFailedError):
        world.call_as("two", "read_file", {"path": "missing.txt"})
    account = world.accounts.snapshot(ACCOUNT)
    assert (account.spent.tool_calls, account.reserved.tool_calls) == (2, 0)


def test_a_call_that_was_cut_off_holds_its_worst_case_until_it_is_taken_up(tmp_path: Path) -> None:
    world = _limited(tmp_path, plan__01PLAN=Limits(tool_calls=5))
    world.hands.crash_in = "run_command"
    with pytest.raises(HostDiedError):
        world.call("run_command", command="make")
    assert world.accounts.snapshot(ACCOUNT).reserved.tool_calls == 1
    world = world.reopened()
    world.call("run_command", command="make")
    account = world.accounts.snapshot(ACCOUNT)
    assert (account.spent.tool_calls, account.reserved.tool_calls) == (1, 0)


def test_parallel_calls_cannot_together_pass_the_limit(tmp_path: Path) -> None:
    world = _limited(tmp_path, plan__01PLAN=Limits(tool_calls=3))

    def is_admitted(number: int) -> bool:
        try:
            world.call_as(f"n{number}", "run_command", {"command": "true"})
        except PlanBudgetExceededError:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        admitted = sum(pool.map(is_admitted, range(12)))
    assert admitted == 3
    assert world.hands.ran == ["run_command"] * 3


# -- secrets stay home (law 8) ------------------------------------------------------------


def test_a_person_is_asked_without_the_secret(tmp_path: Path) -> None:
    person = Person(answer=True)
    world = World(
        tmp_path,
        Setting(
            approvals=frozenset({"run_command"}),
            interaction=person,
            secrets={"KEY": SECRET},
        ),
    )
    world.call("run_command", command=f"echo {SECRET}")
    assert person.asked[0].arguments["command"] == "echo [redacted:KEY]"


# -- every profile in force must admit, in any order -----------------------------------------


@pytest.mark.parametrize("is_first", [True, False])
def test_every_profile_in_force_must_admit(tmp_path: Path, is_first: bool) -> None:
    profiles = (SafetyProfile("docs", write=("docs/",)), BUILT_IN["unrestricted"])
    world = World(tmp_path, Setting(profiles=profiles if is_first else profiles[::-1]))
    with pytest.raises(ToolAccessDeniedError) as no:
        world.call_as("one", "write_file", {"path": "src/a.py", "content": "x"})
    assert no.value.profile_name == "docs"
    world.call_as("two", "write_file", {"path": "docs/a.md", "content": "x"})
    assert world.hands.files["docs/a.md"] == "x"
