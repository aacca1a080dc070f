"""The parts of the gateway by themselves: cells that fail, records that break, a missing extra."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from cleveragents.boundary import id_map
from cleveragents.boundary.cell_spec import CellSpec, LiveMount, WorkspaceMount
from cleveragents.boundary.id_map import exchanged, mount_exchanged, open_namespace
from cleveragents.boundary.spawner import SPAWNER
from cleveragents.errors import (
    ApprovalPendingError,
    IsolationUnavailableError,
    RecordError,
    ToolFailedError,
)
from cleveragents.gateway import call_desk
from cleveragents.gateway.call_desk import CallDesk
from cleveragents.gateway.live_hands import LiveHands, Turn
from cleveragents.gateway.live_servers import LiveServers, MountWatch
from cleveragents.terms.call import CallResult, ToolCall
from cleveragents.tools.catalog import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.plans.scene import Scene


class Cell:
    """A cell that answers with what it was asked."""

    def __init__(self) -> None:
        self.alive = True
        self.reasons: list[str] = []
        self.closed = 0
        self.listener: object | None = None
        self.error: Exception | None = None

    def take_listener(self) -> object | None:
        return self.listener

    def call(self, tool: str, arguments: Mapping[str, object], *, timeout_s: float) -> Any:
        return {"digests": {}} if tool == "digest_files" else {"tool": tool, "cell": id(self)}

    def kill(self, reason: str = "") -> None:
        self.alive = False
        self.reasons.append(reason)

    def close(self) -> None:
        self.alive = False
        self.closed += 1
        if self.error is not None:
            raise self.error


class Launcher:
    """Starts such cells, until it is told to fail."""

    def __init__(self) -> None:
        self.cells: list[Cell] = []
        self.specs: list[CellSpec] = []
        self.error: Exception | None = None
        self.meanwhile: Callable[[], None] = lambda: None

    def start(self, spec: CellSpec) -> Cell:
        if self.error is not None:
            raise self.error
        self.meanwhile()
        self.cells.append(Cell())
        self.specs.append(spec)
        if spec.network:
            self.cells[-1].listener = object()
        return self.cells[-1]


class Servers:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., dict[str, object]]:
        return lambda *_, **__: self.said.append(name) or {}  # type: ignore[func-returns-value]  # noted, then nothing


@pytest.fixture
def launcher() -> Launcher:
    return Launcher()


@pytest.fixture
def hands(launcher: Launcher, tmp_path: Path) -> LiveHands:
    (tmp_path / ".env").touch()
    mount = LiveMount(tmp_path, tmp_path, masked=(".env",))
    spec = CellSpec(WorkspaceMount("live", tree=tmp_path), write=(), live=(mount,))
    return LiveHands(launcher=cast("Any", launcher), spec_of=lambda: spec, size=1)


def run(hands: LiveHands, tool: str = "read_file") -> Mapping[str, object]:
    with hands.turn(Turn(), tool):
        return hands.call(tool, {}, timeout_s=1)


def test_one_cell_serves_one_call_after_another(hands: LiveHands, launcher: Launcher) -> None:
    assert run(hands) == run(hands)
    assert len(launcher.cells) == 1
    hands.close()
    assert launcher.cells[0].closed == 1


def test_a_host_that_is_out_of_descriptors_fails_the_call_and_no_other(
    hands: LiveHands, launcher: Launcher
) -> None:
    launcher.error = OSError(errno.EMFILE, "Too many open files")
    with pytest.raises(ToolFailedError, match="no cell can be started: Too many open files"):
        run(hands)
    launcher.error = None
    # The one place that there is was given back.
    next_one = threading.Thread(target=run, args=(hands,), daemon=True)
    next_one.start()
    next_one.join(20)
    assert not next_one.is_alive()


def test_a_cell_that_died_or_whose_mounts_changed_is_not_used_again(
    hands: LiveHands, launcher: Launcher, tmp_path: Path
) -> None:
    run(hands)
    launcher.cells[0].alive = False
    run(hands)
    (tmp_path / "new").touch()
    (tmp_path / "new").replace(tmp_path / ".env")
    run(hands)
    assert [cell.closed for cell in launcher.cells] == [1, 1, 0]


def test_a_cell_that_does_not_start_fails_its_call_and_not_the_next(
    hands: LiveHands, launcher: Launcher
) -> None:
    launcher.error = IsolationUnavailableError(problem="no wall", fix="build it")
    with pytest.raises(ToolFailedError, match="no wall"):
        run(hands)
    launcher.error = RecordError(problem="gone")
    with pytest.raises(RecordError):
        run(hands)
    launcher.error = None
    assert run(hands)["tool"] == "read_file"


def test_a_turn_may_be_cancelled_before_it_has_a_cell(hands: LiveHands, launcher: Launcher) -> None:
    turn = Turn()
    turn.cancel("gone")
    with hands.turn(turn, "read_file"):
        hands.call("read_file", {}, timeout_s=1)
    assert launcher.cells[0].reasons == ["gone"]
    assert launcher.cells[0].closed == 1


def test_what_a_turn_waits_for_is_stopped_while_it_waits_and_not_after() -> None:
    turn, said = Turn(), list[str]()
    with turn.stopping(said.append):
        turn.cancel("gone")
        assert said == ["gone"]
    turn.cancel("again")
    assert said == ["gone"]
    # One that was cancelled before is stopped at once.
    with turn.stopping(said.append):
        assert said == ["gone", "again"]


def test_an_ended_gateway_ends_what_is_being_started_and_starts_nothing_more(
    hands: LiveHands, launcher: Launcher
) -> None:
    told: list[bool] = []
    servers = Servers()
    hands.attend(cast("Any", servers))
    hands.on_end = lambda: told.append(True)
    launcher.meanwhile = hands.end_now
    run(hands)
    assert (told, servers.said) == ([True], ["end_now"])
    assert launcher.cells[0].reasons == ["the gateway was ended"]
    # Those that waited for a place.
    with pytest.raises(ToolFailedError, match="the gateway was ended"):
        run(hands)
    assert len(launcher.cells) == 1
    hands.close()
    assert servers.said == ["end_now", "close"]


def test_there_is_no_workspace_to_keep_or_restore(hands: LiveHands) -> None:
    with hands.turn(Turn(), "read_file"):
        hands.checkpoint("call-1")
        assert hands.restore("call-1") is False
        assert hands.digests(("a",)) == {}


def test_calls_that_change_files_come_one_after_another(hands: LiveHands) -> None:
    inside = threading.Event()

    def second() -> None:
        with hands.turn(Turn(), "edit_file"):
            inside.set()

    with hands.turn(Turn(), "write_file"):
        thread = threading.Thread(target=second)
        thread.start()
        with hands_free(hands):
            assert not inside.wait(0.1)
    assert inside.wait(10)
    thread.join()


def hands_free(hands: LiveHands) -> Any:
    """Another tool is not held up meanwhile."""
    done = threading.Event()

    def look() -> None:
        with hands.turn(Turn(), "read_file"):
            done.set()

    thread = threading.Thread(target=look)
    thread.start()
    assert done.wait(10)
    thread.join()
    return threading.Lock()


def test_servers_are_started_anew_when_a_hidden_file_was_replaced(tmp_path: Path) -> None:
    (tmp_path / ".env").touch()
    servers, watch = Servers(), MountWatch()
    watch.note((LiveMount(tmp_path, tmp_path, masked=(".env",)),))
    live = LiveServers(cast("Any", servers), watch)
    live.call(BUILT_IN["read_file"], {}, timeout_s=1)
    (tmp_path / "new").touch()
    (tmp_path / "new").replace(tmp_path / ".env")
    live.call(BUILT_IN["read_file"], {}, timeout_s=1)
    live.call(BUILT_IN["read_file"], {}, timeout_s=1)
    assert servers.said == ["call", "pause", "call", "call"]


# -- the desk ---------------------------------------------------------------------


class Executor:
    """Answers with the call's id, or with an error that it was told."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.calls: list[ToolCall] = []

    def call(self, call: ToolCall) -> CallResult:
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        return CallResult(call.call_id, call.tool, {"id": call.call_id})


