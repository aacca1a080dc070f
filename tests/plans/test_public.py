"""The public Python surface does what the command does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cleveragents
from tests.plans.scene import tool

if TYPE_CHECKING:
    from tests.plans.scene import Scene

PLAN = {"name": "note", "steps": [tool("write_file", "note", path="note.txt", content="x")]}


def test_run_plan_runs_a_mapping_or_a_file_as_the_command_does(scene: Scene) -> None:
    with scene.surroundings():
        report = cleveragents.run_plan(PLAN, workspace=scene.work)
        assert (report.exit_code, report.outcome) == (0, None)
        assert not (scene.work / "note.txt").exists()
        refused = cleveragents.run_plan(
            Path(scene.plan(PLAN)), workspace=scene.work, safety_profile="read-only", apply=True
        )
        assert (refused.exit_code, refused.outcome) == (3, "constrained")
        applied = cleveragents.run_plan(PLAN, workspace=str(scene.work), apply=True)
        assert applied.outcome == "applied"
        assert scene.text("note.txt") == "x"
        with pytest.raises(cleveragents.UnknownSafetyProfileError):
            cleveragents.run_plan(PLAN, workspace=scene.work, safety_profile="read-onyl")
        with pytest.raises(cleveragents.ConfigurationError):
            cleveragents.run_plan({**PLAN, "stepz": []}, workspace=scene.work)
    status = scene.status(applied.plan_id)
    assert {**status, "timing": None} == {**applied.status, "timing": None}
    scene.verify()


def test_decide_says_what_a_plan_would_be_told(scene: Scene) -> None:
    spec = cleveragents.tool_spec("write_file")
    arguments = {"path": "src/a", "content": "x"}
    profile = cleveragents.SafetyProfile("docs", write=("docs/",))
    denied = cleveragents.decide(spec, arguments, profile=profile)
    assert denied.refusals[0].profile == "docs"  # type: ignore[union-attr]  # it was denied
    allowed = cleveragents.decide(spec, {**arguments, "path": "docs/a"}, profile=profile)
    assert not hasattr(allowed, "refusals")
    step = tool("write_file", **arguments)
    done = scene.run(
        [step], "--automation-profile", scene.profile("docs", write=["docs/"]), expect=3
    )
    assert done.data["violations"][0]["reason"] == denied.reason  # type: ignore[union-attr]  # it was denied
    root = cleveragents.Grant.root(tools={"read_file"})
    outside = cleveragents.decide(
        spec, arguments, profile=cleveragents.SafetyProfile("all"), grant=root
    )
    assert outside.refusals[0].kind == "security_boundary"  # type: ignore[union-attr]  # it was denied


def test_every_public_name_is_there_and_loads_nothing_dear() -> None:
    for name in cleveragents.__all__:
        assert getattr(cleveragents, name) is not None
    assert set(cleveragents.__all__) <= set(dir(cleveragents))
    with pytest.raises(AttributeError):
        cleveragents.nothing_of_this_name  # noqa: B018
    code = "import cleveragents, sys; print(sorted(m for m in sys.modules if 'cleverag' in m))"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "assembly" not in shown.stdout
