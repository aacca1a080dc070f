"""Every limit at its smallest value, through the command: each stops the plan."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.plans.scene import kill, shell, tool, wait_until

if TYPE_CHECKING:
    from tests.plans.scene import Scene

PRICED = '@tool(effects={"read"}, cost_usd="0.02")\ndef priced(n: int) -> int:\n    return n'
MAKES = [
    tool("write_file", "one", path="one.txt", content="1"),
    tool("write_file", "two", path="two.txt", content="2"),
    tool("write_file", "three", path="three.txt", content="3"),
]


def test_calls_beyond_the_limit_are_refused_and_what_was_done_is_kept(anybody: Scene) -> None:
    profile = anybody.automation(budget={"max_tool_calls": 2})
    done = anybody.run(MAKES, "--automation-profile", profile, "--apply", expect=4)
    assert done.data["outcome"] == "constrained"
    assert [s["status"] for s in done.data["steps"]] == ["done", "done", "denied"]
    (violation,) = done.data["violations"]
    assert violation["kind"] == "budget_exceeded"
    assert violation["tool"] == "write_file"
    assert "tool call limit" in violation["reason"]
    assert done.data["cost"]["tool_calls"] == 2
    assert not list(anybody.work.iterdir())
    anybody.agents("plan", "apply", done.plan_id, "--yes", "--partial", expect=0)
    assert sorted(path.name for path in anybody.work.iterdir()) == ["one.txt", "two.txt"]
    anybody.verify()


def test_exactly_at_the_limit_a_plan_still_ends_well(scene: Scene) -> None:
    profile = scene.automation(budget={"max_tool_calls": 3})
    done = scene.run(MAKES, "--automation-profile", profile, "--apply")
    assert done.data["outcome"] == "applied"


def test_money_is_held_before_it_is_spent_and_resume_goes_on_with_more(anybody: Scene) -> None:
    own = anybody.own_tools(PRICED)
    profile = anybody.automation(tools=[own.name], budget={"max_cost_usd": 0.05})
    steps = [tool("priced", f"p{n}", n=n) for n in range(4)]
    done = anybody.run(steps, "--automation-profile", profile, expect=4)
    cost = done.data["cost"]
    assert (cost["spent_usd"], cost["limit_usd"]) == ("0.04", "0.05")
    assert cost["reserved_usd"] == "0"
    # No more money: the same refusal; a budget refusal is asked anew, not replayed.
    again = anybody.agents("plan", "resume", done.plan_id, expect=4)
    assert again.data["cost"]["spent_usd"] == "0.04"
    more = anybody.agents("plan", "resume", done.plan_id, "--max-cost", "0.07", expect=4)
    assert more.data["cost"]["spent_usd"] == "0.06"
    done = anybody.agents("plan", "resume", done.plan_id, "--max-cost", "0.08", expect=0)
    assert done.data["cost"]["spent_usd"] == "0.08"
    assert done.data["outcome"] is None
    outcomes = "SELECT call_id, count(*) FROM record WHERE kind = 'outcome' GROUP BY 1"
    assert anybody.rows(outcomes) == [(f"p{n}", 1) for n in range(4)]
    anybody.verify()


def test_a_priced_call_that_was_cut_off_is_charged_once(scene: Scene) -> None:
    slow = PRICED.replace("    return n", "    import time\n    time.sleep(n / 10)\n    return n")
    own = scene.own_tools(slow)
    profile = scene.automation(tools=[own.name], budget={"max_cost_usd": "0.04"})
    steps = [tool("priced", "fast", n=0), tool("priced", "slow", n=8)]
    host = scene.start(*scene.words(steps, "--automation-profile", profile))
    wait_until(lambda: scene.count("decision") == 2, "the second call")
    kill(host)
    plan_id = scene.rows("SELECT plan_id FROM plan")[0][0]
    held = scene.status(plan_id)["cost"]
    assert (held["spent_usd"], held["reserved_usd"]) == ("0.02", "0.02")
    done = scene.agents("plan", "resume", plan_id, expect=0)
    assert (done.data["cost"]["spent_usd"], done.data["cost"]["reserved_usd"]) == ("0.04", "0")
    scene.verify()


def test_processing_time_ends_a_command_in_the_middle(anybody: Scene) -> None:
    profile = anybody.automation(budget={"max_seconds": 1})
    began = time.monotonic()
    done = anybody.run([shell("sleeps", "sleep 50")], "--automation-profile", profile, expect=4)
    assert time.monotonic() - began < 12
    assert done.data["outcome"] == "constrained"
    assert [v["kind"] for v in done.data["violations"]] == ["budget_exceeded"]
    anybody.verify()


@pytest.mark.parametrize(
    ("budget", "steps"),
    [
        ({"max_tool_calls": 0}, MAKES),
        ({"max_seconds": 0}, MAKES),
        ({"max_cost_usd": 0}, [tool("priced", n=1)]),
    ],
)
def test_a_budget_of_nothing_admits_nothing(
    scene: Scene, budget: dict[str, int], steps: list[dict[str, Any]]
) -> None:
    own = scene.own_tools(PRICED)
    profile = scene.automation(tools=[own.name], budget=budget)
    done = scene.run(steps, "--automation-profile", profile, expect=4)
    assert scene.count("outcome") == 0
    assert done.data["outcome"] == "constrained"
    assert done.data["violations"][0]["kind"] == "budget_exceeded"


def test_a_free_tool_still_runs_when_there_is_hardly_any_money(scene: Scene) -> None:
    profile = scene.automation(budget={"max_cost_usd": "0.000001"})
    scene.run(MAKES, "--automation-profile", profile)


def test_the_day_has_a_limit_over_all_plans(scene: Scene) -> None:
    scene.environ["CLEVERAGENTS_BUDGET_PER_DAY"] = "{max_tool_calls: 4}"
    scene.run(MAKES)
    done = scene.run(MAKES, expect=4)
    assert [s["status"] for s in done.data["steps"]] == ["done", "denied"]


def test_settings_and_option_set_the_same_limits(scene: Scene) -> None:
    own = scene.own_tools(PRICED)
    scene.agents("tool", "add", str(own), expect=0)
    steps = [tool("priced", f"p{n}", n=n) for n in range(2)]
    scene.run(steps, "--max-cost", "0.02", expect=4)
    scene.run(steps, "--max-cost", "0.04")
    scene.environ["CLEVERAGENTS_BUDGET_PER_PLAN"] = "0.02"
    scene.run(steps, "--max-cost", "0.04", expect=4)


def child(**more: Any) -> dict[str, Any]:
    delegate = {"tools": ["read_file", "spawn_subplan"], "read": ["."], "depth": 1}
    steps = more.pop("steps", [tool("read_file", path="a.txt")])
    return {"subplan": {"name": "child", "delegate": {**delegate, **more}, "steps": steps}}


def test_a_depth_of_nothing_refuses_a_child_and_one_lets_it_in(scene: Scene) -> None:
    scene.file("a.txt", "a")
    no_depth = {"depth": 0, "tools": ["read_file"]}
    for depth, code in ((0, 3), (1, 0)):
        profile = scene.automation(subplans={"max_depth": depth})
        scene.run([child(**no_depth)], "--automation-profile", profile, expect=code)
    profile = scene.automation(subplans={"max_depth": 1})
    scene.run([child()], "--automation-profile", profile, expect=3)


def test_one_child_at_a_time_when_that_is_the_limit(scene: Scene) -> None:
    work = [shell("s", "sleep 0.2")]
    grant = {"tools": ["run_command"], "write": ["."], "depth": 0, "steps": work}
    plan = [{"parallel": [child(**grant), child(**grant)]}]
    profile = scene.automation(subplans={"max_parallel": 1})
    done = scene.run(plan, "--automation-profile", profile)
    spans = scene.rows(
        "SELECT plan_id, min(at), max(at) FROM record WHERE call_id = 's' GROUP BY 1 ORDER BY 2"
    )
    assert len(spans) == 2, done.out
    assert spans[0][2] <= spans[1][1]