@pytest.fixture
def executor() -> Executor:
    return Executor()


@pytest.fixture
def desk(executor: Executor, hands: LiveHands) -> CallDesk:
    ended: list[bool] = []
    return CallDesk(
        "PLAN", executor, hands, rule_of=lambda _: "", on_fatal=lambda: ended.append(True)
    )


def test_a_record_that_breaks_is_told_and_kept_for_the_plans_end(
    desk: CallDesk, executor: Executor
) -> None:
    executor.error = RecordError(problem="the disk is full")
    told = desk.call("read_file", {}, Turn())
    assert told.problem.startswith("record: the disk is full")
    assert desk.fatal is executor.error


def test_what_is_no_json_reaches_the_door_as_no_object(desk: CallDesk, executor: Executor) -> None:
    for value in (float("nan"), "\ud800", {1, 2}):
        desk.call("read_file", {"path": value}, Turn())
        assert cast("object", executor.calls[-1].arguments) is None
    assert [call.step for call in executor.calls] == ["call-1", "call-2", "call-3"]


def test_calls_that_wait_are_forgotten_in_the_end(
    desk: CallDesk, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_desk, "MAX_WAITING", 2)
    executor.error = ApprovalPendingError(plan_id="PLAN", call_id="x", tool_name="t")
    for name in "abc":
        assert "agents plan approve PLAN call-" in desk.call("t", {"x": name}, Turn()).problem
    assert "call-3" in desk.call("t", {"x": "c"}, Turn()).problem
    assert "call-4" in desk.call("t", {"x": "a"}, Turn()).problem


