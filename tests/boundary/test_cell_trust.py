"""The first words, a guest that lies, a machine that lacks something."""

from __future__ import annotations

import errno
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.boundary import (
    greeting,
    seccomp,
    self_check,
    started_cell,
    trial,
    unconfined,
)
from cleveragents.boundary.cell import Cell
from cleveragents.boundary.cell_spec import CellSpec, WorkspaceMount
from cleveragents.boundary.channel import Channel
from cleveragents.boundary.frame import pack
from cleveragents.boundary.launcher import BubblewrapLauncher
from cleveragents.boundary.message import (
    PROTOCOL,
    Configure,
    Failure,
    FromGuest,
    Hello,
    Prepared,
    Reply,
    encode,
)
from cleveragents.boundary.spawner import NotDeadError, Process, Program, Spawner
from cleveragents.boundary.unconfined import UnconfinedLauncher
from cleveragents.errors import IsolationUnavailableError, RecordError, ToolFailedError

if TYPE_CHECKING:
    from pathlib import Path


def started(line: list[str], **more: Any) -> Process:
    return Spawner().start(Program(line=line, descriptors=(), **more))


def spec_of(tmp_path: Path, **more: Any) -> CellSpec:
    return CellSpec(workspace=WorkspaceMount("copy", tree=tmp_path), **more)


CLEAN = dict.fromkeys(self_check.NAMES, "")


@pytest.mark.parametrize(
    ("first", "problem"),
    [
        (Reply(seq=1, value={}), "not the hello"),
        (Hello(protocol=PROTOCOL + 1, checks=CLEAN, landlock=7), "not the hello"),
        (Hello(protocol=PROTOCOL, checks={}, landlock=7), "does not report every check"),
        (Hello(protocol=PROTOCOL, checks=CLEAN | {"more": ""}, landlock=7), "every check"),
        (Hello(protocol=PROTOCOL, checks=CLEAN | {"dev": "/dev is writable"}, landlock=7), "dev: "),
    ],
)
def test_a_hello_that_is_not_whole_and_clean_is_not_believed(
    tmp_path: Path, first: FromGuest, problem: str
) -> None:
    here, there = socket.socketpair()
    channel = Channel(here)
    with there:
        there.sendall(pack(encode(first)))
        with pytest.raises(greeting.WallError, match=problem):
            greeting.greet(channel, spec_of(tmp_path), own_tools=())
        channel.close()
        assert there.recv(1) == b""


def test_a_clean_hello_is_answered_with_the_configuration(tmp_path: Path) -> None:
    here, there = socket.socketpair()
    channel = Channel(here)
    with there:
        there.sendall(pack(encode(Hello(protocol=PROTOCOL, checks=CLEAN, landlock=7))))
        assert greeting.greet(channel, spec_of(tmp_path, tools=("x",)), own_tools=()) == 7
        assert there.recv(1000) == pack(encode(Configure(tools=("x",), own=())))
    channel.close()


class Liar:
    """A process that is always there, with a guest's channel in our hands."""

    def __init__(self, tmp_path: Path) -> None:
        here, self.there = socket.socketpair()
        self.process = started(["sleep", "600"])
        self.cell = Cell(self.process, Channel(here), spec_of(tmp_path))

    def say(self, *messages: FromGuest) -> None:
        self.there.sendall(b"".join(pack(encode(message)) for message in messages))


@pytest.fixture
def liar(tmp_path: Path) -> Any:
    made = Liar(tmp_path)
    yield made
    made.there.close()
    made.cell.close()


@pytest.mark.parametrize(
    "lie",
    [
        Reply(seq=2, value={}),
        Reply(seq=0, value={}),
        Failure(seq=2, code="", message=""),
        Prepared(seq=1, before={}, after={}),
        Hello(protocol=1, checks={}, landlock=0),
    ],
)
def test_another_answer_than_was_asked_for_ends_the_cell(liar: Liar, lie: FromGuest) -> None:
    liar.say(lie)
    with pytest.raises(ToolFailedError, match="something else than was asked"):
        liar.cell.call("read_file", {})
    assert not liar.cell.alive


def test_a_reply_in_the_place_of_a_preparation_ends_the_cell(liar: Liar) -> None:
    liar.say(Reply(seq=1, value={}))
    with pytest.raises(ToolFailedError, match="something else than was asked"):
        liar.cell.prepare("write_file", {})
    assert not liar.cell.alive


