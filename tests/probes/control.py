"""The same attempts without the wall: a plain process of the same user.

An attempt that gets nothing here either proves nothing in there; the table
says so.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from tests.probes.world import CHECKOUT

if TYPE_CHECKING:
    from tests.probes.world import World

_PRIVATE: Final = 'set -e; mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; shift; exec "$@"'
"""What root does to mounts stays in a namespace of its own."""
_TIMEOUT_S: Final = 240


def attempts_outside(world: World, *names: str) -> dict[str, dict[str, str]]:
    """Make the attempts that a program makes by itself, and give how each ended."""
    place = world.place / "outside"
    scratch = place / "new"
    work = world.directory("outside/work")
    (work / "new").mkdir()
    scratch.mkdir()
    frozen = place / "frozen"
    frozen.mkdir()
    scene = {
        **world.scene,
        "directory": str(work),
        "scratch_directory": str(scratch),
        "read_only": str(frozen),
        "runtime": [str(world.place / "runtime.py")],
        "targets": [world.scene["key_file"]],
        "linkable": [str(world.place / "runtime.py")],
    }
    (place / "scene.json").write_text(json.dumps(scene))
    report = place / "report.json"
    line = [
        sys.executable,
        "-m",
        "tests.probes.hostile",
        "inside",
        str(place / "scene.json"),
        str(report),
        *names,
    ]
    if os.geteuid() == 0:
        line = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            _PRIVATE,
            "sh",
            str(frozen),
            *line,
        ]
    here, there = socket.socketpair()
    directory = os.open(world.home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        subprocess.run(
            line,
            cwd=work,
            env={
                **world.environment,
                "PYTHONPATH": str(CHECKOUT),
                "CLEVERAGENTS_CHANNEL": str(there.fileno()),
            },
            pass_fds=(there.fileno(), here.fileno(), directory),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=_TIMEOUT_S,
        )
    finally:
        os.close(directory)
        here.close()
        there.close()
    found: dict[str, dict[str, str]] = json.loads(report.read_text())
    shutil.rmtree(place)
    return found