def test_of_two_that_ask_the_same_one_is_the_call_that_was_approved(
    desk: CallDesk, executor: Executor
) -> None:
    executor.error = ApprovalPendingError(plan_id="PLAN", call_id="x", tool_name="t")
    desk.call("t", {}, Turn())
    executor.error = None
    assert desk.call("t", {}, Turn()).value == {"id": "call-1"}
    assert desk.call("t", {}, Turn()).value == {"id": "call-2"}


# -- what the kernel refuses, and what is not installed -------------------------------


def test_a_namespace_that_cannot_be_made_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    # As where a user may make none: the call fails, and its process ends.
    monkeypatch.setattr(id_map, "_HOLDER", id_map._HOLDER.replace("0x10000000", "-1"))
    with pytest.raises(PermissionError):
        open_namespace(SPAWNER, uids=exchanged(1, 2), gids=exchanged(1, 2))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may map other users")
def test_what_cannot_be_mapped_is_an_error(tmp_path: Path) -> None:
    namespace = open_namespace(SPAWNER, uids=exchanged(1, 2), gids=exchanged(1, 2))
    try:
        with pytest.raises(FileNotFoundError):
            mount_exchanged(tmp_path / "nothing", tmp_path, namespace)
        with pytest.raises(OSError, match=r".*") as found:
            # The kernel's own file system belongs to nobody who could be exchanged.
            mount_exchanged(Path("/proc"), tmp_path, namespace)
        assert found.value.errno in {errno.EINVAL, errno.EPERM}
    finally:
        os.close(namespace)


def test_without_the_extra_it_says_what_to_install(scene: Scene) -> None:
    code = (
        "import sys\nsys.modules.update({'mcp': None, 'mcp_types': None, 'uvicorn': None})\n"
        "from cleveragents.cli.main import main\n"
        "sys.argv = ['agents', 'mcp', 'serve', '--safety-profile', 'read-only']\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=scene.work,
        env=scene.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'cleveragents[mcp]'" in done.stderr
