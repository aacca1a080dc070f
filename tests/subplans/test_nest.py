"""A child's workspace and cell made ready while it waits: used by it alone, or gone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.assembly.house import open_house
from cleveragents.boundary.process_tree import descendants
from cleveragents.boundary.warm_cell import WarmCell
from cleveragents.boundary.workspace import Workspaces
from cleveragents.errors import IsolationUnavailableError, RecordError
from cleveragents.runtime.plan_cell import PlanCell
from tests.subplans.scene import Scene, child_of, data, group, subplan, write

if TYPE_CHECKING:
    from cleveragents.boundary.cell import Cell

READ = {"tools": ["read_file", "run_command"], "write": []}
LOOK = {"id": "look", "tool": "read_file", "args": {"path": "a.txt"}}
PAUSE = {"id": "pause", "tool": "run_command", "args": {"command": "sleep 0.3"}}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each warm cell that was asked for served."""
    found: list[bool] = []
    take = WarmCell.take

    def noted(warm: WarmCell, digest: str) -> Cell | None:
        cell = take(warm, digest)
        found.append(cell is not None)
        return cell

    monkeypatch.setattr(WarmCell, "take", noted)
    return found


def one_at_a_time(stage: Scene) -> str:
    profile = stage.root / "one.yaml"
    profile.write_text("name: one\nsubplans: {max_parallel: 1}\n")
    return str(profile)


def plans_of(answer: Any) -> list[str]:
    return sorted([data(answer)["plan_id"], *(one["plan_id"] for one in data(answer)["subplans"])])


def cells() -> list[int]:
    """Living bubblewraps below this process."""
    found = []
    for pid in descendants(os.getpid()):
        try:
            is_cell = "bwrap" in Path(f"/proc/{pid}/comm").read_text()
        except OSError:
            is_cell = False
        found += [pid] * is_cell
    return found


def test_children_in_the_queue_begin_in_a_warm_cell(stage: Scene, taken: list[bool]) -> None:
    answer = stage.run(
        group(*(subplan(f"c{n}", write(f"f{n}", "x"), PAUSE) for n in range(4))),
        automation_profile=one_at_a_time(stage),
    )
    assert answer.exit_code == 0, answer.messages
    assert taken == [True] * 3
    assert stage.made(data(answer)["plan_id"]) == {f"f{n}": b"x" for n in range(4)}
    assert stage.left() == plans_of(answer)
    assert not cells()


def test_members_of_a_group_start_in_the_order_of_the_file(stage: Scene) -> None:
    names = [f"c{n}" for n in range(8)]
    profile = stage.root / "three.yaml"
    profile.write_text("name: three\nsubplans: {max_parallel: 3}\n")
    answer = stage.run(
        group(*(subplan(name, write(name, "x")) for name in names)),
        automation_profile=str(profile),
    )
    assert answer.exit_code == 0, answer.messages
    spawned = [entry.body["name"] for entry in stage.entries(kind="spawn")]
    # The first three begin at the same time; what comes after them has waited for a place.
    assert all(spawned.index(name) < n + 3 for n, name in enumerate(names))


def test_a_script_that_reads_has_its_next_child_made_ready(stage: Scene, taken: list[bool]) -> None:
    stage.file("a.txt", "x")
    answer = stage.run(
        *(subplan(f"c{n}", LOOK, PAUSE, delegate=READ) for n in range(3)),
        subplan("last", write("b", "x")),
    )
    assert answer.exit_code == 0, answer.messages
    assert taken == [True] * 3
    assert stage.left() == plans_of(answer)


def test_the_inputs_of_a_child_that_was_made_ready_are_those_of_its_spawn(
    stage: Scene, taken: list[bool]
) -> None:
    stage.file("a.txt", "text")
    first = subplan(
        "c0", LOOK, delegate=READ, outputs={"text": {"type": "string"}},
        result={"text": "${{ steps.look.text }}"},
    )  # fmt: skip
    second = subplan(
        "c1", write("b", "${{ inputs.text }}"), inputs={"text": "${{ steps.c0.outputs.text }}"}
    )
    answer = stage.run(first, second)
    assert answer.exit_code == 0, answer.messages
    assert taken == [True]
    assert stage.made(data(answer)["plan_id"])["b"] == b"text"


