"""Calls that wait for a person where nobody is: exit 7, one answer for exactly one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.plans.scene import shell, tool

if TYPE_CHECKING:
    from tests.plans.scene import Scene

STEPS = [
    tool("write_file", "first", path="count", content="1"),
    shell("build", "echo built >> built.txt"),
    tool("write_file", "last", path="last.txt", content="last"),
]


def test_a_call_waits_is_approved_and_then_runs_once(anybody: Scene) -> None:
    profile = anybody.automation(approvals=["run_command"])
    done = anybody.run(STEPS, "--automation-profile", profile, "--apply", expect=7)
    plan_id = done.plan_id
    (waiting,) = done.data["waiting"]
    assert (waiting["call_id"], waiting["tool"], waiting["plan_id"]) == (
        "build",
        "run_command",
        plan_id,
    )
    assert waiting["arguments"]["command"] == "echo built >> built.txt"
    assert waiting["digest"].startswith("sha256:")
    assert waiting["reason"]
    assert (done.data["state"], done.data["outcome"]) == ("waiting", None)
    # Without an answer it goes on waiting, and nothing can be applied yet.
    assert anybody.agents("plan", "resume", plan_id, expect=7).data["state"] == "waiting"
    anybody.agents("plan", "apply", plan_id, "--yes", expect=2)
    anybody.agents("plan", "approve", plan_id, "build", "--reason", "looked at it", expect=0)
    assert not list(anybody.work.iterdir())
    # Edited in the meantime: the question was about the recorded call.
    done = anybody.agents("plan", "resume", plan_id, "--apply", expect=0)
    assert done.data["outcome"] == "applied"
    assert done.data["waiting"] == []
    assert anybody.text("built.txt") == "built\n"
    assert anybody.text("last.txt") == "last"
    (call,) = [c for c in anybody.explained(plan_id) if c["call_id"] == "build"]
    assert call["approved_by"]
    assert anybody.count("approval") == 1
    anybody.verify()


def test_a_denied_call_is_a_refusal_and_stays_one(scene: Scene) -> None:
    profile = scene.automation(approvals=["run_command"])
    plan_id = scene.run(STEPS, "--automation-profile", profile, expect=7).plan_id
    scene.agents("plan", "approve", plan_id, "build", "--deny", "--reason", "not today", expect=0)
    done = scene.agents("plan", "resume", plan_id, expect=3)
    (violation,) = done.data["violations"]
    assert violation["profile"] == "approvals"
    assert "not today" in violation["reason"]
    assert done.data["outcome"] == "constrained"
    # The refusal is final: a late yes changes nothing.
    scene.agents("plan", "approve", plan_id, "build", expect=None)
    again = scene.agents("plan", "resume", plan_id, expect=3)
    assert len(again.data["violations"]) == 1
    scene.verify()


def test_a_denied_call_may_be_continued_over(scene: Scene) -> None:
    profile = scene.automation(approvals=["run_command"])
    steps = [STEPS[0], {**STEPS[1], "on_denied": "continue"}, STEPS[2]]
    plan_id = scene.run(steps, "--automation-profile", profile, expect=7).plan_id
    scene.agents("plan", "approve", plan_id, "build", "--deny", expect=0)
    scene.agents("plan", "resume", plan_id, "--apply", expect=0)
    assert scene.text("last.txt") == "last"
    assert not (scene.work / "built.txt").exists()


def test_one_answer_approves_one_call(scene: Scene) -> None:
    steps = [shell("one", "echo 1 >> log"), shell("two", "echo 1 >> log")]
    profile = scene.automation(approvals=["run_command"])
    plan_id = scene.run(steps, "--automation-profile", profile, expect=7).plan_id
    unknown = scene.agents("plan", "approve", plan_id, "two", expect=None)
    assert unknown.exit_code in {1, 2}
    scene.agents("plan", "approve", plan_id, "one", expect=0)
    waits = scene.agents("plan", "resume", plan_id, expect=7).data["waiting"]
    assert [w["call_id"] for w in waits] == ["two"]
    scene.agents("plan", "approve", plan_id, "two", expect=0)
    scene.agents("plan", "resume", plan_id, "--apply", expect=0)
    assert scene.text("log") == "1\n1\n"
    # Another plan of the same file asks again.
    scene.run(steps, "--automation-profile", profile, expect=7)


def test_a_profile_still_refuses_what_a_person_would_be_asked_about(scene: Scene) -> None:
    profile = scene.automation(approvals=["run_command"], safety_profile="read-only")
    done = scene.run([STEPS[1]], "--automation-profile", profile, expect=3)
    assert done.data["waiting"] == []


def test_an_untrusted_profile_may_ask_and_may_not_stop_asking(scene: Scene) -> None:
    """Approvals of the settings hold whatever a plan file's profile says."""
    scene.automation(approvals=[], apply="auto")
    scene.environ["CLEVERAGENTS_APPROVALS"] = "run_command"
    plan = {"name": "tested", "automation_profile": "automation.yaml", "steps": STEPS[1:]}
    done = scene.run(plan, expect=7)
    assert "apply: auto" in done.said
    assert not (scene.work / "built.txt").exists()
