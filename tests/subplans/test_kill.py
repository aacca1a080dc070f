"""The host killed at any moment: nothing is merged twice, nothing is lost, no right is gained."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.record.plan_row import family
from cleveragents.record.store import Store
from tests.subplans.scene import data, group, scene, subplan, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.subplans.scene import Scene

LINES = "".join(f"line {n}\n" for n in range(1, 11))
PROGRAM = """\
    count = client.ask("run_command", command="wc -l < a.txt")["stdout"].strip()
    client.ask("edit_file", path="a.txt", old="line 9\\n", new="line IX\\n")
    open("made.txt", "w").write(count)
    client.submit({"count": count}, "counted")
"""


def append(path: str, text: str, step: str) -> dict[str, Any]:
    return {
        "id": step, "tool": "run_command",
        "args": {"command": ["sh", "-c", f"printf '{text}' >> {path}"]},
    }  # fmt: skip


def lay_out(stage: Scene) -> None:
    """A parent with work of its own, two children in a row and one more step."""
    stage.file("a.txt", LINES)
    steps = [
        append("own.txt", "before\n", "before"),
        subplan(
            "script",
            {"id": "e", "tool": "edit_file", "args": {"path": "a.txt", "old": "line 1\n", "new": "line I\n"}},
            append("a.txt", "line 11\n", "more"),
        ),
        subplan(
            "program",
            actor=stage.program("counts", PROGRAM),
            outputs={"count": {"type": "string"}},
        ),
        append("own.txt", "after\n", "after"),
        write("count.txt", "${{ steps.program.outputs.count }}"),
    ]  # fmt: skip
    (stage.root / "plan.yaml").write_text(json.dumps({"name": "parent", "steps": steps}))


WORDS = ("plan", "run", "plan.yaml", "--workspace", "ws", "--format", "json")


def result(stage: Scene) -> tuple[dict[str, bytes], dict[str, int]]:
    """The tree of the root plan, and how many entries of each kind its family has."""
    starts = stage.entries(kind="plan_started")
    root = starts[0].plan_id
    kinds: dict[str, int] = {}
    for entry in stage.entries():
        if entry.kind in ("spawn", "plan_started") or (
            entry.kind == "merge" and entry.body.get("done")
        ):
            kinds[entry.kind] = kinds.get(entry.kind, 0) + 1
    return stage.made(root), kinds


def go_on(stage: Scene) -> Mapping[str, Any]:
    starts = stage.entries(kind="plan_started")
    resumed = stage.resume(starts[0].plan_id)
    assert resumed.exit_code == 0, resumed.messages
    return data(resumed)


@pytest.fixture(scope="module")
def undisturbed() -> Iterator[tuple[dict[str, bytes], dict[str, int], int]]:
    with scene() as made:
        lay_out(made)
        done = made.command(*WORDS)
        assert done.returncode == 0, done.stdout + done.stderr
        tree, kinds = result(made)
        yield tree, kinds, len(made.entries())


POINTS = (
    "spawn.1", "outcome.2", "proposal.1", "plan_ended.1", "merge.1", "receive.1", "received.1",
    "merge.2", "outcome.4", "freeze.2", "note.1", "proposal.2", "merge.3", "receive.2", "received.2",
)  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_killed_and_resumed_gives_the_same_tree(
    stage: Scene, undisturbed: tuple[dict[str, bytes], dict[str, int], int], point: str
) -> None:
    tree, kinds, _ = undisturbed
    lay_out(stage)
    stage.killed(point, *WORDS)
    status = go_on(stage)
    assert (status["state"], status["outcome"]) == ("complete", None)
    assert result(stage) == (tree, kinds)


def test_killed_again_and_again(
    stage: Scene, undisturbed: tuple[dict[str, bytes], dict[str, int], int]
) -> None:
    tree, kinds, _ = undisturbed
    lay_out(stage)
    stage.killed("entry.5", *WORDS)
    root = stage.entries(kind="plan_started")[0].plan_id
    for kill in ("entry.3", "entry.6", "merge.1"):
        stage.killed(kill, "plan", "resume", root)
    go_on(stage)
    assert result(stage) == (tree, kinds)
    assert stage.command("audit", "verify").returncode == 0


def test_between_the_merges_of_two_children_of_a_group(stage: Scene) -> None:
    stage.file("a.txt", LINES)

    def edit(old: str, new: str) -> dict[str, Any]:
        return {"id": "e", "tool": "edit_file", "args": {"path": "a.txt", "old": old, "new": new}}

    steps = [
        group(
            subplan("one", edit("line 1\n", "line I\n")),
            subplan("two", edit("line 9\n", "line IX\n")),
        )
    ]
    (stage.root / "plan.yaml").write_text(json.dumps({"name": "parent", "steps": steps}))
    stage.killed("merge.2", *WORDS)
    go_on(stage)
    made, kinds = result(stage)
    assert made["a.txt"].decode() == LINES.replace("line 1\n", "line I\n").replace(
        "line 9\n", "line IX\n"
    )
    assert kinds == {"plan_started": 3, "spawn": 2, "merge": 2}


def test_a_resumed_child_has_the_rights_that_it_had(stage: Scene) -> None:
    steps = [subplan(
        "child",
        {"id": "one", "tool": "write_file", "args": {"path": "docs/a", "content": "x"}},
        {"id": "two", "tool": "write_file", "args": {"path": "src/a", "content": "x"}, "on_denied": "continue"},
        delegate={"tools": ["write_file"], "write": ["docs/"], "read": []},
    )]  # fmt: skip
    (stage.root / "plan.yaml").write_text(json.dumps({"name": "parent", "steps": steps}))
    stage.killed("outcome.1", *WORDS)
    # What the file says by now is nothing to a plan that has started.
    (stage.root / "plan.yaml").write_text(json.dumps({"name": "other", "steps": [write("x", "x")]}))
    status = go_on(stage)
    assert [v["resource_name"] for v in status["violations"]] == ["file:src/a"]
    made, _ = result(stage)
    assert made == {"docs/a": b"x"}


def test_a_program_that_was_cut_off_starts_again_from_its_base_tree(stage: Scene) -> None:
    body = """\
        assert not os.path.exists("first"), "it starts from what an earlier attempt left"
        open("first", "w").write("x")
        inner = client.ask(
            "spawn_subplan", name="inner",
            delegate={"tools": ["write_file"], "write": ["."]},
            steps=[{"tool": "write_file", "args": {"path": "inner.txt", "content": "from inner"}}],
        )
        text = client.ask("read_file", path="inner.txt")["text"]
        client.submit({}, text)
    """
    tools = ["spawn_subplan", "write_file", "read_file"]
    child = subplan(
        "outer", actor=stage.program("outer", body), delegate={"tools": tools, "depth": 1}
    )
    (stage.root / "plan.yaml").write_text(json.dumps({"name": "parent", "steps": [child]}))
    # The inner child is merged by then, and the program is not done.
    stage.killed("outcome.3", *WORDS)
    go_on(stage)
    made, kinds = result(stage)
    assert made["inner.txt"] == b"from inner"
    assert made["first"] == b"x"
    # Merged into each of the two workspaces of the outer one, and that into the root's.
    assert kinds == {"plan_started": 3, "spawn": 2, "merge": 3}
    store = Store.open(f"sqlite:///{stage.home}/cleveragents.db", read_only=True)
    try:
        rows = family(store, stage.entries(kind="plan_started")[0].plan_id)
    finally:
        store.close()
    assert [row.outcome for row in rows if row.parent_plan_id] == ["merged", "merged"]