def test_after_a_child_that_may_write_nothing_is_made_ready(
    stage: Scene, taken: list[bool]
) -> None:
    answer = stage.run(subplan("c0", write("a", "1")), subplan("c1", write("b", "2"), LOOK_A))
    assert answer.exit_code == 0, answer.messages
    assert taken == []


LOOK_A = {"id": "look", "tool": "read_file", "args": {"path": "a"}}


def test_a_child_that_never_comes_leaves_nothing(stage: Scene, taken: list[bool]) -> None:
    stage.file("a.txt", "x")
    fails = {"id": "fails", "tool": "read_file", "args": {"path": "absent"}}
    answer = stage.run(
        subplan("c0", LOOK, PAUSE, fails, delegate=READ), subplan("never", LOOK, delegate=READ)
    )
    assert answer.exit_code == 1
    assert [one["name"] for one in data(answer)["subplans"]] == ["c0"]
    assert taken == []
    assert stage.left() == plans_of(answer)
    assert not cells()


def test_a_member_in_the_queue_of_a_group_that_failed_leaves_nothing(stage: Scene) -> None:
    fails = {"id": "fails", "tool": "read_file", "args": {"path": "absent"}}
    answer = stage.run(
        group(*(subplan(f"c{n}", PAUSE, fails) for n in range(4)), fail_fast=True),
        automation_profile=one_at_a_time(stage),
    )
    assert answer.exit_code == 1
    assert len(data(answer)["subplans"]) == 1
    assert stage.left() == plans_of(answer)
    assert not cells()


def test_what_cannot_be_made_ready_is_refused_by_its_spawn(stage: Scene) -> None:
    stage.file("a.txt", "x")
    wide = subplan("wide", LOOK, delegate={"tools": ["fetch_url"], "hosts": ["a.example"]})
    answer = stage.run(
        group(
            subplan("c0", LOOK, PAUSE),
            {**wide, "on_denied": "continue"},
            subplan("c2", LOOK, on_denied="continue"),
        ),
        plan={"safety_profile": "no-network"},
        automation_profile=one_at_a_time(stage),
    )
    assert answer.exit_code == 0, answer.messages
    assert [one["name"] for one in data(answer)["subplans"]] == ["c0", "c2"]
    assert stage.left() == plans_of(answer)


