"""A host that dies at any moment: no decision is made twice, and none is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.decisions.test_command import READ, REFUSED
from tests.subplans.scene import data, scene, subplan, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.subplans.scene import Scene

WORDS = ("plan", "run", "plan.yaml", "--workspace", "ws", "--format", "json")
PROGRAM = """\
    first = client.decide("which way?", "left")
    client.ask("write_file", path="p", content="p")
    second = client.decide("and then?", "straight on", parent=first)
    client.conclude(first, "went well")
    client.submit({"ids": [first, second]})
"""
Told = list[tuple[str, Any, Any, Any, Any]]


def lay_out(stage: Scene) -> None:
    stage.file("readme", "hello\n")
    steps = [
        READ,
        {**REFUSED, "on_denied": "continue"},
        subplan("docs", write("docs/a", "x")),
        subplan(
            "shaky", {"tool": "read_file", "args": {"path": "lost"}}, retries=1,
            on_error="continue",
        ),
        subplan("program", actor=stage.program("program", PROGRAM), outputs={"ids": {}}),
        write("ids", "<${{ steps.program.outputs.ids }}>"),
    ]  # fmt: skip
    (stage.root / "plan.yaml").write_text(json.dumps({"name": "parent", "steps": steps}))


def told(stage: Scene) -> tuple[Told, int, bytes]:
    """Every decision of the family, and how many entries there are of them."""
    found: Told = []
    root = stage.entries(kind="plan_started")[0].plan_id

    def walk(node: Any) -> None:
        def inner(decisions: Any) -> None:
            for one in decisions:
                found.append(
                    (
                        node["name"],
                        one["decision_id"],
                        one["question"],
                        one["choice"],
                        one["outcome"],
                    )
                )
                inner(one["decisions"])

        inner(node["decisions"])
        for child in node["subplans"]:
            walk(child)

    walk(stage.status(root))
    return sorted(found), len(stage.entries(kind="choice")), stage.made(root)["ids"]


@pytest.fixture(scope="module")
def undisturbed() -> Iterator[tuple[Told, int, bytes]]:
    with scene() as made, pytest.MonkeyPatch.context() as patch:
        for name, value in made.environ.items():
            patch.setenv(name, value)
        lay_out(made)
        done = made.command(*WORDS)
        assert done.returncode == 0, done.stdout + done.stderr
        yield told(made)


POINTS = (
    "choice.1", "choice.2", "choice.3", "spawn.1", "choice_outcome.1", "choice.6", "choice_outcome.2",
    "choice.8", "choice.10", "choice.11", "choice.12", "choice_outcome.4", "plan_ended.4", "merge.4",
)  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_killed_and_resumed_decides_the_same(
    stage: Scene, undisturbed: tuple[Told, int, bytes], point: str
) -> None:
    lay_out(stage)
    stage.killed(point, *WORDS)
    resumed = stage.resume(stage.entries(kind="plan_started")[0].plan_id)
    assert resumed.exit_code == 0, resumed.messages
    assert told(stage) == undisturbed
    assert stage.command("audit", "verify").returncode == 0


def test_what_a_program_decides_otherwise_the_second_time_is_another_decision(stage: Scene) -> None:
    body = """\
        first = client.decide("which way?", "left")
        moment = client.decide("when?", str(time.monotonic_ns()), parent=first)
        client.submit({"ids": [first, moment]})
    """
    child = subplan("child", actor=stage.program("child", body), outputs={"ids": {}})
    (stage.root / "plan.yaml").write_text(json.dumps({"name": "parent", "steps": [child]}))
    # The choices of the parent, of its spawn and of the child come first.
    stage.killed("choice.5", *WORDS)
    again = stage.resume(stage.entries(kind="plan_started")[0].plan_id)
    (only,) = stage.status(data(again)["plan_id"])["subplans"]
    (way,) = only["decisions"][0]["decisions"]
    assert (way["decision_id"], way["choice"]) == ("d2", "left")
    # It began again: what it said in the same words is there once, what it said otherwise twice.
    assert [one["decision_id"] for one in way["decisions"]] == ["d3", "d4"]
    assert len({one["choice"] for one in way["decisions"]}) == 2
    assert stage.proposal(only["plan_id"])["outputs"] == {"ids": ["d2", "d4"]}
