"""A cell's life: calls one at a time, an end that is complete, and nothing left behind."""

# What is looked for are processes and descriptors, by name.
# ruff: noqa: PTH110, PTH208

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.boundary.cell_spec import PREPARED_TOOLS, CellLimits, CellSpec, OwnToolFile
from cleveragents.boundary.process_tree import descendants
from cleveragents.boundary.unconfined import UnconfinedLauncher
from cleveragents.boundary.workspace_watch import WorkspaceWatch, measure
from cleveragents.errors import (
    ConfigurationError,
    IsolationUnavailableError,
    ToolFailedError,
)
from tests.boundary.cell_scene import SMALL, House, house, the_house

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cleveragents.boundary.cell import Cell
    from cleveragents.boundary.warm_cell import WarmCell

__all__ = ["the_house"]


@pytest.fixture(params=["bwrap", "off-unsafe"])
def cell(the_house: House, request: pytest.FixtureRequest) -> Iterator[Cell]:
    made = start(the_house, request.param)
    yield made
    made.close()


def start(the_house: House, tier: str, **more: Any) -> Cell:
    spec = the_house.spec("copy", **more)
    if tier == "bwrap":
        return the_house.launcher.start(spec)
    return UnconfinedLauncher().start(spec)


def until(condition: Callable[[], bool], *, within_s: float = 15) -> bool:
    """Wait for something that another process does."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.01)
    return True


def running(token: str) -> list[int]:
    """List the processes of the whole machine whose command line holds a token."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                if token.encode() in Path(f"/proc/{entry}/cmdline").read_bytes():
                    found.append(int(entry))
    return found


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_calls_answer_in_their_order(cell: Cell) -> None:
    for _ in range(3):
        assert cell.call("read_file", {"path": "mine.txt"})["text"] == "mine\n"
    assert cell.alive


def test_a_change_is_prepared_and_then_committed(cell: Cell) -> None:
    effect = cell.prepare("write_file", {"path": "new", "content": "x"})
    assert effect.before == {"new": None}
    with pytest.raises(ToolFailedError):
        cell.call("read_file", {"path": "new"})
    assert cell.commit()["digest"] == effect.after["new"]
    assert cell.call("read_file", {"path": "new"})["text"] == "x"


def test_a_change_that_is_abandoned_does_not_happen(cell: Cell) -> None:
    cell.prepare("write_file", {"path": "new", "content": "x"})
    cell.abandon()
    with pytest.raises(ToolFailedError, match="nothing is prepared"):
        cell.commit()
    with pytest.raises(ToolFailedError):
        cell.call("read_file", {"path": "new"})


def test_a_failing_body_leaves_the_cell_alive(cell: Cell) -> None:
    for tool, arguments, problem in (
        ("read_file", {"path": "absent"}, "does not exist"),
        ("raise_something", {"text": "a\nb"}, "RuntimeError: a b"),
        ("end_process", {}, "ended without a result"),
        ("large", {"size": 2_000_000}, "its result is a message of"),
        ("large", {"length": 1}, "TypeError"),
    ):
        with pytest.raises(ToolFailedError, match=problem):
            cell.call(tool, arguments)
    assert cell.call("large", {"size": 900_000})["value"] == "x" * 900_000
    assert cell.alive


def test_arguments_that_cannot_be_sent_leave_the_cell_alive(cell: Cell) -> None:
    for value in ("x" * 1_100_000, object()):
        with pytest.raises(ToolFailedError, match="its arguments cannot be sent"):
            cell.call("raise_something", {"text": value})
    assert cell.call("large", {"size": 1})["value"] == "x"


@pytest.mark.parametrize("tool", ["spawn_subplan", "fetch_url", "nothing"])
def test_a_tool_that_the_spec_does_not_name_is_not_run(cell: Cell, tool: str) -> None:
    with pytest.raises(ToolFailedError, match="does not run"):
        cell.call(tool, {})


def test_a_tool_outside_the_list_is_not_run(the_house: House) -> None:
    cell = the_house.launcher.start(replace(the_house.spec("copy"), tools=("read_file",)))
    try:
        with pytest.raises(ToolFailedError, match="does not run 'write_file'"):
            cell.prepare("write_file", {"path": "new", "content": ""})
        assert cell.call("digest_files", {"paths": ["mine.txt"]})
    finally:
        cell.close()


