"""The list of attacks, run inside a real cell: as root, and again as an ordinary user.

A missing isolation fails these tests; nothing here is skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.boundary.unconfined import UnconfinedLauncher
from cleveragents.errors import ToolFailedError
from tests.boundary.cell_attack import ATTACKS
from tests.boundary.cell_scene import House, as_ordinary_user, bystanders, the_house

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cleveragents.boundary.cell import Cell

__all__ = ["the_house"]

USER = 65519
"""Nobody's, and not one that root's cells would take."""
MODULES = ("test_cell_attack.py", "test_cell_mount.py", "test_cell_life.py", "test_cell_program.py")
CONTROLS = (
    "a03_environment_of_anybody",
    "a03b_the_hosts_process",
    "a05_root_of_another_process",
    "a06_signal_to_the_host",
    "a07_files_of_the_home",
    "a07b_the_home_itself",
    "a08_another_workspace",
    "a10_symbolic_link",
    "a11_hard_link",
    "a12_chmod",
    "a12b_utime",
    "a14_abstract_socket",
    "a15_path_socket",
    "a16_loopback",
    "a17_udp",
    "a22_the_root",
    "a24_user_namespace",
    "a31_shared_memory",
    "a33_memory",
    "a34_a_large_file",
)
"""Attempts that get through without the wall, by root and by an ordinary user alike."""


@pytest.fixture(scope="module")
def scene(the_house: House) -> Iterator[dict[str, Any]]:
    secret = "secret-" + os.urandom(8).hex()
    os.environ["CELL_TEST_SECRET"] = secret
    try:
        with bystanders(the_house) as found:
            yield found
    finally:
        del os.environ["CELL_TEST_SECRET"]


@pytest.fixture(scope="module", params=["overlay", "copy"])
def cell(the_house: House, scene: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[Cell]:
    cell = the_house.launcher.start(the_house.spec(request.param))
    yield cell
    cell.close()


@pytest.mark.parametrize("name", ATTACKS)
def test_blocks(cell: Cell, scene: dict[str, Any], name: str) -> None:
    assert cell.call("attack", {"name": name, "scene": scene}, timeout_s=30) == {"value": ""}


def test_still_allows_what_honest_programs_need(cell: Cell) -> None:
    assert cell.call("still_allowed", {}, timeout_s=30)["value"] == {
        "own server": "hello",
        "fifo": "made",
        "temporary file": "written",
        "semaphore": "taken",
        "thread": "ran",
        "/dev/null": "written",
        "pipeline": "42",
        "name": "127.0.0.1",
    }


@pytest.mark.parametrize("name", CONTROLS)
def test_control_the_same_attempt_gets_through_without_the_wall(
    the_house: House, scene: dict[str, Any], name: str
) -> None:
    cell = UnconfinedLauncher().start(the_house.spec("copy"))
    try:
        assert cell.call("attack", {"name": name, "scene": scene}, timeout_s=30)["value"]
    finally:
        cell.close()


def test_blocks_links_and_dots_through_the_tools(cell: Cell, scene: dict[str, Any]) -> None:
    for path in ("../../etc/passwd", scene["secret_file"], "/etc/passwd"):
        with pytest.raises(ToolFailedError):
            cell.call("read_file", {"path": path})
    command = f"ln -s {scene['secret_file']} stolen; ln -s / root; cat stolen"
    assert cell.call("run_command", {"command": command})["exit_code"] != 0
    for path in ("stolen", "root/etc/passwd"):
        with pytest.raises(ToolFailedError):
            cell.call("read_file", {"path": path})


def test_blocks_under_read_only_a_body_that_lies(the_house: House) -> None:
    cell = the_house.launcher.start(the_house.spec("read_only"))
    try:
        found = cell.call(
            "write_anyway", {"paths": ["/workspace/mine.txt", "/workspace/new", "/tmp/allowed"]}
        )["value"]
        cell.prepare("write_file", {"path": "new", "content": "x"})
        with pytest.raises(ToolFailedError, match="may not be changed"):
            cell.commit()
        assert cell.call("read_file", {"path": "mine.txt"})["text"] == "mine\n"
    finally:
        cell.close()
    assert found == {
        "/workspace/mine.txt": "Read-only file system",
        "/workspace/new": "Read-only file system",
        "/tmp/allowed": "",
    }


def test_the_environment_is_built_from_nothing(cell: Cell) -> None:
    said = str(cell.call("run_command", {"command": ["env"]})["stdout"])
    names = {line.partition("=")[0] for line in said.splitlines()}
    assert names <= {"PATH", "HOME", "LANG", "PWD", "TMPDIR"}


def test_everything_again_as_an_ordinary_user() -> None:
    if os.geteuid() != 0:
        return  # This run is that half.
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
        os.chown(home, USER, USER)
        done = subprocess.run(
            as_ordinary_user(
                USER,
                [
                    *("env", "-i", f"HOME={home}", "PATH=/usr/bin:/bin", "TMPDIR=/var/tmp"),
                    *("PYTHONDONTWRITEBYTECODE=1", f"PYTHONPATH={here.parent.parent}"),
                    *(sys.executable, "-m", "pytest", "-p", "no:randomly", "--tb=short"),
                    *(str(here / name) for name in MODULES),
                ],
            ),
            cwd=here.parent.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
