"""A place with MCP servers in it: the hostile one, and the real ones that the set-up installed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plans.scene import Done, Scene

HOSTILE = Path(__file__).with_name("hostile_server.py")
CHECKOUT = Path(__file__).resolve().parents[2]
GIT = Path(sys.executable).with_name("mcp-server-git")


def filesystem_server() -> str:
    """The real server that ``scripts/test`` installs; its absence is a failure, never a skip."""
    place = Path(os.environ.get("MCP_TEST_SERVERS") or CHECKOUT / "build/mcp-servers")
    program = place / "node_modules/.bin/mcp-server-filesystem"
    if not program.exists():
        pytest.fail(f"{program} is not installed: scripts/test installs it")
    return str(program)


def hostile(scene: Scene, *arguments: str, **facts: Any) -> dict[str, Any]:
    """The hostile server, copied to where a cell can be shown it and nothing else."""
    script = scene.place / "server/hostile_server.py"
    if not script.exists():
        scene.write("server/hostile_server.py", HOSTILE.read_bytes())
    return {"command": sys.executable, "args": [str(script), *arguments], **facts}


def config(scene: Scene, **servers: dict[str, Any]) -> str:
    """Write a file of servers; gives its path."""
    return str(scene.write("servers.json", json.dumps({"mcpServers": servers})))


def run(
    scene: Scene, steps: list[dict[str, Any]], *more: str, expect: int | None = 0, **servers: Any
) -> Done:
    """Run a plan of steps with these servers."""
    return scene.run(steps, "--mcp-config", config(scene, **servers), *more, expect=expect)


def failure(scene: Scene, plan_id: str, step: str) -> str:
    """Why a call failed, from the record."""
    return str(scene.outcome(plan_id, step)["error"])


def text(scene: Scene, plan_id: str, step: str) -> str:
    """The text that a call gave."""
    return str(scene.value(plan_id, step)["text"])


def copied(source: Path, target: Path) -> Path:
    """A tree of a server's own, for tests that move it."""
    shutil.copytree(source, target, symlinks=True)
    return target