def test_a_call_past_its_deadline_ends_the_cell(cell: Cell) -> None:
    with pytest.raises(ToolFailedError, match=r"no answer within 0.3 s"):
        cell.call("spin", {}, timeout_s=0.3)
    assert not cell.alive
    with pytest.raises(ToolFailedError, match="no answer within"):
        cell.call("read_file", {"path": "mine.txt"})


def test_a_cell_can_be_ended_by_another_thread_in_the_middle_of_a_call(cell: Cell) -> None:
    timer = threading.Timer(0.3, cell.kill, ["somebody cancelled it"])
    timer.start()
    with pytest.raises(ToolFailedError, match="somebody cancelled it"):
        cell.call("spin", {}, timeout_s=30)
    timer.join()
    assert not cell.alive


def test_closing_waits_for_the_end_and_may_be_repeated(cell: Cell) -> None:
    cell.close()
    cell.close()
    assert not cell.alive
    with pytest.raises(ToolFailedError):
        cell.call("read_file", {"path": "mine.txt"})


def test_what_a_call_leaves_running_is_ended_before_its_answer(cell: Cell) -> None:
    before = cell.call("processes", {})["value"] if cell.landlock else []
    token = f"4711{os.getpid()}"
    command = f"(setsid sleep {token} &) ; setsid nohup sleep {token} >/dev/null 2>&1 & echo $!"
    assert cell.call("run_command", {"command": command})["exit_code"] == 0
    assert running(f"sleep\0{token}") == []
    cell.call("leave_running", {"count": 3})
    if cell.landlock:
        assert cell.call("processes", {})["value"] == before
        assert len(str(before).split(",")) == 2


def test_a_fork_bomb_meets_the_limit_and_leaves_nothing(the_house: House) -> None:
    limits = replace(SMALL, processes=64)
    cell = the_house.launcher.start(the_house.spec("copy", limits=limits))
    try:
        started: Any = cell.call("bomb", {"most": 2000}, timeout_s=60)["value"]
        assert 0 < started <= 64
        assert len(str(cell.call("processes", {})["value"]).split(",")) == 2
    finally:
        cell.close()


def test_signalling_everybody_reaches_nobody_outside(the_house: House) -> None:
    cell = the_house.launcher.start(the_house.spec("copy"))
    with pytest.raises(ToolFailedError, match="the cell has ended"):
        cell.call("kill_everybody", {})
    assert until(lambda: not cell.alive)
    cell.close()


def test_filling_the_workspace_ends_the_cell(the_house: House) -> None:
    for kind in ("overlay", "copy"):
        limits = replace(SMALL, workspace_bytes=24 << 20)
        cell = the_house.launcher.start(the_house.spec(kind, limits=limits))
        with pytest.raises(ToolFailedError, match="grew past 25165824 bytes"):
            cell.call("fill", {"path": "filler", "mebibytes": 4}, timeout_s=60)
        cell.close()


def test_a_private_copy_is_measured_by_what_it_grew(the_house: House) -> None:
    limits = replace(SMALL, workspace_bytes=1 << 20)
    spec = the_house.spec("copy", {"large": "x" * (3 << 20)}, limits=limits)
    cell = the_house.launcher.start(spec)
    watch = WorkspaceWatch(period_s=3600)
    try:
        watch.add(cell)
        watch.look()
        assert cell.call("read_file", {"path": "large", "limit": 1})
        (spec.workspace.layers[0] / "more").write_bytes(b"x" * (2 << 20))
        watch.look()
        assert not cell.alive
        watch.look()
        watch.forget(cell)
        watch.forget(cell)
    finally:
        watch.close()
        cell.close()


def test_what_lies_too_deep_to_be_measured_is_past_the_limit(tmp_path: Path) -> None:
    deep = tmp_path / "/".join(["d"] * 256)
    deep.mkdir(parents=True)
    assert measure(tmp_path, enough=1 << 40) < 1 << 40
    (deep / "d").mkdir()
    assert measure(tmp_path, enough=1 << 40) > 1 << 40


def test_measuring_stops_when_it_is_enough(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / str(number)).write_bytes(b"x" * 4096)
    (tmp_path / "link").symlink_to("/")
    assert 40960 <= measure(tmp_path, enough=1 << 40) < 1 << 20
    assert measure(tmp_path, enough=4096) <= 3 * 4096
    assert measure(tmp_path / "absent", enough=1) == 0
    assert measure(tmp_path / "link", enough=1) == 0