def test_a_second_answer_ends_the_cell(liar: Liar) -> None:
    liar.say(Reply(seq=1, value={}), Reply(seq=2, value={}))
    with pytest.raises(ToolFailedError, match="more than one answer"):
        liar.cell.call("read_file", {})


def test_a_cell_that_does_not_die_is_a_record_error(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    def undead() -> None:
        raise NotDeadError

    monkeypatch.setattr(liar.process, "wait_dead", undead)
    with pytest.raises(RecordError, match="does not end"):
        liar.cell.close()
    monkeypatch.undo()


def test_which_tools_are_prepared(liar: Liar) -> None:
    assert liar.cell.is_prepared("write_file")
    assert not liar.cell.is_prepared("read_file")
    assert liar.cell.pid == liar.process.pid


def test_no_filter_for_the_machine_is_no_isolation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(seccomp, "filter_bytes", lambda _: None)
    made = BubblewrapLauncher(tmp_path / "cell")
    report = made.isolation
    assert not report.verified
    assert "no system call filter" in report.problems[0]
    assert report.fixes == ("run on x86_64 or aarch64",)
    assert made.isolation is report
    with pytest.raises(IsolationUnavailableError, match="no system call filter"):
        made.start(spec_of(tmp_path))
    made.close()


def test_a_cell_root_that_cannot_be_made_is_no_isolation(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    report = BubblewrapLauncher(tmp_path / "file" / "cell").isolation
    assert "cannot be made" in report.problems[0]


def test_a_cell_root_that_others_can_write_is_no_isolation(tmp_path: Path) -> None:
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell").chmod(0o1777)
    report = BubblewrapLauncher(tmp_path / "cell").isolation
    assert "others can write" in report.problems[0]


FACTS = trial.Facts(bubblewrap="0.11.0", has_overlay=True, user=None, is_root=False, namespace=True)


class FakeCell:
    """A cell on which every tool works."""

    landlock = 0

    def prepare(self, *_: object) -> None:
        """Do nothing."""

    def commit(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def test_an_overlay_that_cannot_be_mounted_leaves_private_copies(tmp_path: Path) -> None:
    def start(spec: CellSpec) -> Any:
        if spec.workspace.kind == "overlay":
            raise IsolationUnavailableError(problem="no overlay", fix="none")
        return FakeCell()

    report = trial.try_out(start, tmp_path, facts=FACTS)
    assert report.verified
    assert not report.overlay
    layers = {layer.name: layer for layer in report.layers}
    assert "no overlay" in layers["overlay"].detail
    assert not layers["landlock"].is_present
    assert "kernel" in layers["landlock"].fix
    assert layers["passage"].is_present
    assert list(tmp_path.iterdir()) == []


def test_a_bubblewrap_without_overlay_leaves_private_copies(tmp_path: Path) -> None:
    facts = replace(FACTS, has_overlay=False, bubblewrap="0.8.0", namespace=False)
    report = trial.try_out(lambda _: FakeCell(), tmp_path, facts=facts)  # type: ignore[arg-type,return-value]  # a double
    assert report.verified
    assert not report.overlay
    assert "passage" not in {layer.name for layer in report.layers}


@pytest.mark.parametrize(
    "error",
    [
        IsolationUnavailableError(problem="nothing", fix="that"),
        ToolFailedError(tool_name="write_file", reason="disk full"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_a_trial_that_fails_is_reported(tmp_path: Path, error: Exception) -> None:
    def start(_: CellSpec) -> Any:
        raise error

    report = trial.try_out(start, tmp_path, facts=replace(FACTS, has_overlay=False))
    assert not report.verified
    assert report.problems
    assert report.fixes


def test_a_guest_that_does_not_start_without_a_wall(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(unconfined, "_start_code", lambda: "raise SystemExit('broken')")
    with pytest.raises(IsolationUnavailableError, match="the guest did not start: broken"):
        UnconfinedLauncher().start(spec_of(tmp_path))


def test_a_guest_of_another_version_without_a_wall(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(unconfined, "PROTOCOL", 99)
    with pytest.raises(IsolationUnavailableError, match="another version"):
        UnconfinedLauncher().start(spec_of(tmp_path))


def test_a_start_that_neither_begins_nor_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    liar = Liar(tmp_path)

    def undead() -> None:
        raise NotDeadError

    monkeypatch.setattr(liar.process, "wait_dead", undead)
    begun = started_cell.Started(
        process=liar.process, channel=Channel(liar.there), spec=liar.cell.spec, program=None
    )
    with pytest.raises(IsolationUnavailableError, match="does not end either"):
        begun.discard()
    monkeypatch.undo()
    liar.cell.close()
