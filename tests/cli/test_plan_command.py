"""``agents plan`` from the words to the answer, with real plans that only touch files.

They run without the wall, so that they run everywhere; the wall has its own tests.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.cli.terminal import Terminal
from cleveragents.terms.interaction import ApprovalQuestion

from .command_line import Said, make_invocation, say

if TYPE_CHECKING:
    from pathlib import Path

PLAN = """
name: notes
inputs: {greeting: hello}
steps:
  - {id: readme, tool: read_file, args: {path: README.md}}
  - {id: note, tool: write_file, args: {path: NOTES.md, content: "${{ inputs.greeting }}"}}
"""
ASKING = "name: asking\napprovals: [write_file]\n"


@pytest.fixture
def place(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a plan, a workspace, and the home that the environment names."""
    monkeypatch.setenv("CLEVERAGENTS_HOME", str(home))
    monkeypatch.setenv("CLEVERAGENTS_CELL_ROOT", str(tmp_path / "cells"))
    (tmp_path / "plan.yaml").write_text(PLAN)
    (tmp_path / "asking.yaml").write_text(ASKING)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "README.md").write_text("read me\n")
    return tmp_path


def do(place: Path, *argv: str, **how: Any) -> Said:
    return say(make_invocation(*argv, environ={"CLEVERAGENTS_HOME": str(place / "home")}, **how))


def run(place: Path, *argv: str, **how: Any) -> Said:
    words = ("plan", "run", str(place / "plan.yaml"), "--workspace", str(place / "work"))
    return do(place, *words, "--isolation", "off-unsafe", *argv, **how)


def newest(place: Path) -> str:
    plans = do(place, "plan", "list", "--format", "json").envelope["data"]["plans"]
    return str(plans[0]["plan_id"])


def test_a_plan_runs_is_seen_and_is_applied(place: Path) -> None:
    said = run(place, "--input", "greeting=good day")
    assert said.exit_code == 0
    assert "off-unsafe" in said.out
    assert said.err == ""
    assert not (place / "work" / "NOTES.md").exists()
    plan = newest(place)
    assert "+good day" in do(place, "plan", "diff", plan).out
    assert do(place, "plan", "apply", plan, "--yes").exit_code == 0
    assert (place / "work" / "NOTES.md").read_text() == "good day"
    assert "applied" in do(place, "plan", "status", plan).out
    assert "notes" in do(place, "plan", "list").out


def test_a_refusal_is_exit_3_and_explained(place: Path) -> None:
    said = run(place, "--safety-profile", "read-only", "--format", "json")
    assert said.exit_code == 3
    data = said.envelope["data"]
    assert [violation["tool"] for violation in data["violations"]] == ["write_file"]
    assert not (place / "work" / "NOTES.md").exists()
    plan = newest(place)
    out = do(place, "plan", "explain", plan).out
    assert "note  write_file  denied" in out
    assert "read-only" in out
    assert "readme  read_file" not in do(place, "plan", "explain", plan, "note").out
    assert "denied by effects of read-only" in do(place, "plan", "tree", plan).out
    assert "no conflicts" in do(place, "plan", "conflicts", plan).out


def test_where_nobody_is_asked_the_call_waits(place: Path) -> None:
    said = run(place, "--automation-profile", str(place / "asking.yaml"))
    assert said.exit_code == 7
    plan = newest(place)
    assert f"agents plan approve {plan} note" in said.out
    assert do(place, "plan", "approve", plan[:20], "note", "--reason", "fine").exit_code == 0
    assert do(place, "plan", "resume", plan).exit_code == 0
    assert "+hello" in do(place, "plan", "diff", plan).out


def test_a_denial_ends_the_plan(place: Path) -> None:
    run(place, "--automation-profile", str(place / "asking.yaml"))
    plan = newest(place)
    assert do(place, "plan", "approve", plan, "note", "--deny").exit_code == 0
    assert do(place, "plan", "resume", plan).exit_code == 3


@pytest.mark.parametrize(("typed", "code", "applied"), [("y\ny\n", 0, True), ("n\n", 3, False)])
def test_a_person_at_the_terminal_is_asked(
    place: Path, typed: str, code: int, applied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What was typed ahead cannot be thrown away where no terminal is.
    monkeypatch.setattr("cleveragents.cli.terminal.forget_typed", lambda _: None)
    said = run(place, "--automation-profile", str(place / "asking.yaml"), typed=typed)
    assert said.exit_code == code
    assert "write_file waits for you" in said.err
    assert "hello" in said.err
    assert (place / "work" / "NOTES.md").exists() is applied


def test_a_plan_is_cancelled(place: Path) -> None:
    run(place, "--automation-profile", str(place / "asking.yaml"))
    plan = newest(place)
    assert do(place, "plan", "cancel", plan).exit_code == 0
    assert "cancelled" in do(place, "plan", "status", plan).out


@pytest.mark.parametrize(
    "argv",
    [
        ["plan", "diff", "01J9"],
        ["plan", "tree", "0000000000000000000000000A"],
        ["plan", "resolve", "0000000000000000000000000A", "a", "--take", "ours"],
        ["plan", "run", "nowhere.yaml"],
        ["plan", "run", "--goal", "x"],
    ],
)
def test_what_is_not_there_is_exit_2(place: Path, argv: list[str]) -> None:
    run(place)
    said = do(place, *argv)
    assert said.exit_code == 2
    assert said.err.startswith("agents: ")
    assert said.err.count("\n") == 1


def test_the_interaction_is_the_terminals(place: Path) -> None:
    invocation = make_invocation(typed="")
    terminal = Terminal(invocation, forget_typed=lambda _: None)
    assert terminal.approve_call(ApprovalQuestion("p", "c", "t", {}, "r")) is None
    assert isinstance(invocation.stderr, io.StringIO)
