"""Deeper and wider: queue, depth, delegates, budget, credentials, questions from below."""

from __future__ import annotations

import base64
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.assembly import conflict_command, plan_command
from cleveragents.errors import ConfigurationError, IsolationUnavailableError
from cleveragents.plans.nursery import Nursery
from features.doubles.in_memory_house import Disk, host
from tests.subplans.scene import child_of, data, group, subplan, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.subplans.scene import Scene

ALL = ["read_file", "write_file", "edit_file", "run_command", "spawn_subplan"]


def profile(stage: Scene, text: str) -> str:
    path = stage.root / "auto.yaml"
    path.write_text("name: auto\n" + text)
    return str(path)


def chain(depth: int, *steps: Any) -> dict[str, Any]:
    """Subplans in each other, the innermost with the given steps."""
    name = f"level{depth}"
    if depth == 1:
        return subplan(name, *steps, delegate={"tools": ALL})
    return subplan(name, chain(depth - 1, *steps), delegate={"tools": ALL, "depth": depth - 1})


# -- queue and depth --------------------------------------------------------------


def test_more_than_max_parallel_wait_in_the_queue(
    stage: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most, lock = 0, 0, threading.Lock()
    original = Nursery._run_child

    def counted(*arguments: Any, **more: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return original(*arguments, **more)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(Nursery, "_run_child", counted)
    answer = stage.run(
        group(*(subplan(f"n{n}", write(f"f{n}", "x")) for n in range(6))),
        automation_profile=profile(stage, "subplans: {max_parallel: 2}\n"),
    )
    assert answer.exit_code == 0
    assert most == 2
    assert len(stage.made(data(answer)["plan_id"])) == 6


def test_three_levels_merge_upwards(stage: Scene) -> None:
    answer = stage.run(chain(3, write("deep.txt", "x")))
    assert answer.exit_code == 0, answer.messages
    assert stage.made(data(answer)["plan_id"]) == {"deep.txt": b"x"}
    tree = stage.status(data(answer)["plan_id"])
    depth = 0
    while tree["subplans"]:
        (tree,) = tree["subplans"]
        depth += 1
        assert tree["outcome"] == "merged"
    assert depth == 3


def test_max_depth_refuses(stage: Scene) -> None:
    auto = profile(stage, "subplans: {max_depth: 1}\n")
    answer = stage.run(chain(2, write("a", "x")), automation_profile=auto)
    assert answer.exit_code == 3
    assert [v["kind"] for v in data(answer)["violations"]] == ["delegation_refused"]
    assert data(answer)["subplans"] == []
    deeper = subplan("child", chain(1, write("a", "x")), delegate={"tools": ALL})
    answer = stage.run(deeper)
    assert answer.exit_code == 3
    assert [v["kind"] for v in data(answer)["violations"]] == ["delegation_refused"]
    assert "no generation is left" in data(answer)["violations"][0]["reason"]


def test_every_excess_is_named_and_nothing_is_trimmed(stage: Scene) -> None:
    outer = subplan(
        "outer",
        subplan("inner", write("a", "x"), delegate={"tools": ["write_file"], "write": ["src/"],
                                                    "hosts": ["example.com"], "depth": 3}),
        delegate={"tools": ["spawn_subplan"], "read": ["docs/"], "write": ["docs/"], "depth": 1},
    )  # fmt: skip
    answer = stage.run(outer)
    assert answer.exit_code == 3
    (violation,) = data(answer)["violations"]
    assert violation["kind"] == "delegation_refused"
    for excess in ("write_file", "src/", "example.com", "depth of 3"):
        assert excess in violation["reason"]


def test_a_malformed_spawn_of_a_program_is_told_and_can_be_mended(stage: Scene) -> None:
    body = """\
        one = said(client.ask, "spawn_subplan", name="x", delegate={"tols": []},
                   steps=[{"tool": "read_file", "args": {"path": "a"}}])
        assert one.startswith("tool_failed") and "tols" in one, one
        two = said(client.ask, "spawn_subplan", name="x", delegate={"tools": ["fetch_url"]},
                   steps=[{"tool": "fetch_url", "args": {"url": "http://x"}}])
        assert two.startswith("delegation_refused") and "fetch_url" in two, two
    """
    child = subplan("child", actor=stage.program("asks", body),
                    delegate={"tools": ["spawn_subplan", "read_file"], "depth": 1})  # fmt: skip
    answer = stage.run(child)
    assert answer.exit_code == 0, answer.messages


def test_a_program_spawns_and_sees_what_was_merged_while_it_runs(stage: Scene) -> None:
    body = """\
        open("mine", "w").write("uncollected")
        done = client.ask("spawn_subplan", name="inner", delegate={"tools": ["write_file"], "read": ["."], "write": ["."]},
                          steps=[{"tool": "write_file", "args": {"path": "deep/x", "content": "y"}}])
        assert done["outcome"] == "merged", done
        assert open("deep/x").read() == "y"
        assert open("mine").read() == "uncollected"
        refused = said(client.ask, "spawn_subplan", name="bad", delegate={"tools": ["run_command"], "write": ["."]},
                       steps=[{"tool": "run_command", "args": {"command": "mkdir -p s/.git; echo x > s/.git/config"}}])
        assert refused.startswith("merge_refused"), refused
    """
    child = subplan(
        "outer", actor=stage.program("spawns", body), delegate={"tools": ALL, "depth": 1}
    )
    answer = stage.run(child)
    assert answer.exit_code == 0, answer.messages
    assert {"mine", "deep/x"} <= stage.made(data(answer)["plan_id"]).keys()


# -- delegates --------------------------------------------------------------------

WRITERS = """\
safety_profile: read-only
{delegates}
safety_profiles:
  - name: docs-writer
    allowed_tools: [read_file, write_file, spawn_subplan]
    write: [docs/]
"""


def coordinator() -> tuple[dict[str, Any], ...]:
    child = subplan(
        "writer", write("docs/a", "x"), delegate={"tools": ["write_file"], "write": ["docs/"]}
    )
    return (child, {**write("docs/own", "x", "own"), "on_denied": "continue"})


def test_a_read_only_coordinator_has_writing_children_when_the_operator_says_so(
    stage: Scene,
) -> None:
    auto = profile(stage, WRITERS.format(delegates="delegates: docs-writer"))
    answer = stage.run(*coordinator(), automation_profile=auto)
    assert answer.exit_code == 0, answer.messages
    assert stage.made(data(answer)["plan_id"]) == {"docs/a": b"x"}
    assert [v["kind"] for v in data(answer)["violations"]] == ["tool_access_denied"]


def test_and_only_then(stage: Scene) -> None:
    answer = stage.run(
        *coordinator(), automation_profile=profile(stage, WRITERS.format(delegates=""))
    )
    assert answer.exit_code == 3
    assert stage.made(data(answer)["plan_id"]) == {}
    (violation,) = data(answer)["violations"]
    assert violation["kind"] == "delegation_refused"


def test_a_profile_that_only_the_plan_file_names_delegates_nothing(stage: Scene) -> None:
    profile(stage, WRITERS.format(delegates="delegates: docs-writer"))
    answer = stage.run(*coordinator(), plan={"automation_profile": "auto.yaml"})
    assert answer.exit_code == 3


def test_delegates_hold_below_the_writing_child_too(stage: Scene) -> None:
    auto = profile(stage, WRITERS.format(delegates="delegates: docs-writer"))
    inner = subplan(
        "inner", write("src/a", "x"), delegate={"tools": ["write_file"], "write": ["src/"]}
    )
    outer = subplan("outer", inner,
                    delegate={"tools": ["spawn_subplan", "write_file"], "write": ["docs/"], "depth": 1})  # fmt: skip
    answer = stage.run(outer, automation_profile=auto)
    assert answer.exit_code == 3
    assert [v["kind"] for v in data(answer)["violations"]] == ["delegation_refused"]


def test_a_program_needs_execute_in_the_ceiling(stage: Scene) -> None:
    auto = profile(stage, "safety_profile: read-only\n")
    child = subplan("child", actor=stage.program("any", ""), delegate={"tools": [], "write": []})
    answer = stage.run(child, automation_profile=auto)
    assert answer.exit_code == 3
    assert "execute" in data(answer)["violations"][0]["reason"]


def test_without_the_wall_there_are_no_subplans(stage: Scene) -> None:
    answer = stage.run(subplan("child", write("a", "x")), isolation="off-unsafe")
    assert answer.exit_code == IsolationUnavailableError.exit_code
    assert data(answer)["subplans"] == []


# -- budget -----------------------------------------------------------------------


def test_a_childs_budget_is_moved_out_of_its_parents(stage: Scene) -> None:
    auto = profile(stage, "budget: {max_tool_calls: 6}\n")
    steps = [write(f"f{n}", "x") for n in range(4)]
    child = subplan(
        "child", *steps, delegate={"budget": {"max_tool_calls": 2}}, on_denied="continue"
    )
    answer = stage.run(child, *(write(f"p{n}", "x") for n in range(5)), automation_profile=auto)
    assert answer.exit_code == 4
    assert child_of(answer, "child")["outcome"] == "constrained"
    # Two of the child, the rest is the parent's own; a spawn refused for budget holds nothing.
    done = [s["id"] for s in data(answer)["steps"] if s["status"] == "done"]
    assert done == ["w_p0", "w_p1", "w_p2", "w_p3"]
    assert data(answer)["cost"]["tool_calls"] == 6
    kinds = [(v["kind"], bool(v["subplan_id"])) for v in data(answer)["violations"]]
    assert ("budget_exceeded", True) in kinds
    assert ("budget_exceeded", False) in kinds


def test_a_child_cannot_be_promised_more_than_its_parent_has(stage: Scene) -> None:
    auto = profile(stage, "budget: {max_tool_calls: 3}\n")
    child = subplan("child", write("a", "x"), delegate={"budget": {"max_tool_calls": 4}})
    answer = stage.run(child, automation_profile=auto)
    assert answer.exit_code == 3
    assert "budget of 4" in data(answer)["violations"][0]["reason"]


def test_parallel_children_cannot_together_pass_their_parents_limit(stage: Scene) -> None:
    auto = profile(stage, "budget: {max_tool_calls: 9}\n")
    members = [
        subplan(f"n{n}", *(write(f"f{n}_{m}", "x") for m in range(5)), on_denied="continue")
        for n in range(4)
    ]
    answer = stage.run(group(*members), automation_profile=auto)
    assert data(answer)["cost"]["tool_calls"] <= 9


# -- questions from below ---------------------------------------------------------


@pytest.mark.parametrize("deny", [False, True])
def test_a_question_two_levels_down_reaches_the_person_and_both_answers_go_on(
    stage: Scene, deny: bool
) -> None:
    auto = profile(stage, "approvals: [run_command]\n")
    ask = {"id": "ask", "tool": "run_command", "args": {"command": "echo yes > asked"},
           "on_denied": "continue"}  # fmt: skip
    answer = stage.run(chain(2, ask, write("done", "x")), automation_profile=auto)
    assert answer.exit_code == 7
    plan_id = data(answer)["plan_id"]
    (waiting,) = stage.status(plan_id)["waiting"]
    assert waiting["tool"] == "run_command"
    assert waiting["plan_id"] != plan_id
    assert f"agents plan approve {waiting['plan_id']} ask" in answer.messages[-1].text
    plan_command.approve(waiting["plan_id"], waiting["call_id"], deny=deny, reason="", who="me")
    resumed = stage.resume(plan_id)
    assert resumed.exit_code == 0, resumed.messages
    assert stage.made(plan_id) == {"done": b"x", **({} if deny else {"asked": b"yes\n"})}


def test_a_programs_question_is_answered_after_a_restart(stage: Scene) -> None:
    auto = profile(stage, "approvals: [run_command]\n")
    body = """\
        open("before", "w").write("x")
        client.ask("run_command", command="echo yes > asked")
    """
    child = subplan("child", actor=stage.program("asks", body))
    answer = stage.run(child, automation_profile=auto)
    assert answer.exit_code == 7
    plan_id = data(answer)["plan_id"]
    # First its start, since a program may run commands; then the call that it asks for.
    for call_id, exit_code in (("program", 7), ("ask-2", 0)):
        (waiting,) = stage.status(plan_id)["waiting"]
        assert waiting["call_id"] == call_id
        plan_command.approve(waiting["plan_id"], call_id, deny=False, reason="", who="me")
        resumed = stage.resume(plan_id)
        assert resumed.exit_code == exit_code, resumed.messages
    assert {"before", "asked"} <= stage.made(plan_id).keys()


def test_a_program_is_refused_where_nothing_may_be_executed(stage: Scene) -> None:
    program = {"name": "p", "actor": {"kind": "program", "command": ["sh", "-c", "echo x > made"]}}
    answer = stage.run_alone(program, safety_profile="read-only")
    assert answer.exit_code == 3
    (violation,) = data(answer)["violations"]
    assert violation["rule"] == "effects"
    assert violation["resource_name"] == "tool:program"
    assert stage.run_alone(program).exit_code == 0


def test_one_member_that_waits_keeps_the_others_for_afterwards(stage: Scene) -> None:
    auto = profile(stage, "approvals: [run_command]\n")
    ask = {"id": "ask", "tool": "run_command", "args": {"command": "echo yes > asked"}}
    answer = stage.run(
        group(subplan("asks", ask), subplan("other", write("o", "x"))), automation_profile=auto
    )
    assert answer.exit_code == 7
    plan_id = data(answer)["plan_id"]
    (waiting,) = stage.status(plan_id)["waiting"]
    plan_command.approve(waiting["plan_id"], waiting["call_id"], deny=False, reason="", who="me")
    assert stage.resume(plan_id).exit_code == 0
    done = [e.body["subplan_id"] for e in stage.entries(plan_id, "merge") if "done" in e.body]
    assert done == [child_of(answer, name)["plan_id"] for name in ("asks", "other")]


def test_a_conflict_two_levels_down_is_listed_and_settled_at_the_root(stage: Scene) -> None:
    stage.file("a.txt", "a\n")
    both = group(subplan("one", write("a.txt", "1\n")), subplan("two", write("a.txt", "2\n")))
    answer = stage.run(
        subplan("outer", both, delegate={"tools": [*ALL, "delete_file"], "depth": 1})
    )
    assert answer.exit_code == 5
    plan_id = data(answer)["plan_id"]
    assert [one["path"] for one in stage.status(plan_id)["conflicts"]] == ["a.txt"]
    assert [one["path"] for one in data(conflict_command.conflicts(plan_id))["conflicts"]] == [
        "a.txt"
    ]
    assert data(conflict_command.resolve(plan_id, "a.txt", "theirs"))["conflicts"] == []
    assert stage.status(plan_id)["conflicts"] == []
    assert stage.resume(plan_id).exit_code == 0
    assert stage.made(plan_id) == {"a.txt": b"2\n"}
    with pytest.raises(ConfigurationError, match="no conflict is open"):
        conflict_command.resolve(plan_id, "a.txt", "ours")


def test_a_program_that_works_on_while_its_child_does_can_conflict_with_it(stage: Scene) -> None:
    stage.file("a.txt", "a\n")
    body = """\
        import threading
        def meanwhile():
            time.sleep(0.3)
            open("a.txt", "w").write("program\\n")
        thread = threading.Thread(target=meanwhile)
        thread.start()
        client.ask("spawn_subplan", name="one",
                   delegate={"tools": ["run_command"], "read": ["."], "write": ["."]},
                   steps=[{"tool": "run_command", "args": {"command": "sleep 1; echo child > a.txt"}}])
        thread.join()
    """
    child = subplan(
        "outer", actor=stage.program("spawns", body), delegate={"tools": ALL, "depth": 1}
    )
    answer = stage.run(child)
    assert answer.exit_code == 5, answer.messages
    plan_id = data(answer)["plan_id"]
    assert data(conflict_command.resolve(plan_id, "a.txt", "theirs"))["conflicts"] == []
    # It starts again, and its child is not run again: this time it is the program that is late.
    assert stage.resume(plan_id).exit_code == 0
    assert stage.made(plan_id)["a.txt"] == b"program\n"
    assert len(stage.entries(kind="spawn")) == 2


def test_what_was_decided_in_an_earlier_attempt_counts_for_the_same_conflict_only(
    tmp_path: Path,
) -> None:
    disk = Disk(tmp_path)
    base, ours, theirs = (disk.git.keep({"a": text}) for text in ("0", "1", "2"))
    charter: Any = SimpleNamespace(plan_id="01P", root_id="01P")
    with host(disk) as means:
        book = means.conflicts
        found = disk.git.merge(base, ours, theirs).conflicts
        other = disk.git.merge(base, disk.git.keep({"a": "3"}), theirs).conflicts

        def choices(conflicts: Any, *call_ids: str) -> dict[str, Any]:
            return book.choices(charter, call_ids, subplan_id="01C", conflicts=conflicts)

        assert choices(found, "ask-1") == {}
        assert choices(found, "ask-1") == {}
        assert len(book.open_conflicts("01P")) == 1
        book.resolve(charter, "a", take="theirs")
        assert choices(found, "ask-1~2", "ask-1") == {"a": found[0].theirs}
        assert book.open_conflicts("01P") == ()
        assert choices(other, "ask-1~2", "ask-1") == {}
        assert [one.call_id for one in book.open_conflicts("01P")] == ["ask-1~2"]


# -- credentials ------------------------------------------------------------------


def test_a_credentials_value_is_nowhere_near_a_child(
    stage: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "s3cr3t-value-of-the-parent"
    monkeypatch.setenv("SCENE_TOKEN", secret)
    body = """\
        import glob
        seen = [repr(sorted(os.environ.items())), repr(sys.argv), repr(dict(task))]
        for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/cmdline"):
            try:
                seen.append(open(path, "rb").read().decode("latin-1"))
            except OSError:
                pass
        seen.append(said(client.open, "credential:TOKEN"))
        seen.append(said(client.open, "credential:OTHER"))
        seen.append(said(client.ask, "send_request", url="https://example.com/", method="GET",
                         headers={"x": "${credential:OTHER}"}))
        open("seen.txt", "w").write("\\n".join(seen))
        client.submit({}, repr(seen)[:1000])
    """
    child = subplan(
        "child",
        actor=stage.program("looks", body),
        delegate={"tools": ["send_request"], "credentials": ["TOKEN"], "hosts": ["example.com"]},
    )
    auto = profile(
        stage,
        "credentials: {TOKEN: {env: SCENE_TOKEN, hosts: [example.com]},"
        " OTHER: {env: SCENE_TOKEN, hosts: [example.com]}}\n",
    )
    answer = stage.run(child, automation_profile=auto)
    assert answer.exit_code == 0, answer.messages
    names = [v["resource_name"] for v in data(answer)["violations"]]
    assert names == ["credential:OTHER", "credential:OTHER"]
    seen = stage.made(data(answer)["plan_id"])["seen.txt"].decode()
    assert "{'resource': 'credential:TOKEN'}" in seen
    assert secret not in seen
    wanted = (secret.encode(), base64.b64encode(secret.encode())[:-4])
    for path in stage.root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            assert not any(one in content for one in wanted), path
