"""What a child that fails, lies, floods, hangs or is ended leaves behind: a reason, nothing else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.assembly import plan_command
from cleveragents.plans.actor import program
from tests.subplans.scene import child_of, data, eventually, group, subplan, write

if TYPE_CHECKING:
    from tests.subplans.scene import Scene

RAW = """\
import json, os, struct, sys
fd = int(os.environ["CLEVERAGENTS_CHANNEL"])

def send(data, size=None):
    os.write(fd, struct.pack(">I", len(data) if size is None else size) + data)

def say(**message):
    send(json.dumps(message).encode())
"""
FAILS = {"id": "f", "tool": "read_file", "args": {"path": "absent"}}


def run(line: str, step: str = "c") -> dict[str, Any]:
    return {"id": step, "tool": "run_command", "args": {"command": line}}


# -- programs that know nothing of the channel ------------------------------------


def test_a_silent_program_submits_what_it_changed(stage: Scene) -> None:
    stage.file("a.txt", "b\na\n")
    answer = stage.run(
        subplan("sort", actor={"kind": "program", "command": ["sort", "-o", "a.txt", "a.txt"]})
    )
    assert answer.exit_code == 0, answer.messages
    assert stage.made(data(answer)["plan_id"])["a.txt"] == b"a\nb\n"


def test_another_exit_code_fails_with_the_tail_of_the_log(stage: Scene) -> None:
    answer = stage.run(
        subplan(
            "tests",
            actor={"kind": "program", "command": ["sh", "-c", "echo x > made; echo early; echo 3 failed >&2; exit 4"]},
        )
    )  # fmt: skip
    assert answer.exit_code == 1
    text = answer.messages[-1].text
    assert "exit code 4" in text
    assert "3 failed" in text
    assert "early" in text
    assert "made" not in stage.made(data(answer)["plan_id"])
    assert child_of(answer, "tests")["state"] == "errored"


@pytest.mark.parametrize(
    ("command", "reason"),
    [(["no-such-program"], "No such file"), (["sh", "-c", "kill -9 $$"], "exit code 137")],
)
def test_a_program_that_cannot_start_or_is_killed_fails(
    stage: Scene, command: list[str], reason: str
) -> None:
    answer = stage.run(subplan("child", actor={"kind": "program", "command": command}))
    assert answer.exit_code == 1
    assert reason in answer.messages[-1].text


def test_an_endless_log_is_capped_and_its_end_is_shown(stage: Scene) -> None:
    line = "head -c 30000000 /dev/zero | tr '\\0' x; echo the-end; exit 1"
    answer = stage.run(subplan("child", actor={"kind": "program", "command": ["sh", "-c", line]}))
    assert answer.exit_code == 1
    assert "the-end" in answer.messages[-1].text
    assert len(answer.messages[-1].text) < 4000


# -- messages that are none -------------------------------------------------------

BAD = {
    "no JSON": 'send(b"hello")',
    "a list": 'send(b"[]")',
    "an unknown type": 'say(type="welcome", seq=1)',
    "a host's message": 'say(type="answer", seq=1, value={})',
    "an unknown field": 'say(type="begin", seq=1, plan_id="01PARENT")',
    "a forged identity": 'say(type="ask", seq=1, tool="read_file", arguments={}, plan_id="x")',
    "a wrong type": 'say(type="ask", seq="1", tool="read_file", arguments={})',
    "a repeated number": 'say(type="begin", seq=1); say(type="begin", seq=1)',
    "a skipped number": 'say(type="begin", seq=2)',
    "a negative number": 'say(type="begin", seq=-1)',
    "an oversized message": 'send(b"x" * 10, size=(1 << 20) + 1)',
    "nothing at all": 'send(b"")',
    "a pickle": r'send(b"\x80\x04cos\nsystem\n.")',
    "nesting": 'send(b"[" * 500000)',
    "deep arguments": """send(b'{"type":"ask","seq":1,"tool":"read_file","arguments":{"path":' + b"[" * 300000 + b"]" * 300000 + b"}}")""",
    "no UTF-8": r'send(b"\xff\xfe{}")',
    "half a message": 'os.write(fd, struct.pack(">I", 100) + b"abc"); os.close(fd)',
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_message_ends_the_subplan_and_nobody_else(stage: Scene, name: str) -> None:
    body = f"""\
        open("made", "w").write("x")
        try:
            {BAD[name]}
            os.read(fd, 1)
            import time; time.sleep(30)
        except OSError:
            time.sleep(30)
    """
    bad = subplan("bad", actor=stage.program("bad", body, prelude=RAW), on_error="continue")
    answer = stage.run(group(bad, subplan("good", write("good.txt", "x"))), write("after", "x"))
    assert answer.exit_code == 0, answer.messages
    child = child_of(answer, "bad")
    assert child["state"] == "errored"
    ended = stage.entries(child["plan_id"], "plan_ended")[-1].body
    assert ended["code"] == "tool_failed"
    assert ended["error"]
    made = stage.made(data(answer)["plan_id"])
    assert {"good.txt", "after"} <= made.keys()
    assert "made" not in made


def test_unread_answers_and_a_flood_harm_nobody(
    stage: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "ANSWER_S", 0.3)
    body = """\
        import threading
        for seq in range(1, 20001):
            say(type="progress", seq=seq, text="x" * 200)
    """
    answer = stage.run(
        subplan("flood", actor=stage.program("flood", body, prelude=RAW), on_error="continue"),
        write("after", "x"),
    )
    assert answer.exit_code == 0, answer.messages
    ended = stage.entries(child_of(answer, "flood")["plan_id"], "plan_ended")[-1].body
    assert "does not read" in str(ended["error"])


def test_endless_refused_requests_end_the_subplan(
    stage: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "MAX_REFUSED", 3)
    body = """\
        for seq in range(1, 50):
            say(type="open", seq=seq, resource="plan:01PARENT")
        import time; time.sleep(30)
    """
    answer = stage.run(
        subplan("asks", actor=stage.program("asks", body, prelude=RAW), on_error="continue"),
        write("after", "x"),
    )
    assert answer.exit_code == 0, answer.messages
    child_id = child_of(answer, "asks")["plan_id"]
    ended = stage.entries(child_id, "plan_ended")[-1].body
    assert "too many refused requests" in str(ended["error"])
    assert len(stage.entries(child_id, "violation")) == 4


def test_a_budget_refusal_tells_a_program_nothing_of_the_plans_above(stage: Scene) -> None:
    profile = stage.root / "few.yaml"
    profile.write_text("name: few\nbudget: {max_tool_calls: 4}\n")
    stage.file("a.txt", "x")
    body = """\
        heard = [said(client.ask, "read_file", path="a.txt") for _ in range(6)]
        client.submit({}, heard[-1])
    """
    answer = stage.run(
        subplan("child", actor=stage.program("child", body)), automation_profile=str(profile)
    )
    child_id = child_of(answer, "child")["plan_id"]
    assert stage.proposal(child_id)["summary"] == (
        "plan_budget_exceeded: a budget of this plan or above it does not admit the call"
    )
    assert any(data(answer)["plan_id"] in str(e.body) for e in stage.entries(child_id, "violation"))


def test_a_message_after_the_end_is_not_read(stage: Scene) -> None:
    body = """\
        if os.fork() == 0:
            os.setsid()
            import time; time.sleep(0.3)
            say(type="submit", seq=1, outputs={}, summary="late")
            open("late", "w").write("x")
            os._exit(0)
        os._exit(0)
    """
    answer = stage.run(subplan("child", actor=stage.program("forks", body, prelude=RAW)))
    assert answer.exit_code == 0, answer.messages
    child_id = child_of(answer, "child")["plan_id"]
    assert stage.proposal(child_id)["summary"] == ""
    assert "late" not in stage.made(data(answer)["plan_id"])


# -- on_error, retries ------------------------------------------------------------


def test_a_failed_child_leaves_nothing_and_its_sibling_is_merged(stage: Scene) -> None:
    answer = stage.run(
        group(
            subplan("bad", write("bad.txt", "x"), FAILS),
            subplan("good", write("good.txt", "x")),
        )
    )
    assert answer.exit_code == 1
    made = stage.made(data(answer)["plan_id"])
    assert "bad.txt" not in made
    assert "good.txt" in made


def test_retries_are_new_children_and_counted_exactly(stage: Scene) -> None:
    answer = stage.run(subplan("child", FAILS, retries=2, on_error="continue"), write("a", "x"))
    assert answer.exit_code == 0
    assert len(data(answer)["subplans"]) == 3
    assert [s["id"] for s in data(answer)["steps"]] == ["child", "child~2", "child~3", "w_a"]


def test_a_retry_that_succeeds_is_merged_in_its_turn(stage: Scene) -> None:
    body = """\
        import random
        value = client.ask("run_command", command="date +%N")["stdout"]
        sys.exit(0 if int(value) % 3 == 0 else 1)
    """
    answer = stage.run(
        group(
            subplan("flaky", actor=stage.program("flaky", body), retries=10, on_error="continue"),
            subplan("other", write("b", "x")),
        )
    )
    assert answer.exit_code == 0
    assert {s["outcome"] for s in data(answer)["subplans"]} <= {"merged", "errored"}
    assert "b" in stage.made(data(answer)["plan_id"])


def test_a_refusal_is_not_retried(stage: Scene) -> None:
    denied = subplan("child", write("a", "x"), delegate={"write": []}, retries=3)
    answer = stage.run(denied)
    assert answer.exit_code == 3
    assert len(data(answer)["subplans"]) == 1


def test_a_bad_value_of_retries_is_a_configuration_error(stage: Scene) -> None:
    from cleveragents.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="retries"):
        stage.run(subplan("child", FAILS, retries=11))


# -- fail_fast --------------------------------------------------------------------


def test_fail_fast_ends_the_running_and_starts_no_more(stage: Scene) -> None:
    profile = stage.root / "two.yaml"
    profile.write_text("name: two\nsubplans: {max_parallel: 2}\n")
    answer = stage.run(
        group(
            subplan("bad", run("sleep 0.5"), FAILS),
            subplan("slow", write("slow.txt", "x"), run("sleep 60")),
            subplan("never", write("never.txt", "x")),
            fail_fast=True,
        ),
        automation_profile=str(profile),
    )
    assert answer.exit_code == 1
    assert "absent" in answer.messages[-1].text
    assert data(answer)["timing"]["elapsed_s"] < 20
    assert child_of(answer, "slow")["state"] == "cancelled"
    assert sorted(s["name"] for s in data(answer)["subplans"]) == ["bad", "slow"]
    assert any("not_started" in e.body for e in stage.entries(data(answer)["plan_id"], "note"))
    assert stage.made(data(answer)["plan_id"]) == {}


def test_without_fail_fast_everybody_ends_and_is_merged(stage: Scene) -> None:
    answer = stage.run(
        group(subplan("bad", FAILS), subplan("slow", run("sleep 0.3"), write("slow.txt", "x")))
    )
    assert answer.exit_code == 1
    assert "slow.txt" in stage.made(data(answer)["plan_id"])


def test_a_failure_that_is_gone_on_over_ends_no_group(stage: Scene) -> None:
    answer = stage.run(
        group(
            subplan("bad", FAILS, on_error="continue"),
            subplan("slow", run("sleep 0.3"), write("slow.txt", "x")),
            fail_fast=True,
        )
    )
    assert answer.exit_code == 0
    assert "slow.txt" in stage.made(data(answer)["plan_id"])


def test_work_that_was_finished_before_is_kept_for_later(stage: Scene) -> None:
    answer = stage.run(
        group(
            subplan("quick", write("quick.txt", "x")),
            subplan("bad", run("sleep 0.6"), FAILS),
            fail_fast=True,
        )
    )
    assert answer.exit_code == 1
    quick = child_of(answer, "quick")
    assert (quick["state"], quick["outcome"]) == ("complete", None)
    (note,) = stage.entries(quick["plan_id"], "note")
    assert "fail_fast" in str(note.body["kept"])
    assert "quick.txt" not in stage.made(data(answer)["plan_id"])


def test_a_late_result_is_dropped_and_recorded(stage: Scene) -> None:
    # It hands its result in when its sibling has failed, before anybody can end it.
    from cleveragents.plans.nursery import Nursery

    ended, failed, original = threading.Event(), threading.Event(), Nursery._run_child

    def run_child(self: Any, child: Any, *arguments: Any, **more: Any) -> Any:
        if child.name == "bad":
            assert ended.wait(20)
        ending = original(self, child, *arguments, **more)
        if child.name == "late":
            ended.set()
            assert failed.wait(20)
        return ending

    from cleveragents.plans.group import Group

    leave = Group.leave

    def told(self: Any, step: str, ending: Any) -> None:
        leave(self, step, ending)
        if ending.failure:
            failed.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Nursery, "_run_child", run_child)
        patch.setattr(Group, "leave", told)
        answer = stage.run(
            group(subplan("late", write("l", "x")), subplan("bad", FAILS), fail_fast=True)
        )
    assert answer.exit_code == 1
    late = child_of(answer, "late")
    assert late["state"] == "cancelled"
    (note,) = stage.entries(late["plan_id"], "note")
    assert "fail_fast" in str(note.body["dropped"])
    assert note.body["tree"]
    assert "l" not in stage.made(data(answer)["plan_id"])


# -- cancel and time --------------------------------------------------------------


def test_cancel_ends_parent_and_children_and_nothing_is_merged(stage: Scene) -> None:
    done: list[Any] = []
    steps = [group(
        subplan("one", write("one.txt", "x"), run("sleep 60")),
        subplan("two", actor={"kind": "program", "command": ["sleep", "60"]}),
    )]  # fmt: skip
    thread = threading.Thread(target=lambda: done.append(stage.run(*steps)))
    thread.start()
    assert eventually(lambda: len(stage.entries(kind="plan_started")) == 3)
    root = stage.entries(kind="plan_started")[0].plan_id
    plan_command.cancel(root)
    thread.join(30)
    (answer,) = done
    assert answer.exit_code == 1
    assert data(answer)["state"] == "cancelled"
    assert {s["state"] for s in data(answer)["subplans"]} == {"cancelled"}
    assert stage.entries(root, "merge") == []


def test_a_parents_time_limit_ends_its_children_too(stage: Scene) -> None:
    profile = stage.root / "short.yaml"
    profile.write_text("name: short\nbudget: {max_seconds: 1}\n")
    answer = stage.run(
        subplan("child", actor={"kind": "program", "command": ["sleep", "60"]}),
        automation_profile=str(profile),
    )
    assert answer.exit_code == 4
    assert data(answer)["timing"]["elapsed_s"] < 10


def test_a_childs_own_time_limit_ends_the_child(stage: Scene) -> None:
    child = subplan(
        "child",
        actor={"kind": "program", "command": ["sleep", "60"]},
        delegate={"budget": {"max_seconds": 1}},
        on_denied="continue",
    )
    answer = stage.run(child, write("after", "x"))
    assert answer.exit_code == 0
    assert child_of(answer, "child")["outcome"] == "constrained"
