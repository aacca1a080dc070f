"""Budgets through the installed command: what a kill, a cancel or a lie does to them."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from cleveragents.record.account_row import SEAL_SPENT
from tests.budget.purchase import ask, asking, hand_on, in_parallel
from tests.plans.scene import CHECKOUT, tool

if TYPE_CHECKING:
    from tests.plans.scene import Scene

KILLER = CHECKOUT / "tests" / "subplans" / "killer.py"


def paid(scene: Scene) -> int:
    """What was spent, in cents."""
    found = scene.rows("SELECT sum(cost) FROM spending")
    return int(found[0][0] or 0) // 10_000


def held(scene: Scene) -> list[Any]:
    return scene.rows("SELECT name, held_cost FROM account WHERE held_cost <> 0 ORDER BY name")


def automation(scene: Scene, **facts: object) -> tuple[str, ...]:
    return ("--automation-profile", scene.automation(tools=["own_tools.py"], **facts))


def killed(scene: Scene, at: str, *words: str) -> None:
    """Run the command until it kills itself at a point of its work."""
    ended = subprocess.run(
        [sys.executable, str(KILLER), at, *words, "--format", "json"],
        cwd=scene.place,
        env=scene.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


def test_what_a_killed_plan_held_is_given_back_and_paid_once(scene: Scene) -> None:
    words = scene.words([hand_on({"max_cost_usd": 0.06}, ask(2)), *ask(1)])
    killed(scene, "decision.3", *words, *automation(scene), "--max-cost", "0.08")
    (plan_id,) = (row[0] for row in scene.rows("SELECT plan_id FROM plan WHERE depth = 0"))
    status = scene.status(plan_id)
    assert status["interrupted"]
    # One call of the child is paid, one is held; what is left of its budget too.
    assert (status["cost"]["spent_usd"], status["cost"]["reserved_usd"]) == ("0.02", "0.04")
    scene.verify()
    done = scene.agents("plan", "resume", plan_id, expect=0)
    assert done.data["cost"]["spent_usd"] == "0.06"
    assert (paid(scene), held(scene)) == (6, [])
    scene.verify()


def test_what_a_killed_plan_held_is_given_back_when_it_is_cancelled(scene: Scene) -> None:
    made = scene.agents("session", "create", "--max-cost", "0.08", expect=0)
    session = made.data["session_id"]
    words = scene.words([hand_on({"max_cost_usd": 0.06}, ask(2))])
    killed(scene, "decision.3", *words, *automation(scene), "--session", session)
    shown = scene.agents("session", "show", session, expect=0).data
    assert shown["cost"]["reserved_usd"] == "0.04"
    (plan,) = shown["plans"]
    refused = scene.agents("session", "delete", session, expect=2)
    assert f"has a plan that is not over: {plan['plan_id']}" in refused.said
    scene.agents("plan", "cancel", plan["plan_id"], expect=0)
    shown = scene.agents("session", "show", session, expect=0).data
    assert (shown["cost"]["spent_usd"], shown["cost"]["reserved_usd"]) == ("0.02", "0")
    scene.agents("session", "delete", session, expect=0)
    assert "no session has the id" in scene.agents("session", "show", session, expect=2).said
    scene.verify()


def test_a_tool_that_says_what_it_cost_is_booked_at_that(scene: Scene) -> None:
    scene.own_tools(
        '@tool(effects={"read"}, cost_usd="0.02")\n'
        'def ask(question: str) -> dict:\n    return {"cost_usd": float(question)}'
    )
    asks = [asking("less", "0.005"), asking("more", "0.07"), asking("none", "-1")]
    done = scene.run(asks, *automation(scene))
    assert done.data["cost"]["spent_usd"] == "0.095"
    assert "ask reported 0.07 USD and declares 0.02 USD a call" in done.said
    assert "ask reported a cost of -1.0: what it declares is booked" in done.said
    assert scene.outcome(done.plan_id, "more")["cost_microusd"] == 70_000
    assert scene.count("budget_warning") == 2
    scene.verify()


def test_a_directory_has_a_session_of_its_own(scene: Scene) -> None:
    for _ in range(2):
        scene.run(ask(1), *automation(scene))
    (session,) = scene.agents("session", "list", expect=0).data["sessions"]
    assert session["workspace"] == str(scene.work)
    assert session["cost"]["spent_usd"] == "0.04"
    name = session["session_id"]
    scene.agents("session", "edit", name, "--max-cost", "0.04", expect=0)
    assert scene.run(ask(1), *automation(scene), expect=4).data["session_id"] == name
    edited = scene.agents("session", "edit", name, "--max-cost", "none", expect=0)
    assert edited.data["cost"]["limit_usd"] is None
    scene.run(ask(1), *automation(scene))
    assert len(scene.agents("session", "show", name[:12], expect=0).data["plans"]) == 4
    entries = scene.agents("audit", "list", "--kind", "session", expect=0).data["records"]
    limits = [entry["body"]["limits"]["cost_microusd"] for entry in entries]
    assert (limits, entries[0]["body"]["event"]) == ([40_000, None], "edited")
    assert "nothing to change is named" in scene.agents("session", "edit", name, expect=2).said
    scene.verify()


def test_status_and_tree_say_what_was_its_own_and_what_was_below_it(scene: Scene) -> None:
    steps = [hand_on({"max_cost_usd": 0.03}, ask(1)), *ask(1)]
    done = scene.run(steps, *automation(scene), "--max-cost", "0.1")
    cost = done.data["cost"]
    assert (cost["spent_usd"], cost["own_usd"], cost["limit_usd"]) == ("0.04", "0.02", "0.10")
    assert cost["share"] == 0.4
    (child,) = scene.agents("plan", "tree", done.plan_id, expect=0).data["subplans"]
    assert (child["cost"]["spent_usd"], child["cost"]["limit_usd"]) == ("0.02", "0.03")
    page = plain(scene, "plan", "tree", done.plan_id)
    assert "$0.04 of $0.10 (40 %), $0.02 its own" in page
    assert "$0.02 of $0.03 (67 %)" in page


def plain(scene: Scene, *words: str) -> str:
    """What a person sees."""
    return subprocess.run(
        scene.argv(*words, "--format", "plain"),
        env=scene.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_person_sees_what_was_spent_and_how_to_go_on(scene: Scene) -> None:
    assert "no sessions" in plain(scene, "session", "list")
    assert "nothing was spent" in plain(scene, "cost")
    limits = ("--max-cost", "0.02", "--max-tool-calls", "9")
    name = scene.agents("session", "create", *limits, expect=0).data["session_id"]
    done = scene.run(ask(2), *automation(scene), "--session", name, expect=4)
    page = plain(scene, "plan", "status", done.plan_id)
    assert f"agents session edit {name} --max-cost N" in page
    shown = plain(scene, "session", "show", name)
    assert "$0.02 of $0.02 (100 %)" in shown
    assert "at most 9 tool calls" in shown
    assert done.plan_id in shown
    assert "$0.02 of $0.02" in plain(scene, "session", "list")
    assert "$0.02" in plain(scene, "cost", "--by", "plan")
    own = scene.run(ask(1), *automation(scene), "--max-cost", "0.01", expect=4).plan_id
    assert f"agents plan resume {own} --max-cost N" in plain(scene, "plan", "status", own)
    scene.environ["CLEVERAGENTS_BUDGET_PER_DAY"] = "0.01"
    late = scene.run(ask(1), *automation(scene), expect=4).plan_id
    assert "budget_per_day" in plain(scene, "plan", "status", late)


def test_a_limit_is_raised_again_and_again(scene: Scene) -> None:
    done = scene.run(ask(3), *automation(scene), "--max-cost", "0.02", expect=4)
    scene.agents("plan", "resume", done.plan_id, "--max-cost", "0.04", expect=4)
    # What was raised stays raised.
    scene.agents("plan", "resume", done.plan_id, expect=4)
    assert (
        "no amount"
        in scene.agents("plan", "resume", done.plan_id, "--max-cost", "much", expect=2).said
    )
    assert paid(scene) == 4
    assert scene.agents("plan", "resume", done.plan_id, "--max-cost", "none", expect=0)
    bodies = [e["body"] for e in scene.agents("audit", "list", "--kind", "limits").data["records"]]
    found = [(b["before"]["cost_microusd"], b["limits"]["cost_microusd"]) for b in bodies]
    assert found == [(20_000, 40_000), (40_000, None)]
    scene.verify()


def test_children_with_budgets_of_their_own_share_what_their_parent_has(scene: Scene) -> None:
    # Each may spend 0.03: the third finds no more than 0.02 left to be handed on.
    budget = {"max_cost_usd": 0.03}
    group = in_parallel(4, budget)
    profile = automation(scene, subplans={"max_parallel": 1})
    done = scene.run([group], *profile, "--max-cost", "0.05", expect=4)
    assert paid(scene) <= 4
    assert done.data["outcome"] == "constrained"
    assert held(scene) == []
    assert any(one["tool"] == "spawn_subplan" for one in done.data["violations"])
    resumed = scene.agents("plan", "resume", done.plan_id, "--max-cost", "0.2", expect=0)
    assert resumed.data["cost"]["spent_usd"] == "0.08"
    assert paid(scene) == 8
    scene.verify()


def test_a_limit_that_somebody_else_changed_shows(scene: Scene) -> None:
    done = scene.run(ask(2), *automation(scene), "--max-cost", "1")
    name = f"plan:{done.plan_id}"
    link = sqlite3.connect(scene.database)
    with link:
        # The checksum too, by somebody who knows how.
        link.execute(
            "UPDATE account SET spent_cost = spent_cost - 10000, seal = seal - ? * 10000"
            " WHERE name = ?",
            (SEAL_SPENT[0], name),
        )
    link.close()
    said = scene.verify(expect=1).out
    assert f"the account {name} says 0.03 USD, the record adds up to 0.04 USD" in said
    assert "does not add up" not in said


def test_a_sum_that_somebody_else_changed_shows(scene: Scene) -> None:
    done = scene.run(ask(1), *automation(scene))
    link = sqlite3.connect(scene.database)
    with link:
        link.execute("UPDATE spending SET cost = 1")
    link.close()
    said = scene.verify(expect=1).out
    assert f"the spending of plan {done.plan_id} says 0.000001 USD" in said


def test_a_plan_that_nobody_limits_keeps_no_account(scene: Scene) -> None:
    scene.run([tool("write_file", "a", path="a", content="x")])
    assert scene.rows("SELECT count(*) FROM account") == [(0,)]
    assert scene.agents("cost", expect=0).data["rows"] == []
    assert "is no day" in scene.agents("cost", "--since", "2026-02-30", expect=2).said
