"""What a program printed: kept for people, however it ended, and told to no parent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cleveragents.plans.proposal_book import MAX_LOG_BYTES
from cleveragents.record.decision_tree_view import PROGRAM_LOG
from tests.subplans.scene import child_of, data, subplan, write

if TYPE_CHECKING:
    from tests.subplans.scene import Scene


def logs(stage: Scene, plan_id: object) -> list[dict[str, Any]]:
    done = stage.command("plan", "explain", str(plan_id), "--format", "json")
    found: list[dict[str, Any]] = json.loads(done.stdout)["data"]["program_logs"]
    return found


def test_the_log_of_a_program_that_did_well(stage: Scene) -> None:
    body = "print('on stdout')\nprint('on stderr', file=sys.stderr)\nclient.submit({}, 'done')"
    answer = stage.run(subplan("child", actor=stage.program("child", body)), write("a", "a"))
    child_id = child_of(answer, "child")["plan_id"]
    (log,) = logs(stage, child_id)
    assert (log["text"], log["attempt"], log["left_out"]) == ("on stdout\non stderr\n", 1, 0)
    shown = stage.command("plan", "explain", str(child_id), "--format", "plain").stdout
    assert "what the program printed, start 1\n" in shown
    assert "on stdout\n" in shown
    # Nothing of it is in what the parent's calls got, nor anywhere in the parent's part.
    assert logs(stage, data(answer)["plan_id"]) == []
    assert "on stdout" not in str([e.body for e in stage.entries(data(answer)["plan_id"])])


def test_the_log_of_one_that_failed_or_said_nothing(stage: Scene) -> None:
    loud = subplan(
        "loud", actor=stage.program("loud", "print('x' * 100_000 + 'the end')\nsys.exit(3)"),
        on_error="continue",
    )  # fmt: skip
    quiet = subplan("quiet", actor=stage.program("quiet", ""))
    answer = stage.run(loud, quiet)
    (log,) = logs(stage, child_of(answer, "loud")["plan_id"])
    assert log["text"].endswith("xthe end\n")
    assert len(log["text"]) <= MAX_LOG_BYTES
    assert log["left_out"] > 0
    assert logs(stage, child_of(answer, "quiet")["plan_id"]) == []
    shown = stage.command(
        "plan", "explain", str(child_of(answer, "loud")["plan_id"]), "--format", "plain"
    ).stdout
    assert f"after {log['left_out']} characters that were not kept" in shown


def test_control_characters_stay_in_the_row(stage: Scene) -> None:
    body = "sys.stdout.buffer.write(b'\\x00' * 60_000)"
    answer = stage.run(subplan("child", actor=stage.program("child", body)))
    notes = stage.entries(child_of(answer, "child")["plan_id"], "note")
    (text,) = [str(one.body[PROGRAM_LOG]) for one in notes if PROGRAM_LOG in one.body]
    assert set(text) == {"\0"}
    assert 0 < len(json.dumps(text)) <= MAX_LOG_BYTES
