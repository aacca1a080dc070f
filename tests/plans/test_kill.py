"""A killed host, a second owner, a cancel: the plan goes on or ends, and nothing is done twice."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.plans.scene import ended, kill, shell, tool, wait_until

if TYPE_CHECKING:
    import subprocess

    from tests.plans.scene import Scene


def slow_steps(count: int) -> list[dict[str, Any]]:
    """Each step leaves a line in the workspace; commands, writes and edits in turn."""
    steps: list[dict[str, Any]] = [tool("write_file", "first", path="edited.txt", content="v0\n")]
    for number in range(count):
        # Half before and half after, so that a restored checkpoint shows.
        line = f"echo a{number} >> log; sleep 0.12; echo b{number} >> log; cat log"
        steps.append(shell(f"run{number}", line))
        edit = {"path": "edited.txt", "old": f"v{number}", "new": f"v{number + 1}"}
        steps.append(tool("edit_file", f"edit{number}", **edit))
        steps.append(tool("write_file", f"write{number}", path=f"n{number}", content=str(number)))
    return steps


def test_killed_again_and_again_a_plan_ends_with_every_call_done_once(anybody: Scene) -> None:
    anybody.file("README.md", "hello\n")
    before = anybody.digest()
    steps = slow_steps(4)
    words = anybody.words(steps)
    # In the middle of a command, between calls, while a file tool commits, near the end.
    for entries in (3, 7, 8, 11, 17, 24):
        host = anybody.start(*words)
        wait_until(partial(_has, anybody, entries, host), "entries")
        if entries % 2:
            time.sleep(0.04)
        kill(host)
        plan_id = anybody.rows("SELECT plan_id FROM plan")[0][0]
        words = ("plan", "resume", plan_id)
    status = anybody.status(plan_id)
    assert (status["state"], status["interrupted"]) == ("processing", True)
    assert anybody.digest() == before
    anybody.verify()
    done = anybody.agents(*words, "--apply", expect=0)
    assert done.data["outcome"] == "applied"
    assert anybody.text("log").split() == [f"{half}{n}" for n in range(4) for half in "ab"]
    assert anybody.text("edited.txt") == "v4\n"
    ended_calls = "SELECT call_id FROM record WHERE kind = 'outcome' ORDER BY position"
    assert [row[0] for row in anybody.rows(ended_calls)] == [step["id"] for step in steps]
    anybody.verify()


def _has(scene: Scene, entries: int, host: subprocess.Popen[str]) -> bool:
    kinds = "SELECT count(*) FROM record WHERE kind IN ('decision', 'outcome')"
    found = scene.rows(kinds)
    return bool(found and found[0][0] >= entries) or host.poll() is not None


def test_a_killed_cell_fails_its_call_and_the_next_call_gets_a_fresh_one(scene: Scene) -> None:
    # Process 1 of the cell is the guest's own parent; a command may only end its own.
    steps = [
        {
            **shell("suicide", "kill -9 -1; kill -9 1; kill -9 $PPID; sleep 5"),
            "on_error": "continue",
        },
        tool("write_file", "after", path="after.txt", content="still works"),
    ]
    done = scene.run(steps, "--apply")
    assert scene.text("after.txt") == "still works"
    assert [step["status"] for step in done.data["steps"]][-1] == "done"
    host = scene.start(*scene.words([shell("sleeps", "touch begun; sleep 60"), *steps[1:]]))
    wait_until(lambda: bool(_cells(scene)), "the cell")
    wait_until(lambda: _begun(scene), "the command")
    for pid in _cells(scene):
        os.kill(pid, signal.SIGKILL)
    finished = ended(host)
    assert finished.exit_code == 1, finished.out
    assert finished.data["steps"][0]["status"] == "failed"
    scene.verify()


def _cells(scene: Scene) -> list[int]:
    """Process numbers of bubblewrap over the scene's workspaces."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:
            continue
        if b"bwrap\0" in line and os.fsencode(scene.cells) in line:
            found.append(int(entry.parent.name))
    return found


def _begun(scene: Scene) -> bool:
    # Unlike a glob, a walk passes over what is removed under it.
    return any("begun" in files for _, _, files in os.walk(scene.cells))


def test_a_living_plan_has_one_owner_and_obeys_a_cancel_within_a_second(anybody: Scene) -> None:
    anybody.file("README.md", "hello\n")
    before = anybody.digest()
    host = anybody.start(*anybody.words([shell("sleeps", "touch begun; sleep 60")], "--apply"))
    wait_until(lambda: anybody.count("decision") == 1, "the decision")
    plan_id = anybody.rows("SELECT plan_id FROM plan")[0][0]
    wait_until(lambda: _begun(anybody), "the command")
    status = anybody.status(plan_id)
    assert (status["state"], status["interrupted"]) == ("processing", False)
    for words in (("resume", plan_id), ("apply", plan_id, "--yes")):
        second = anybody.agents("plan", *words, expect=1)
        assert f"process {host.pid} on" in second.said
    asked = time.monotonic()
    anybody.agents("plan", "cancel", plan_id, expect=0)
    answered = time.monotonic()
    finished = ended(host)
    took = time.monotonic() - answered
    assert took < 2.0, f"{took} s after the answer, {time.monotonic() - asked} s after the question"
    assert finished.exit_code == 1
    assert (finished.data["state"], finished.data["outcome"]) == ("cancelled", "cancelled")
    assert anybody.digest() == before
    assert "over" in anybody.agents("plan", "resume", plan_id, expect=1).said
    assert anybody.agents("plan", "cancel", plan_id, expect=0).data["state"] == "cancelled"
    anybody.verify()


def test_a_plan_that_nobody_runs_is_cancelled_at_once_and_still_shows_its_work(
    scene: Scene,
) -> None:
    steps = [
        tool("write_file", "made", path="made.txt", content="made"),
        shell("sleeps", "sleep 60"),
    ]
    host = scene.start(*scene.words(steps))
    wait_until(lambda: scene.count("decision") == 2, "the second decision")
    kill(host)
    plan_id = scene.rows("SELECT plan_id FROM plan")[0][0]
    assert scene.status(plan_id)["interrupted"] is True
    status = scene.agents("plan", "cancel", plan_id, expect=0).data
    assert (status["state"], status["outcome"]) == ("cancelled", "cancelled")
    assert status["interrupted"] is False
    scene.agents("plan", "resume", plan_id, expect=1)
    scene.verify()


def test_control_c_ends_the_host_and_leaves_the_plan_resumable(scene: Scene) -> None:
    steps = [
        tool("write_file", "made", path="made.txt", content="made"),
        shell("sleeps", "test -e waited || { sleep 1.5; touch waited; }"),
    ]
    host = scene.start(*scene.words(steps))
    wait_until(lambda: scene.count("decision") == 2, "the second decision")
    host.send_signal(signal.SIGINT)
    finished = ended(host)
    assert finished.exit_code == 130, finished.err
    plan_id = scene.rows("SELECT plan_id FROM plan")[0][0]
    assert scene.status(plan_id)["interrupted"] is True
    scene.agents("plan", "resume", plan_id, "--apply", expect=0)
    assert scene.text("made.txt") == "made"
    assert scene.rows("SELECT count(*) FROM record WHERE call_id='made' AND kind='outcome'") == [
        (1,)
    ]
    scene.verify()
