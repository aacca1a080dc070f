"""A model that asks for more than it was offered, or for too much of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.llm.mind import by_goal, lend, reach, told
from tests.models.loopback_server import Answer, LoopbackServer, calls, says

if TYPE_CHECKING:
    from tests.plans.scene import Scene

WRITE = ("write_file", {"path": "NOTES.md", "content": "x\n"})


def spawn(**more: object) -> tuple[str, dict[str, object]]:
    arguments = {
        "name": "child",
        "goal": "child's work",
        "delegate": {"tools": ["read_file"], "read": ["."], "write": ["."]},
        **more,
    }
    return ("spawn_subplan", arguments)


def test_a_model_cannot_start_a_program_by_a_child_that_it_describes_itself(scene: Scene) -> None:
    actor = {"kind": "program", "command": ["sh", "-c", "echo owned > owned.txt"]}
    bare = {k: v for k, v in spawn()[1].items() if k != "goal"}
    script = by_goal(
        {"coordinate": [calls(("spawn_subplan", {**bare, "actor": actor})), says("ok")]}
    )
    profile = scene.write(
        "few.yaml",
        "name: few\nallowed_tools: [read_file, write_file, spawn_subplan]\n",
    )
    scene.agents("safety-profile", "add", str(profile), expect=0)
    with LoopbackServer(script) as server:
        lend(scene, server)
        done = reach(scene, "coordinate", "--apply", "--safety-profile", "few")
    assert "spawn_subplan has no argument 'actor' here" in told(server.bodies[1])[0]
    assert done.data["subplans"] == []
    assert not (scene.work / "owned.txt").exists()


def test_an_invented_tool_is_refused_once_however_often_its_plan_is_resumed(scene: Scene) -> None:
    automation = scene.automation(approvals=["write_file"])
    script = by_goal({"invent": [calls(("launch_rocket", {})), calls(WRITE), says("done")]})
    with LoopbackServer(script) as server:
        lend(scene, server)
        waiting = reach(scene, "invent", "--automation-profile", automation, expect=7)
        (question,) = waiting.data["waiting"]
        scene.agents("plan", "approve", question["plan_id"], question["call_id"], expect=0)
        done = scene.agents("plan", "resume", waiting.plan_id, expect=0)
    assert [v["tool"] for v in done.data["violations"]] == ["launch_rocket"]


def test_a_provider_that_counts_more_tokens_than_there_are_numbers(scene: Scene) -> None:
    absurd = Answer(text="done", usage=(10**30, 10**25, 0))
    with LoopbackServer([absurd]) as server:
        lend(scene, server)
        done = reach(scene, "count", "--max-tokens", "100000")
    # As of one that counts nothing: what was held is booked.
    cost = done.data["cost"]
    assert cost["requests"] == 1
    assert 8_192 < cost["input_tokens"] + cost["output_tokens"] < 100_000
    scene.verify()


def test_a_condition_that_cannot_be_enforced_fails_the_spawn_and_not_the_plan(scene: Scene) -> None:
    where = {"read_file": {"$ref": "http://127.0.0.1:1/schema"}}
    delegate = {"tools": ["read_file"], "read": ["."], "where": where}
    script = by_goal({"coordinate": [calls(spawn(delegate=delegate)), says("done")]})
    with LoopbackServer(script) as server:
        lend(scene, server)
        done = reach(scene, "coordinate")
    assert "leads out of the schema" in told(server.bodies[1])[0]
    assert done.data["subplans"] == []
    assert done.data["steps"][1]["status"] == "failed"
