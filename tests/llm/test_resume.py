"""A host that is killed while a model thinks or acts: nothing is asked, done or paid twice."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from tests.llm.mind import by_goal, goal_of, lend, reach, told
from tests.models.loopback_server import Answer, LoopbackServer, calls, says
from tests.plans.scene import kill

if TYPE_CHECKING:
    from tests.models.loopback_server import Body
    from tests.plans.scene import Scene

WRITE = ("write_file", {"path": "NOTES.md", "content": "from the model\n"})


def test_a_host_killed_while_the_model_thinks_asks_again_and_says_what_it_paid(
    installed: Scene,
) -> None:
    thinking = threading.Event()

    def script(body: Body, number: int) -> Answer:
        if number == 0:
            return calls(WRITE)
        if number == 1:
            thinking.set()
            return Answer(text="too late", delay_s=60)
        return says("done")

    with LoopbackServer(script) as server:
        lend(installed, server)
        host = installed.start(
            *("plan", "run", "--goal", "write notes", "--workspace", str(installed.work))
        )
        assert thinking.wait(30)
        kill(host)
        (row,) = installed.rows("SELECT plan_id FROM plan")
        done = installed.agents("plan", "resume", row[0], "--apply", expect=0)
        assert len(server.bodies) == 3
        assert told(server.bodies[2]) == told(server.bodies[1])
    assert done.data["outcome"] == "applied"
    assert done.data["cost"]["requests"] == 3
    assert installed.text("NOTES.md") == "from the model\n"
    installed.verify()


def test_a_plan_that_waits_in_a_child_goes_on_in_the_child(scene: Scene) -> None:
    automation = scene.automation(approvals=["write_file"])
    spawn = calls(
        (
            "spawn_subplan",
            {
                "name": "writer",
                "goal": "write it",
                "delegate": {"tools": ["write_file"], "write": ["NOTES.md"]},
            },
        )
    )
    script = by_goal({"coordinate": [spawn, says("done")], "write it": [calls(WRITE), says("ok")]})
    with LoopbackServer(script) as server:
        lend(scene, server)
        waiting = reach(scene, "coordinate", "--automation-profile", automation, expect=7)
        (question,) = waiting.data["waiting"]
        scene.agents("plan", "approve", question["plan_id"], question["call_id"], expect=0)
        before = len(server.bodies)
        scene.agents("plan", "resume", waiting.plan_id, "--apply", expect=0)
        assert len(server.bodies) == before + 2
    assert scene.text("NOTES.md") == "from the model\n"


def test_a_child_whose_own_budget_is_used_up_leaves_its_parent_free_to_go_on(scene: Scene) -> None:
    spawn = calls(
        (
            "spawn_subplan",
            {
                "name": "small",
                "goal": "too much",
                "delegate": {
                    "tools": ["list_directory"],
                    "read": ["."],
                    "budget": {"max_requests": 1},
                },
            },
        )
    )
    listing = calls(("list_directory", {"path": "."}))
    script = by_goal(
        {"coordinate": [spawn, calls(WRITE), says("done")], "too much": [listing, says("never")]}
    )
    automation = scene.automation(approvals=["write_file"], budget={"max_requests": 50})
    with LoopbackServer(script) as server:
        lend(scene, server)
        waiting = reach(scene, "coordinate", "--automation-profile", automation, expect=7)
        (question,) = waiting.data["waiting"]
        scene.agents("plan", "approve", question["plan_id"], question["call_id"], expect=0)
        done = scene.agents("plan", "resume", waiting.plan_id, expect=0)
        children = [b for b in server.bodies if goal_of(b) == "too much"]
        assert len(children) == 1
    kinds = [v["kind"] for v in done.data["violations"]]
    assert kinds == ["budget_exceeded"]
    parents = [b for b in server.bodies if goal_of(b) == "coordinate"]
    assert "the child ended without a result" in told(parents[-1])[0]


def test_cancel_ends_a_model_that_thinks(installed: Scene) -> None:
    thinking = threading.Event()

    def script(body: Body, number: int) -> Answer:
        thinking.set()
        return Answer(text="too late", delay_s=60)

    with LoopbackServer(script) as server:
        lend(installed, server)
        host = installed.start(
            *("plan", "run", "--goal", "write notes", "--workspace", str(installed.work))
        )
        assert thinking.wait(30)
        (row,) = installed.rows("SELECT plan_id FROM plan")
        installed.agents("plan", "cancel", row[0], expect=0)
        out, _ = host.communicate(timeout=20)
    assert host.returncode == 1
    assert json.loads(out)["data"]["outcome"] == "cancelled"
