"""The whole product on PostgreSQL, through the command, from the first plan to the last."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.budget.purchase import ASK, ask
from tests.llm.mind import MODEL, lend, reach
from tests.models.loopback_server import LoopbackServer, calls, says
from tests.plans.scene import kill, shell, tool

if TYPE_CHECKING:
    from tests.postgres.house import PostgresHouse

WRITES = tool("write_file", "note", path="note.txt", content="noted")
LINES = "".join(f"line {n}\n" for n in range(1, 11))


def test_a_plan_is_run_looked_at_applied_and_audited(house: PostgresHouse) -> None:
    scene = house.scene
    scene.file("README.md", "hello\n")
    steps = [
        tool("read_file", "readme", path="README.md"),
        {**tool("delete_file", "gone", path="README.md"), "on_denied": "continue"},
        WRITES,
        shell("sh", "cat /proc/*/environ; yes é | head -c 40000"),
    ]
    assert "there are no plans yet" in house.installed("plan", "status", expect=2).said
    profile = scene.profile(denied_tools=["delete_file"])
    words = scene.words(steps, "--automation-profile", profile)
    done = house.installed(*words)
    plan_id = done.plan_id
    status = house.installed("plan", "status").data
    assert (status["plan_id"], status["state"], status["interrupted"]) == (
        plan_id, "complete", False,
    )  # fmt: skip
    assert [step["status"] for step in status["steps"]] == ["done", "denied", "done", "done"]
    assert status["violations"] == done.data["violations"]
    # Ids are found by their beginning, however the server sorts words.
    assert house.agents("plan", "status", plan_id[:20].lower()).data["plan_id"] == plan_id
    assert [one["plan_id"] for one in house.agents("plan", "list").data["plans"]] == [plan_id]
    explained = house.agents("plan", "explain", plan_id).data["calls"]
    assert [(one["call_id"], one["verdict"]) for one in explained] == [
        ("readme", "allowed"), ("gone", "denied"), ("note", "allowed"), ("sh", "allowed"),
    ]  # fmt: skip
    assert house.agents("plan", "tree", plan_id).data["plan_id"] == plan_id
    assert "note.txt" in json.dumps(house.agents("plan", "diff", plan_id).data)
    assert house.installed("plan", "apply", plan_id, "--yes").data["outcome"] == "applied"
    assert scene.text("note.txt") == "noted"
    listed = house.agents("audit", "list", "--plan", plan_id).data["records"]
    (refused,) = house.agents("audit", "list", "--kind", "violation").data["records"]
    assert refused in listed
    shown = house.agents("audit", "show", str(refused["id"])).data
    assert shown["body"]["tool"] == "delete_file"
    assert house.agents("audit", "export").out.count('"violation"') == 1
    checked = house.installed("audit", "verify").data
    assert checked["checked"] > len(listed)
    assert house.agents("doctor").data["database"] == house.url.replace("tester@", "")


def test_a_refused_call_ends_a_plan_with_3(house: PostgresHouse) -> None:
    done = house.run([WRITES], "--safety-profile", "read-only", expect=3)
    assert done.data["outcome"] == "constrained"
    assert [one["kind"] for one in done.data["violations"]] == ["tool_access_denied"]


def test_zero_bytes_in_what_tools_give_are_no_obstacle(house: PostgresHouse) -> None:
    house.scene.own_tools(
        '@tool(effects={"read"})\ndef odd(text: str) -> str:\n    return "a\\0b\\\\u0000" + text'
    )
    profile = house.scene.automation(tools=["own_tools.py"])
    done = house.run([tool("odd", "odd", text="x\0y\\u0000")], "--automation-profile", profile)
    assert [step["status"] for step in done.data["steps"]] == ["done"]
    status = house.agents("plan", "status").data
    assert [step["status"] for step in status["steps"]] == ["done"]
    (call,) = house.agents("plan", "explain", done.plan_id).data["calls"]
    assert call["arguments"] == {"text": "x\0y\\u0000"}
    house.verify()


def test_a_session_limits_its_plans_and_the_sums_fit(house: PostgresHouse) -> None:
    house.scene.own_tools(ASK)
    profile = house.scene.automation(tools=["own_tools.py"])
    made = house.agents("session", "create", "--max-cost", "0.05").data
    name = made["session_id"]
    more = ("--automation-profile", profile, "--session", name)
    done = house.run(ask(4), *more, expect=4)
    assert (done.data["cost"]["spent_usd"], done.data["outcome"]) == ("0.04", "constrained")
    assert house.agents("plan", "resume", done.plan_id, expect=4).plan_id == done.plan_id
    house.agents("session", "edit", name, "--max-cost", "0.08")
    house.agents("plan", "resume", done.plan_id)
    shown = house.agents("session", "show", name[:12]).data
    assert (shown["cost"]["spent_usd"], shown["cost"]["reserved_usd"]) == ("0.08", "0")
    assert [one["plan_id"] for one in shown["plans"]] == [done.plan_id]
    assert [one["session_id"] for one in house.agents("session", "list").data["sessions"]] == [name]
    for by, key in (("day", shown["created"][:10]), ("plan", done.plan_id), ("session", name)):
        report = house.agents("cost", "--by", by).data
        (row,) = report["rows"]
        assert key in row.values()
        assert (row["cost_usd"], report["total"]["cost_usd"]) == ("0.08", "0.08")
    house.agents("session", "delete", name)
    assert "no session has the id" in house.agents("session", "show", name, expect=2).said
    house.verify()


def child(name: str, old: str, new: str) -> dict[str, Any]:
    edit = tool("edit_file", "edit", path="a.txt", old=old, new=new)
    delegate = {"tools": ["read_file", "edit_file"], "read": ["."], "write": ["."]}
    return {"id": name, "subplan": {"name": name, "delegate": delegate, "steps": [edit]}}


def test_parallel_subplans_merge_conflict_and_are_settled(house: PostgresHouse) -> None:
    house.scene.file("a.txt", LINES)
    members = [
        child("one", "line 1\n", "line I\n"),
        child("two", "line 9\n", "line IX\n"),
        child("three", "line 9\n", "line 9!\n"),
    ]
    done = house.run([{"id": "all", "parallel": members}], expect=5)
    plan_id = done.plan_id
    assert (done.data["state"], done.data["outcome"]) == ("waiting", "conflicted")
    tree = house.agents("plan", "tree", plan_id).data
    outcomes = {one["name"]: one["outcome"] for one in tree["subplans"]}
    assert outcomes == {"one": "merged", "two": "merged", "three": None}
    (conflict,) = house.agents("plan", "conflicts", plan_id).data["conflicts"]
    assert conflict["path"] == "a.txt"
    settled = house.agents("plan", "resolve", plan_id, "a.txt", "--take", "theirs").data
    assert settled["conflicts"] == []
    done = house.agents("plan", "resume", plan_id, "--apply")
    assert done.data["outcome"] == "applied"
    # The whole file of the one that conflicts.
    assert house.scene.text("a.txt") == LINES.replace("line 9", "line 9!")
    house.verify()


def test_a_call_waits_for_a_person(house: PostgresHouse) -> None:
    profile = house.scene.automation(approvals=["run_command"])
    steps = [WRITES, shell("build", "echo built >> built.txt")]
    done = house.run(steps, "--automation-profile", profile, expect=7)
    assert [one["call_id"] for one in done.data["waiting"]] == ["build"]
    assert house.agents("plan", "resume", done.plan_id, expect=7).data["state"] == "waiting"
    house.agents("plan", "approve", done.plan_id, "build", "--reason", "looked at it")
    house.agents("plan", "resume", done.plan_id, "--apply")
    assert house.scene.text("built.txt") == "built\n"
    house.verify()


def test_a_living_plan_has_one_owner_and_obeys_a_cancel(house: PostgresHouse) -> None:
    host = house.start([WRITES, shell("sleeps", "sleep 60")])
    house.wait_for("decision", 2)
    plan_id = house.plan_id
    status = house.agents("plan", "status", plan_id).data
    assert (status["state"], status["interrupted"]) == ("processing", False)
    second = house.agents("plan", "resume", plan_id, expect=1)
    assert f"process {host.pid} on" in second.said
    house.agents("plan", "cancel", plan_id)
    done = house.ended(host, 1)
    assert (done.data["state"], done.data["outcome"]) == ("cancelled", "cancelled")
    assert "over" in house.agents("plan", "resume", plan_id, expect=1).said
    house.verify()


def test_a_killed_host_is_resumed_and_nothing_is_done_twice(house: PostgresHouse) -> None:
    once = "echo x >> log"
    steps = [
        WRITES,
        shell("first", once),
        shell("sleeps", f"{once}; sleep 0.7"),
        shell("last", once),
    ]
    host = house.start(steps)
    house.wait_for("decision", 3)
    kill(host)
    plan_id = house.plan_id
    # At once: the server may not have noticed yet that nobody holds the plan any more.
    done = house.installed("plan", "resume", plan_id, "--apply")
    assert done.data["outcome"] == "applied"
    assert house.scene.text("log") == "x\n" * 3
    ended_calls = "SELECT call_id FROM record WHERE kind = 'outcome' ORDER BY position"
    assert [row[0] for row in house.rows(ended_calls)] == [step["id"] for step in steps]
    # Run, resumed and applied.
    assert house.rows("SELECT epoch FROM owner") == [(3,)]
    house.verify()


def test_a_model_decides_and_its_use_is_reported(house: PostgresHouse) -> None:
    write = calls(("write_file", {"path": "NOTES.md", "content": "from the model\n"}))
    with LoopbackServer([write, says("written")]) as server:
        lend(house.scene, server)
        done = reach(house.scene, "write notes", "--apply")
    assert done.data["outcome"] == "applied"
    assert house.scene.text("NOTES.md") == "from the model\n"
    report = house.agents("cost", "--by", "model").data
    (row,) = report["rows"]
    assert (row["model"], row["requests"], row["input_tokens"], row["output_tokens"]) == (
        MODEL, 2, 200, 40,
    )  # fmt: skip
    assert report["total"]["requests"] == 2
    assert house.agents("plan", "status").data["cost"]["models"][0]["model"] == MODEL
    house.verify()


def test_several_machines_begin_at_once_on_an_empty_database(house: PostgresHouse) -> None:
    """Each finds no tables, makes them or waits; each plan has a chain of its own."""
    scene, count = house.scene, 8
    scene.own_tools(ASK)
    profile = scene.automation(tools=["own_tools.py"])
    hosts = []
    for number in range(count):
        plan = {"name": f"plan{number}", "steps": [*ask(2), WRITES, shell("sh", "echo done")]}
        file = scene.plan(plan, f"plan{number}.yaml")
        scene.environ["CLEVERAGENTS_HOME"] = str(scene.home / f"machine{number}")
        words = ("--workspace", str(scene.work), "--automation-profile", profile)
        hosts.append(scene.start("plan", "run", file, *words))
    ids = {house.ended(host, 0).plan_id for host in hosts}
    # And two processes on one of them, which has its trees already.
    hosts = [scene.start("plan", "run", file, *words) for _ in range(2)]
    ids |= {house.ended(host, 0).plan_id for host in hosts}
    assert len(ids) == count + 2
    (session,) = house.agents("session", "list").data["sessions"]
    assert session["cost"]["spent_usd"] == "0.40"
    assert {one["plan_id"] for one in house.agents("plan", "list").data["plans"]} == ids
    checked = house.agents("audit", "verify").data
    assert (checked["ok"], len(checked["notes"])) == (True, count - 1)
