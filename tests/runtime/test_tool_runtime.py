"""The door, check by check: what it refuses, records, performs and answers again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import (
    ApprovalPendingError,
    DelegationError,
    PlanBudgetExceededError,
    RecordError,
    SecurityBoundaryViolation,
    SubplanRefusedError,
    ToolAccessDeniedError,
    ToolFailedError,
)
from cleveragents.policy.grant import Grant
from cleveragents.policy.profile import BUILT_IN
from cleveragents.terms.cost import Limits
from features.doubles.in_memory_hands import HostDiedError
from tests.runtime.world import PLAN, Person, Setting, World

if TYPE_CHECKING:
    from pathlib import Path

READ_ONLY = (BUILT_IN["read-only"],)


def test_an_admitted_call_is_recorded_before_and_after(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.call("read_file", path="./a.txt").value == {"text": "one"}
    decision, outcome = world.entries()
    assert decision.kind == "decision"
    assert decision.body["arguments"]["path"] == "a.txt"  # type: ignore[index]  # JSON of the record
    assert "unrestricted" in str(decision.body["rule"])
    assert outcome.kind == "outcome"
    assert outcome.body["status"] == "done"


def test_a_denied_call_runs_nothing_and_leaves_one_violation(tmp_path: Path) -> None:
    world = World(tmp_path, Setting(profiles=READ_ONLY))
    with pytest.raises(ToolAccessDeniedError) as caught:
        world.call("write_file", path="a.txt", content="x")
    assert caught.value.profile_name == "read-only"
    assert caught.value.tool_name == "write_file"
    assert world.hands.ran == []
    (violation,) = world.entries()
    assert violation.kind == "violation"
    assert violation.body["kind"] == "tool_access_denied"
    assert violation.body["resource_name"] == "tool:write_file"


def test_the_same_profile_still_allows_reading(tmp_path: Path) -> None:
    assert World(tmp_path, Setting(profiles=READ_ONLY)).call("read_file", path="a.txt").value


def test_a_path_outside_the_workspace_is_denied_in_a_root_plan(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(ToolAccessDeniedError, match="workspace"):
        world.call("read_file", path="../../etc/passwd")
    assert world.entries()[0].body["rule"] == "workspace"


@pytest.mark.parametrize(
    ("tool", "arguments", "resource"),
    [
        ("read_file", {"path": "../x"}, "file:../x"),
        ("read_file", {"path": "src/a.py"}, "file:src/a.py"),
        ("delete_file", {"path": "docs/b.txt"}, "tool:delete_file"),
        ("invented", {}, "tool:invented"),
    ],
)
def test_what_a_subplan_was_not_handed_is_a_boundary_violation(
    tmp_path: Path, tool: str, arguments: dict[str, object], resource: str
) -> None:
    grant = Grant.root(tools=["read_file"], read=["docs/"], write=[])
    world = World(tmp_path, Setting(grant=grant, is_subplan=True))
    with pytest.raises(SecurityBoundaryViolation, match=resource) as caught:
        world.call(tool, **arguments)
    assert caught.value.subplan_id == PLAN
    assert caught.value.resource_name == resource
    assert world.hands.ran == []
    (violation,) = world.entries()
    assert violation.body["kind"] == "security_boundary"
    assert violation.at == caught.value.timestamp


def test_a_subplan_reads_what_it_was_handed(tmp_path: Path) -> None:
    grant = Grant.root(tools=["read_file"], read=["docs/"], write=[])
    world = World(tmp_path, Setting(grant=grant, is_subplan=True))
    assert world.call("read_file", path="docs/b.txt").value == {"text": "two"}


@pytest.mark.parametrize(
    "name",
    [
        "plan:01ROOT/context",
        "plan:01ROOT/decisions",
        "credential:KEY",
        "file:../x",
        "host:a.example",
        "nonsense",
    ],
)
def test_a_resource_that_was_not_handed_on_is_refused_over_the_channel(
    tmp_path: Path, name: str
) -> None:
    grant = Grant.root(tools=["read_file"], read=["docs/"], hosts=[])
    world = World(tmp_path, Setting(grant=grant, is_subplan=True))
    with pytest.raises(SecurityBoundaryViolation, match=name) as caught:
        world.door.open(name, "open-1", world.context)
    assert caught.value.resource_name == name
    assert world.entries()[0].body["resource_name"] == name


def test_a_resource_that_was_handed_on_is_named_and_never_given(tmp_path: Path) -> None:
    grant = Grant.root(tools=["read_file"], read=["docs/"], credentials=["KEY"])
    world = World(tmp_path, Setting(grant=grant, is_subplan=True))
    for name in ("file:docs/b.txt", "credential:KEY"):
        assert world.door.open(name, "open-1", world.context) == {"resource": name}
    assert world.entries() == []


def test_an_unknown_tool_is_refused_in_a_root_plan(tmp_path: Path) -> None:
    with pytest.raises(ToolAccessDeniedError, match="no tool is named"):
        World(tmp_path).call("x" * 500)


def test_malformed_arguments_fail_the_call_and_are_no_violation(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(ToolFailedError):
        world.call("read_file", path=7)
    assert world.kinds() == ["decision", "outcome"]
    assert world.hands.ran == []


def test_a_failing_body_is_a_recorded_failure_and_replays_as_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    for _ in range(2):
        with pytest.raises(ToolFailedError, match=r"none\.txt does not exist"):
            world.call("read_file", path="none.txt")
    assert world.hands.ran == ["read_file"]


def test_a_failing_preparation_changes_nothing_and_is_recorded(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(ToolFailedError, match="does not exist"):
        world.call("delete_file", path="none.txt")
    assert world.kinds() == ["decision", "outcome"]


def test_a_finished_call_is_answered_from_the_record(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.call("read_file", path="a.txt")
    world.hands.files["a.txt"] = "changed"
    again = world.reopened().call("read_file", path="a.txt")
    assert again.value == {"text": "one"}
    assert again.replayed
    assert world.hands.ran == ["read_file"]


def test_a_refusal_is_replayed_with_its_time(tmp_path: Path) -> None:
    world = World(tmp_path, Setting(profiles=READ_ONLY))
    with pytest.raises(ToolAccessDeniedError) as first:
        world.call("delete_file", path="a.txt")
    # A profile edited in between does not re-decide what was refused.
    later = world.reopened(profiles=(BUILT_IN["unrestricted"],))
    with pytest.raises(ToolAccessDeniedError) as second:
        later.call("delete_file", path="a.txt")
    assert str(first.value) == str(second.value)
    assert later.kinds() == ["violation"]


def test_a_boundary_violation_is_replayed_as_one(tmp_path: Path) -> None:
    grant = Grant.root(tools=["read_file"], read=["docs/"], write=[])
    world = World(tmp_path, Setting(grant=grant, is_subplan=True))
    with pytest.raises(SecurityBoundaryViolation) as first:
        world.call("read_file", path="a.txt")
    with pytest.raises(SecurityBoundaryViolation) as second:
        world.reopened().call("read_file", path="a.txt")
    assert first.value.timestamp == second.value.timestamp


def test_a_retry_is_a_new_attempt(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.call("read_file", path="a.txt")
    world.call_as("s", "read_file", {"path": "a.txt"}, attempt=2)
    assert world.hands.ran == ["read_file", "read_file"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("read_file", {"path": "docs/b.txt"}), ("list_directory", {"path": "."})],
)
def test_a_replay_with_another_tool_or_arguments_is_an_error(
    tmp_path: Path, tool: str, arguments: dict[str, object]
) -> None:
    world = World(tmp_path)
    world.call("read_file", path="a.txt")
    with pytest.raises(RecordError, match="another"):
        world.reopened().call(tool, **arguments)


def test_a_write_that_happened_before_the_host_died_is_not_done_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.hands.crash_in = "write_file"
    with pytest.raises(HostDiedError):
        world.call("write_file", path="n.txt", content="new")
    result = world.reopened().call("write_file", path="n.txt", content="new")
    assert result.value == {"recovered": True}
    assert world.hands.ran == ["write_file"]


def test_a_write_that_did_not_happen_is_done_on_resume(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.hands.crash_in = "write_file"
    with pytest.raises(HostDiedError):
        world.call("write_file", path="n.txt", content="new")
    del world.hands.files["n.txt"]
    world.reopened().call("write_file", path="n.txt", content="new")
    assert world.hands.files["n.txt"] == "new"


def test_files_that_are_neither_before_nor_after_stop_the_plan(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.hands.crash_in = "write_file"
    with pytest.raises(HostDiedError):
        world.call("write_file", path="n.txt", content="new")
    world.hands.files["n.txt"] = "something else"
    with pytest.raises(RecordError, match="neither as before nor as after"):
        world.reopened().call("write_file", path="n.txt", content="new")


def test_a_command_that_was_cut_off_runs_again_from_its_checkpoint(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.hands.crash_in = "run_command"
    with pytest.raises(HostDiedError):
        world.call("run_command", command=["make"])
    world.reopened().call("run_command", command=["make"])
    assert world.hands.files["made.txt"] == "x"


def test_a_request_that_was_cut_off_waits_for_a_person(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.broker.dies = True
    with pytest.raises(KeyboardInterrupt):
        world.call("fetch_url", url="https://example.com/")
    later = world.reopened()
    with pytest.raises(ApprovalPendingError):
        later.call("fetch_url", url="https://example.com/")
    assert later.broker.sent == []
    question = later.approval_book.question(PLAN, "s")
    later.approval_book.record_verdict(
        root_id=PLAN, plan_id=PLAN, call_id="s", digest=question.digest, allow=True, who="me"
    )
    assert later.call("fetch_url", url="https://example.com/").value["status"] == 200


def test_a_listed_tool_waits_for_a_person_and_holds_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, Setting(approvals=frozenset({"run_command"})))
    for _ in range(2):
        with pytest.raises(ApprovalPendingError, match="agents plan approve"):
            world.call("run_command", command=["make"])
    assert world.kinds() == ["approval_requested"]
    assert world.hands.ran == []


def test_a_yes_is_bound_to_exactly_that_call(tmp_path: Path) -> None:
    world = World(tmp_path, Setting(approvals=frozenset({"run_command"})))
    with pytest.raises(ApprovalPendingError):
        world.call("run_command", command=["make"])
    question = world.approval_book.question(PLAN, "s")
    world.approval_book.record_verdict(
        root_id=PLAN, plan_id=PLAN, call_id="s", digest=question.digest, allow=True, who="me"
    )
    with pytest.raises(ApprovalPendingError):
        world.call_as("other", "run_command", {"command": ["make"]})
    world.call("run_command", command=["make"])
    assert world.hands.ran == ["run_command"]
    assert world.entries()[-2].body["approved_by"] == "me"


def test_a_yes_is_used_up_by_the_call_that_it_let_in(tmp_path: Path) -> None:
    world = World(tmp_path, Setting(approvals=frozenset({"fetch_url"})))
    with pytest.raises(ApprovalPendingError):
        world.call("fetch_url", url="https://example.com/")
    question = world.approval_book.question(PLAN, "s")
    world.approval_book.record_verdict(
        root_id=PLAN, plan_id=PLAN, call_id="s", digest=question.digest, allow=True, who="me"
    )
    world.broker.dies = True
    with pytest.raises(KeyboardInterrupt):
        world.call("fetch_url", url="https://example.com/")
    # It may have been sent: the answer that admitted it admits no second sending.
    later = world.reopened()
    with pytest.raises(ApprovalPendingError):
        later.call("fetch_url", url="https://example.com/")
    assert later.broker.sent == []
    assert later.approval_book.question(PLAN, "s").reason.startswith("it was started")


def test_a_person_at_the_terminal_is_asked_with_the_arguments(tmp_path: Path) -> None:
    person = Person(answer=True)
    world = World(tmp_path, Setting(approvals=frozenset({"run_command"}), interaction=person))
    world.call("run_command", command=["make"])
    assert person.asked[0].arguments["command"] == ["make"]
    assert "approval" in world.kinds()


def test_a_no_is_a_refusal_that_is_recorded_once_and_final(tmp_path: Path) -> None:
    person = Person(answer=False)
    world = World(tmp_path, Setting(approvals=frozenset({"run_command"}), interaction=person))
    for _ in range(2):
        with pytest.raises(ToolAccessDeniedError, match="a tester refused"):
            world.call("run_command", command=["make"])
    assert len(person.asked) == 1
    assert world.kinds().count("violation") == 1
    assert world.hands.ran == []


def test_a_limit_refuses_before_the_call_and_asks_anew(tmp_path: Path) -> None:
    world = World(tmp_path, Setting(accounts=(f"plan:{PLAN}",)))
    world.accounts.ensure(f"plan:{PLAN}", Limits(tool_calls=1))
    world.call_as("one", "read_file", {"path": "a.txt"})
    with pytest.raises(PlanBudgetExceededError):
        world.call_as("two", "read_file", {"path": "a.txt"})
    assert world.hands.ran == ["read_file"]
    assert world.entries()[-1].body["kind"] == "budget_exceeded"
    world.accounts.set_limits(f"plan:{PLAN}", Limits(tool_calls=2))
    world.call_as("two", "read_file", {"path": "a.txt"})
    account = world.accounts.snapshot(f"plan:{PLAN}")
    assert account.spent.tool_calls == 2
    assert account.reserved.tool_calls == 0


def test_secrets_are_redacted_for_the_record_and_the_actor_alike(tmp_path: Path) -> None:
    world = World(tmp_path, Setting(secrets={"KEY": "hunter2-hunter2"}))
    world.hands.files["a.txt"] = "the key is hunter2-hunter2"
    result = world.call("read_file", path="a.txt")
    assert "hunter2" not in str(result.value)
    assert "hunter2" not in str(world.entries())


def test_a_refused_delegation_is_recorded_with_each_excess_and_replayed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.spawner.result = DelegationError(excesses=("tool:write_file", "file:/etc"))
    arguments = {"name": "x", "delegate": {}}
    with pytest.raises(DelegationError):
        world.call("spawn_subplan", **arguments)
    later = world.reopened()
    with pytest.raises(DelegationError) as caught:
        later.call("spawn_subplan", **arguments)
    assert caught.value.excesses == ("tool:write_file", "file:/etc")
    assert later.entries()[-1].body["kind"] == "delegation_refused"


@pytest.mark.parametrize(("exit_code", "kinds"), [(3, ["decision", "outcome"]), (4, ["decision"])])
def test_a_refused_child_is_final_and_one_without_budget_is_asked_anew(
    tmp_path: Path, exit_code: int, kinds: list[str]
) -> None:
    world = World(tmp_path)
    world.spawner.result = SubplanRefusedError(
        subplan_id="01C", name="c", reason="no", exit_code=exit_code
    )
    arguments = {"name": "x", "delegate": {}}
    with pytest.raises(SubplanRefusedError):
        world.call("spawn_subplan", **arguments)
    assert world.kinds() == kinds
    later = world.reopened()
    later.spawner.result = {"outcome": "merged"}
    if exit_code == 4:
        assert later.call("spawn_subplan", **arguments).value["outcome"] == "merged"
    else:
        with pytest.raises(SubplanRefusedError, match="no"):
            later.call("spawn_subplan", **arguments)
