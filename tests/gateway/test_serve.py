"""One client on stdio: what it is shown, told and refused, and what the plan's status says."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from mcp import MCPError
from tests.gateway.client import hosted, talking
from tests.plans.scene import Scene, wait_until


def test_a_client_reads_and_is_refused_under_read_only(installed: Scene) -> None:
    installed.file("a.txt", "one\n")
    before = installed.digest()
    with talking(installed, "--safety-profile", "read-only") as talk:
        assert talk.names() == ["read_file", "list_directory", "search_files", "fetch_url"]
        assert talk.call("read_file", path="a.txt").text.startswith("one\n")
        absolute = talk.call("read_file", path=f"{installed.work}/a.txt")
        assert (absolute.is_error, absolute.text[:4]) == (False, "one\n")
        refused = talk.call("write_file", path="b.txt", content="x")
        assert refused.is_error
        assert refused.text == (
            "tool_access_denied: write_file denied: profile 'read-only' admits no tool that"
            " writes (rule effects)"
        )
        live = talk.status
        assert (live["name"], live["state"], live["phase"]) == (
            "mcp serve",
            "processing",
            "execute",
        )
        assert live["outcome"] is None
        assert live["safety_profile"]["name"] == "read-only"
        assert live["isolation"]["verified"] is True
        assert [(s["id"], s["tool"], s["status"]) for s in live["steps"]] == [
            ("call-1", "read_file", "done"),
            ("call-2", "read_file", "done"),
            ("call-3", "write_file", "denied"),
        ]
        assert [(v["tool"], v["profile"], v["kind"]) for v in live["violations"]] == [
            ("write_file", "read-only", "tool_access_denied")
        ]
        assert live["cost"]["tool_calls"] == 2
        plan_id = talk.plan_id
        listed = installed.agents("plan", "list", expect=0).data["plans"]
        assert [(p["plan_id"], p["state"]) for p in listed] == [(plan_id, "processing")]
    done = installed.status(plan_id)
    assert (done["phase"], done["state"], done["outcome"]) == ("execute", "complete", None)
    assert installed.digest() == before
    installed.verify()


@pytest.mark.parametrize("tool", ["spawn_subplan", "no_such_tool", "Read_File", "a" * 300])
def test_what_is_not_offered_is_refused_by_name_and_recorded(scene: Scene, tool: str) -> None:
    with talking(scene, "--safety-profile", "unrestricted") as talk:
        assert tool not in talk.names()
        with pytest.raises(MCPError) as caught:
            talk.call(tool)
        assert caught.value.code == -32602
        assert f"no tool is named {tool[:64]!r}" in caught.value.message
        assert [v["tool"] for v in talk.status["violations"]] == [tool[:64]]


def test_a_name_that_plays_with_terminals_is_spelt_out(scene: Scene) -> None:
    with talking(scene, "--safety-profile", "read-only") as talk:
        with pytest.raises(MCPError) as caught:
            talk.call("\x1b[2Jread\u202e_file")
        told = caught.value.message
        assert "read\\u202e_file" in told
        assert "\x1b" not in told
        assert "\u202e" not in told
        page = scene.agents("plan", "status", talk.plan_id).out
        assert "\x1b" not in page


def test_malformed_arguments_fail_with_a_reason_and_are_recorded(scene: Scene) -> None:
    with talking(scene, "--safety-profile", "read-only") as talk:
        told = talk.call("read_file", path=7)
        assert told.is_error
        assert told.text.startswith("tool_failed: read_file failed: path:")
        assert talk.call("read_file", path="../x").text.endswith("(rule workspace)")
        assert talk.call("read_file", path="x" * 2_000_000).is_error
        steps = [step["status"] for step in talk.status["steps"]]
        assert steps == ["failed", "denied", "failed"]


def test_without_rw_nothing_is_written_whatever_the_profile_admits(installed: Scene) -> None:
    before = installed.digest()
    with talking(installed, "--safety-profile", "unrestricted") as talk:
        assert "run_command" in talk.names()
        assert not {"write_file", "edit_file", "move_file", "delete_file"} & set(talk.names())
        refused = talk.call("write_file", path="b.txt", content="x")
        assert "mounted-read-only" in refused.text
        told = talk.call("run_command", command=f"touch b.txt; touch {installed.work}/c.txt")
        assert told.text.count("Read-only file system") == 2
    assert installed.digest() == before


def test_a_budget_of_calls_is_held(scene: Scene) -> None:
    words = ("--safety-profile", "read-only", "--max-tool-calls", "2")
    with talking(scene, *words) as talk:
        assert not talk.call("read_file", path="a.txt").is_error
        assert not talk.call("read_file", path="a.txt").is_error
        refused = talk.call("read_file", path="a.txt")
        assert refused.is_error
        assert refused.text.startswith("plan_budget_exceeded: ")
        status = talk.status
        assert status["cost"]["tool_calls"] == 2
        assert [v["kind"] for v in status["violations"]] == ["budget_exceeded"]
        assert status["state"] == "processing"


def test_a_call_that_needs_approval_names_the_command_and_runs_when_repeated(scene: Scene) -> None:
    profile = scene.automation(approvals=["run_command"], safety_profile="unrestricted")
    words = ("--safety-profile", "unrestricted", "--automation-profile", profile, "--rw")
    with talking(scene, *words) as talk:
        line = {"command": "echo x >> log"}
        told = talk.call("run_command", **line)
        assert told.is_error
        command = f"agents plan approve {talk.plan_id} call-1"
        assert command in told.text
        assert not (scene.work / "log").exists()
        waiting = talk.status["waiting"]
        assert [(w["call_id"], w["tool"]) for w in waiting] == [("call-1", "run_command")]
        # Another call does not take its place, and asking again changes nothing.
        assert "call-2" in talk.call("run_command", command="echo y >> log").text
        assert command in talk.call("run_command", **line).text
        scene.agents(*command.split()[1:], expect=0)
        assert not talk.call("run_command", **line).is_error
        assert scene.text("log") == "x\n"
        # It was admitted once.
        assert "call-3" in talk.call("run_command", **line).text
        scene.agents("plan", "approve", talk.plan_id, "call-3", "--deny", expect=0)
        assert "refused this call" in talk.call("run_command", **line).text
        assert scene.text("log") == "x\n"
        assert scene.outcome(talk.plan_id, "call-1")["status"] == "done"


def test_a_cancel_ends_it_within_a_second_and_so_its_calls(installed: Scene) -> None:
    words = ("--safety-profile", "unrestricted", "--rw")
    with talking(installed, *words) as talk:
        slow = talk.start("run_command", command="touch started; sleep 60")
        wait_until((installed.work / "started").exists, "a call under way")
        plan_id = talk.plan_id
        installed.agents("plan", "cancel", plan_id, expect=0)
        asked = time.monotonic()
        wait_until(lambda: installed.status(plan_id)["state"] == "cancelled", "its end", 10)
        assert time.monotonic() - asked < 2.5, "an interval, the end, and what status costs itself"
        assert slow.exception(timeout=20) is not None or slow.result().is_error
    status = installed.status(plan_id)
    assert (status["outcome"], status["steps"][0]["status"]) == ("cancelled", "failed")
    assert installed.outcome(plan_id, "call-1")["status"] == "failed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(scene: Scene, number: signal.Signals) -> None:
    with hosted(scene, "--safety-profile", "read-only") as host:
        assert host.end(number) == 0
        assert host.heard() == b""
        status = scene.status(host.plan_id)
        assert (status["state"], status["outcome"]) == ("complete", None)
        assert status["interrupted"] is False


def test_one_that_was_killed_shows_and_is_not_resumed(scene: Scene) -> None:
    with hosted(scene, "--safety-profile", "read-only") as host:
        plan_id = host.plan_id
        host.process.kill()
        host.process.wait()
        assert scene.status(plan_id)["interrupted"] is True
        refused = scene.agents("plan", "resume", plan_id, expect=1)
        assert "served an MCP client, which is gone" in refused.said
        assert scene.agents("plan", "apply", plan_id, "--yes").exit_code != 0
        scene.agents("plan", "cancel", plan_id, expect=0)
        assert scene.status(plan_id)["state"] == "cancelled"


def test_its_time_limit_ends_it_as_constrained(scene: Scene) -> None:
    with hosted(scene, "--safety-profile", "read-only", "--max-seconds", "1") as host:
        assert host.process.wait(20) == 4
        assert scene.status(host.plan_id)["outcome"] == "constrained"


def test_a_slow_call_holds_up_neither_a_list_nor_another_call(scene: Scene) -> None:
    with talking(scene, "--safety-profile", "unrestricted", "--rw") as talk:
        slow = talk.start(
            "run_command", command="touch started; while [ ! -e go ]; do sleep 0.05; done"
        )
        wait_until((scene.work / "started").exists, "a call under way")
        assert "read_file" in talk.names()
        assert talk.call("read_file", path="a.txt").text.startswith("one\n")
        assert not slow.done()
        assert not talk.call("write_file", path="go", content="").is_error
        assert '"exit_code": 0' in str(slow.result(timeout=20).content[0])


def test_a_call_that_the_client_cancels_ends_and_is_recorded(scene: Scene) -> None:
    with talking(scene, "--safety-profile", "unrestricted", "--rw") as talk:
        slow = talk.start("run_command", command="touch started; sleep 60; touch late")
        wait_until((scene.work / "started").exists, "a call under way")
        slow.cancel()
        wait_until(lambda: scene.count("outcome") == 1, "its outcome")
        outcome = scene.outcome(talk.plan_id, "call-1")
        assert outcome["status"] == "failed"
        assert "cancelled" in str(outcome["error"])
        # The gateway goes on.
        assert not talk.call("read_file", path="a.txt").is_error
    assert not (scene.work / "late").exists()


def test_a_client_that_goes_away_in_a_call_leaves_its_outcome(scene: Scene) -> None:
    with talking(scene, "--safety-profile", "unrestricted", "--rw") as talk:
        talk.start("run_command", command="touch started; sleep 60")
        wait_until((scene.work / "started").exists, "a call under way")
        plan_id = talk.plan_id
    wait_until(lambda: scene.status(plan_id)["state"] == "complete", "its end")
    assert scene.outcome(plan_id, "call-1")["status"] == "failed"
    scene.verify()


def test_many_calls_at_once_are_all_recorded(scene: Scene) -> None:
    with talking(scene, "--safety-profile", "read-only") as talk:
        calls = [talk.start("read_file", path="a.txt") for _ in range(60)]
        assert all(not call.result(timeout=60).is_error for call in calls)
        steps = talk.status["steps"]
        assert len({step["id"] for step in steps}) == 60
        assert {step["status"] for step in steps} == {"done"}
    scene.verify()


def test_two_gateways_serve_one_directory_beside_each_other(scene: Scene) -> None:
    with hosted(scene, "--safety-profile", "read-only") as first:
        with talking(scene, "--safety-profile", "read-only") as second:
            assert not second.call("read_file", path="a.txt").is_error
            assert first.plan_id != second.plan_id
        assert first.end() == 0


def test_the_threads_of_the_tests_are_gone() -> None:
    assert not [t for t in threading.enumerate() if t.name.startswith("gateway")]