def test_a_flood_of_output_is_read_and_only_its_end_is_kept(the_house: House) -> None:
    limits = replace(SMALL, output_bytes=1000)
    cell = the_house.launcher.start(the_house.spec("copy", limits=limits))
    try:
        scene: dict[str, object] = {}
        cell.call("attack", {"name": "a36_endless_output", "scene": scene}, timeout_s=60)
    finally:
        cell.close()
    assert len(cell.output) == 2000
    assert cell.output.endswith("y")


HOST = """
import sys, threading
from pathlib import Path
from tests.boundary.cell_scene import House, SMALL
from cleveragents.boundary.launcher import BubblewrapLauncher
root, token = Path(sys.argv[1]), sys.argv[2]
launcher = BubblewrapLauncher(root / "cell")
house = House(launcher, root)
cell = launcher.start(house.spec(sys.argv[3]))
command = f"(setsid sleep {token} &) ; setsid sh -c 'sleep {token}; true' & sleep {token}"
threading.Thread(target=lambda: cell.call("run_command", {"command": command}), daemon=True).start()
launcher.warm(house.spec("copy"))
print("ready", flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("kind", ["overlay", "copy"])
def test_nothing_survives_a_sigkill_of_the_host(the_house: House, kind: str) -> None:
    token = f"31337{time.monotonic_ns()}"
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(the_house.root), token, kind],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert host.stdout is not None
    assert host.stdout.readline() == "ready\n"
    assert until(lambda: len(running(f"sleep\0{token}")) >= 3)
    below = descendants(host.pid)
    assert below
    host.kill()
    host.wait()
    host.stdout.close()
    assert until(lambda: not running(token))
    assert until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in below))


def test_the_thread_that_asked_for_a_cell_may_end(the_house: House) -> None:
    made: list[Cell] = []
    warm: list[WarmCell] = []
    spec = the_house.spec("copy")
    for work in (
        lambda: made.append(the_house.launcher.start(the_house.spec("copy"))),
        lambda: warm.append(the_house.launcher.warm(spec)),
    ):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    gc.collect()
    for cell in (*made, warm[0].take(spec.digest())):
        assert cell is not None
        assert cell.call("read_file", {"path": "mine.txt"})["text"] == "mine\n"
        cell.close()


def test_a_warm_cell_serves_the_equal_spec_and_once(the_house: House) -> None:
    spec = the_house.spec("overlay")
    warm = the_house.launcher.warm(spec)
    cell = warm.take(replace(spec).digest())
    assert cell is not None
    try:
        assert cell.call("read_file", {"path": "mine.txt"})["text"] == "mine\n"
        assert warm.take(spec.digest()) is None
        warm.close()
        assert cell.alive
    finally:
        cell.close()


def test_a_warm_cell_for_another_spec_is_ended_and_not_given(the_house: House) -> None:
    spec = the_house.spec("overlay")
    before = bubblewraps()
    warm = the_house.launcher.warm(spec)
    assert bubblewraps() != before
    assert warm.take(replace(spec, write=()).digest()) is None
    assert bubblewraps() == before
    assert warm.take(spec.digest()) is None


def test_a_warm_cell_that_has_died_is_not_given(the_house: House) -> None:
    spec = the_house.spec("copy")
    before = set(bubblewraps())
    warm = the_house.launcher.warm(spec)
    # The outer one: what it made ends with it.
    outside = min(set(bubblewraps()) - before)
    os.kill(outside, signal.SIGKILL)
    os.waitid(os.P_PID, outside, os.WEXITED | os.WNOWAIT)
    assert warm.take(spec.digest()) is None
    assert set(bubblewraps()) == before


def test_a_program_is_not_started_in_advance(the_house: House) -> None:
    with pytest.raises(ConfigurationError, match="when its plan begins"):
        the_house.launcher.warm(replace(the_house.spec("copy"), command=("true",)))


def test_cells_leave_no_process_mount_descriptor_or_directory(the_house: House) -> None:
    spec = the_house.spec("overlay")
    the_house.launcher.start(spec).close()
    mounts, descriptors = Path("/proc/self/mounts").read_text(), open_descriptors()
    before = bubblewraps()
    listing = sorted(path.name for path in the_house.root.iterdir())
    for _ in range(5):
        the_house.launcher.warm(spec).close()
        cell = the_house.launcher.warm(spec).take(spec.digest())
        assert cell is not None
        cell.call("read_file", {"path": "mine.txt"})
        cell.close()
    assert Path("/proc/self/mounts").read_text() == mounts
    assert until(lambda: open_descriptors() <= descriptors)
    assert sorted(path.name for path in the_house.root.iterdir()) == listing
    assert not list((the_house.root / "cell" / "trial").iterdir())
    assert bubblewraps() == before


def bubblewraps() -> list[int]:
    return [pid for pid in descendants(os.getpid()) if _is_bubblewrap(pid)]


def _is_bubblewrap(pid: int) -> bool:
    try:
        return "bwrap" in Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return False


def test_closing_the_launcher_ends_what_nobody_took() -> None:
    with house() as made:
        before = bubblewraps()
        made.launcher.warm(made.spec("copy"))
        below = set(bubblewraps()) - set(before)
        assert below
        made.launcher.close()
        assert until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in below))


def test_a_tool_file_that_has_changed_is_refused(the_house: House, tmp_path: Path) -> None:
    changed = tmp_path / "tools.py"
    changed.write_text("x = 1\n")
    spec = the_house.spec("copy")
    for path, problem in ((changed, "has changed"), (tmp_path / "absent.py", "cannot be read")):
        own = (OwnToolFile("attack", path, "sha256:" + "0" * 64),)
        with pytest.raises(ConfigurationError, match=problem):
            the_house.launcher.start(replace(spec, own_tools=own))


def test_a_start_that_fails_says_why_and_leaves_nothing(the_house: House) -> None:
    before, descriptors = bubblewraps(), open_descriptors()
    spec = the_house.spec("copy")
    gone = replace(spec.workspace, tree=the_house.root / "absent")
    with pytest.raises(IsolationUnavailableError, match=r"absent.*; a directory is missing"):
        the_house.launcher.start(replace(spec, workspace=gone))
    limits = replace(SMALL, open_files=4)
    with pytest.raises(IsolationUnavailableError, match=r"the cell did not start: .*open files"):
        the_house.launcher.start(the_house.spec("copy", limits=limits))
    assert bubblewraps() == before
    assert until(lambda: open_descriptors() <= descriptors)


def test_specs_are_told_apart_by_everything_in_them(the_house: House) -> None:
    spec = the_house.spec("overlay")
    others = [
        replace(spec, read=("docs/",)),
        replace(spec, write=()),
        replace(spec, tools=()),
        replace(spec, own_tools=()),
        replace(spec, included=(("/a", "b"),)),
        replace(spec, limits=CellLimits()),
        replace(spec, command=("true",)),
        replace(spec, workspace=the_house.mount("overlay", {})),
    ]
    digests = {one.digest() for one in [spec, *others]}
    assert len(digests) == len(others) + 1
    assert replace(spec, read=(".",)).digest() == spec.digest()


def test_the_prepared_tools_are_those_of_the_bodies() -> None:
    from cleveragents.tools.body import file

    assert set(file.PREPARED) == PREPARED_TOOLS


def test_without_a_wall_nothing_is_called_verified() -> None:
    launcher = UnconfinedLauncher()
    assert launcher.isolation.tier == "off-unsafe"
    assert not launcher.isolation.verified
    assert launcher.owner is None
    launcher.close()


def test_without_a_wall_an_overlay_and_a_program_are_refused(the_house: House) -> None:
    launcher = UnconfinedLauncher()
    with pytest.raises(IsolationUnavailableError, match="never runs without"):
        launcher.warm(the_house.spec("copy"))
    with pytest.raises(ConfigurationError, match="overlay"):
        launcher.start(the_house.spec("overlay"))
    with pytest.raises(ConfigurationError, match="program"):
        launcher.start(replace(the_house.spec("copy"), command=("true",)))


def test_an_interrupt_of_the_terminal_does_not_reach_the_cell(cell: Cell) -> None:
    assert os.getpgid(cell.pid) != os.getpgid(0)
    assert os.getsid(cell.pid) != os.getsid(0)


def test_a_killed_bubblewrap_is_a_failed_call(the_house: House) -> None:
    cell = the_house.launcher.start(the_house.spec("copy"))
    os.kill(cell.pid, signal.SIGKILL)
    with pytest.raises(ToolFailedError, match="the cell has ended"):
        cell.call("read_file", {"path": "mine.txt"})
    cell.close()


def test_an_empty_spec_is_a_whole_workspace(the_house: House) -> None:
    spec = CellSpec(workspace=the_house.mount("copy", {}))
    assert (spec.read, spec.write) == ((".",), (".",))