def test_a_nest_over_another_tree_is_not_taken(
    stage: Scene, taken: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cleveragents.plans.nest import Ground, Nest

    fits = Nest.fits

    def moved_on(nest: Nest, ground: Ground) -> bool:
        return fits(nest, Ground(ground.slot, "0" * 40))

    monkeypatch.setattr(Nest, "fits", moved_on)
    stage.file("a.txt", "x")
    answer = stage.run(
        group(*(subplan(f"c{n}", LOOK, PAUSE) for n in range(3))),
        automation_profile=one_at_a_time(stage),
    )
    assert answer.exit_code == 0, answer.messages
    assert taken == []
    assert child_of(answer, "c2")["outcome"] == "merged"
    assert stage.left() == plans_of(answer)


def test_a_child_that_calls_nothing_ends_its_warm_cell_before_it_is_collected(
    stage: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    living: list[list[int]] = []
    collect = Workspaces.collect

    def noted(self: Workspaces, slot: Any, **more: Any) -> Any:
        if slot.plan_id not in parents:
            living.append([pid for pid in cells() if slot.plan_id in words(pid)])
        return collect(self, slot, **more)

    parents: set[str] = set()
    monkeypatch.setattr(Workspaces, "collect", noted)
    idle = {"name": "idle", "delegate": {"tools": ["write_file"], "write": ["."]}, "steps": []}
    answer = stage.run(
        group(
            subplan("c0", write("a", "x"), PAUSE),
            subplan("c1", delegate={"tools": ["spawn_subplan"], "depth": 1}, steps=[
                {"id": "deep", "subplan": {**idle, "steps": [write("b", "x")]}, "on_denied": "continue"}
            ]),
        ),
        automation_profile=one_at_a_time(stage),
    )  # fmt: skip
    assert answer.exit_code == 0, answer.messages
    assert living
    assert not any(living)


def words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_a_host_that_is_killed_leaves_no_nest_behind_its_resume(stage: Scene) -> None:
    steps = [group(*(subplan(f"c{n}", write(f"f{n}", "x"), PAUSE) for n in range(4)))]
    (stage.root / "plan.yaml").write_text(json.dumps({"name": "parent", "steps": steps}))
    profile = one_at_a_time(stage)
    options = ("--automation-profile", profile, "--format", "json")
    stage.killed("warm.1", "plan", "run", "plan.yaml", "--workspace", "ws", *options)
    root = stage.entries(kind="plan_started")[0].plan_id
    recorded = {entry.plan_id for entry in stage.entries(kind="plan_started")}
    assert set(stage.left()) > recorded
    answer = stage.resume(root)
    assert answer.exit_code == 0, answer.messages
    assert stage.left() == plans_of(answer)
    assert stage.made(root) == {f"f{n}": b"x" for n in range(4)}


def test_a_cancel_of_a_killed_plan_removes_its_nests(stage: Scene) -> None:
    steps = [group(*(subplan(f"c{n}", write(f"f{n}", "x"), PAUSE) for n in range(4)))]
    (stage.root / "plan.yaml").write_text(json.dumps({"name": "parent", "steps": steps}))
    profile = one_at_a_time(stage)
    options = ("--automation-profile", profile, "--format", "json")
    stage.killed("warm.1", "plan", "run", "plan.yaml", "--workspace", "ws", *options)
    root = stage.entries(kind="plan_started")[0].plan_id
    recorded = {entry.plan_id for entry in stage.entries(kind="plan_started")}
    assert stage.command("plan", "cancel", root).returncode == 0
    assert set(stage.left()) == recorded


def test_workspaces_of_other_plans_are_no_orphans(stage: Scene) -> None:
    answer = stage.run(subplan("c0", write("a", "1")))
    root, child = plans_of(answer)
    half = stage.root / "cell/slot/.new-4194305-half"
    half.mkdir()
    living = stage.root / f"cell/slot/.new-{os.getpid()}-living"
    living.mkdir()
    house = open_house(stage.environ)
    try:
        workspaces = house.workspaces
        assert workspaces.all() == (root, child)
        workspaces.remove_orphans({root, child})
        workspaces.remove_orphans({"another"})
        assert stage.left() == [living.name, root, child]
        workspaces.remove_orphans({root})
        assert stage.left() == [living.name, root]
        (stage.root / "cell/slot/other").mkdir()
        (stage.root / "cell/slot/other/slot.json").write_text("{")
        with pytest.raises(RecordError, match="damaged"):
            workspaces.remove_orphans({root})
    finally:
        house.close()


def test_a_cell_that_cannot_be_started_in_advance_leaves_the_child_to_itself(
    stage: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: PlanCell) -> None:
        raise IsolationUnavailableError(problem="no process is left", fix="end some")

    monkeypatch.setattr(PlanCell, "warm", fails)
    answer = stage.run(
        group(*(subplan(f"c{n}", write(f"f{n}", "x"), PAUSE) for n in range(3))),
        automation_profile=one_at_a_time(stage),
    )
    assert answer.exit_code == 0, answer.messages
    assert stage.left() == plans_of(answer)


def test_a_program_in_the_queue_is_not_started_in_advance(stage: Scene, taken: list[bool]) -> None:
    program = stage.program("makes", 'open("made.txt", "w").write("x")')
    answer = stage.run(
        group(subplan("c0", PAUSE), subplan("c1", actor=program)),
        automation_profile=one_at_a_time(stage),
    )
    assert answer.exit_code == 0, answer.messages
    assert taken == []
    assert stage.left() == plans_of(answer)
