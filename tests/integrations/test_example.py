"""The example runs, and shows what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .scene import Scene

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "governed_agent.py"


def test_the_example_keeps_the_notes(scene: Scene) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        cwd=scene.workspace,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Milk, bread." in done.stdout
    assert "tool_access_denied: delete_notes denied" in done.stdout
    assert "notes are there: True" in done.stdout
    status = scene.status()
    assert status["name"] == "tidy"
    assert [violation["tool"] for violation in status["violations"]] == ["delete_notes"]
