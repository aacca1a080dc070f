"""The guest, in this process over a socket pair: coverage does not reach into a cell."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.boundary.frame import FrameReader, pack
from cleveragents.boundary.message import (
    Abandon,
    Commit,
    Configure,
    Failure,
    FromGuest,
    FromHost,
    Hello,
    Invoke,
    OwnTool,
    Prepared,
    Reply,
    decode_from_guest,
    encode,
)
from cleveragents.errors import ToolFailedError
from cleveragents.guest import entry, own_call, sweep, tool_main
from cleveragents.guest.tool_wire import WireError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

OWN = """
from cleveragents.tools.own_tool import tool

@tool(effects={"read"})
def double(number: int) -> int:
    return 2 * number

@tool
def fail() -> None:
    raise RuntimeError("broken")

@tool
def huge() -> str:
    return "x" * 2_000_000

@tool
def vanish() -> None:
    import os
    os._exit(1)
"""
ALL_TOOLS = ("read_file", "write_file", "search_files", "run_command", "list_directory")


class Room:
    """A guest in this process, and the host's end of its channel."""

    def __init__(self, workspace: Path) -> None:
        self.here, self.there = socket.socketpair()
        self.here.settimeout(20)
        self.reader = FrameReader(self.here.recv, quota=1 << 30)
        self.ended = 0
        self.root = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY)
        self.guest = tool_main.Guest(
            channel=self.there.fileno(), root=self.root, end_processes=self.end_processes
        )

    def end_processes(self) -> None:
        self.ended += 1

    def send(self, *messages: FromHost) -> None:
        self.here.sendall(b"".join(pack(encode(message)) for message in messages))

    def receive(self) -> FromGuest:
        payload = self.reader.next()
        assert payload is not None
        return decode_from_guest(payload)

    def ask(self, *messages: FromHost) -> list[FromGuest]:
        self.send(*messages)
        self.here.shutdown(socket.SHUT_WR)
        self.guest.serve()
        return [self.receive() for _ in messages[1:]]

    def close(self) -> None:
        for one in (self.here, self.there):
            one.close()
        os.close(self.root)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    (tmp_path / "a").write_text("text\n")
    made = Room(tmp_path)
    yield made
    made.close()


def configure(path: Path | None = None, *names: str) -> Configure:
    own: tuple[OwnTool, ...] = ()
    if path is not None:
        digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        own = tuple(OwnTool(name=name, path=str(path), digest=digest) for name in names)
    return Configure(tools=ALL_TOOLS, own=own)


def invoke(seq: int, tool: str, phase: str = "run", **arguments: object) -> Invoke:
    return Invoke(seq=seq, tool=tool, arguments=arguments, phase=phase)  # type: ignore[arg-type]  # a literal


def test_a_host_that_goes_at_once(room: Room) -> None:
    room.here.close()
    room.guest.serve()


def test_requests_are_answered_in_their_order(room: Room) -> None:
    answers = room.ask(
        configure(),
        invoke(1, "read_file", path="a"),
        invoke(2, "write_file", "prepare", path="b", content="x"),
        Commit(seq=3),
        Commit(seq=4),
        invoke(5, "write_file", "prepare", path="c", content="x"),
        Abandon(seq=6),
        invoke(7, "search_files", pattern="text"),
        invoke(8, "run_command", command="echo hello"),
        invoke(9, "digest_files", paths=["a"]),
    )
    assert [type(one) for one in answers] == [
        *(Reply, Prepared, Reply, Failure, Prepared, Reply, Reply, Reply, Reply)
    ]
    assert [one.seq for one in answers if not isinstance(one, Hello)] == list(range(1, 10))
    assert isinstance(answers[7], Reply)
    assert answers[7].value["stdout"] == "hello\n"
    # Only what may start a process is followed by a sweep.
    assert room.ended == 1


@pytest.mark.parametrize(
    ("message", "code", "problem"),
    [
        (invoke(1, "read_file", path="absent"), "failed", "does not exist"),
        (invoke(1, "delete_file", "prepare", path="a"), "broken", "does not run"),
        (invoke(1, "read_file", "prepare", path="a"), "broken", "two steps"),
        (invoke(1, "write_file", path="a"), "broken", "no body"),
        (invoke(1, "read_file"), "failed", "path"),
        (Commit(seq=1), "broken", "nothing is prepared"),
    ],
)
def test_a_call_that_fails(room: Room, message: FromHost, code: str, problem: str) -> None:
    (answer,) = room.ask(configure(), message)
    assert isinstance(answer, Failure)
    assert answer.code == code
    assert problem in answer.message


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "system", "No space left on device"),
        (OSError("odd"), "system", "odd"),
        (MemoryError(), "memory", "more memory"),
        (RecursionError(), "memory", "too deeply"),
        (KeyError("x"), "broken", "KeyError: 'x'"),
    ],
)
def test_any_failure_of_a_body_is_an_answer(
    room: Room, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str, said: str
) -> None:
    def body(_root: int, _arguments: object) -> dict[str, object]:
        raise error

    monkeypatch.setattr(tool_main, "_body", lambda _: body)
    (answer,) = room.ask(configure(), invoke(1, "read_file", path="a"))
    assert isinstance(answer, Failure)
    assert answer.code == code
    assert said in answer.message


@pytest.mark.parametrize(
    "messages",
    [
        (Commit(seq=1),),
        (configure(), Commit(seq=2)),
        (configure(), Commit(seq=1), Commit(seq=1)),
        (configure(), configure()),
    ],
    ids=["no configuration", "skipped", "repeated", "twice configured"],
)
def test_what_is_out_of_order_ends_the_guest(room: Room, messages: Sequence[FromHost]) -> None:
    room.send(*messages)
    with pytest.raises(WireError):
        room.guest.serve()


def test_own_tools_are_loaded_once_and_run_in_a_child(room: Room, tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    answers = room.ask(
        configure(path, "double", "fail", "huge", "vanish", "absent"),
        invoke(1, "double", number=21),
        invoke(2, "double", number=4),
        invoke(3, "fail"),
        invoke(4, "huge"),
        invoke(5, "vanish"),
        invoke(6, "absent"),
        invoke(7, "double", word=1),
    )
    assert answers[0] == Reply(seq=1, value={"value": 42})
    assert answers[1] == Reply(seq=2, value={"value": 8})
    said = [one.message for one in answers[2:] if isinstance(one, Failure)]
    assert said[0] == "RuntimeError: broken"
    assert "its result is a message of" in said[1]
    assert said[2] == "its process ended without a result"
    assert said[3] == "its file does not define it"
    assert "unexpected keyword" in said[4]
    assert room.ended == 7


def test_an_own_file_that_is_another_or_broken(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text("raise ValueError('at load')\n")
    digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ToolFailedError, match="cannot be loaded: ValueError: at load"):
        own_call.load("x", str(path), digest=digest)
    with pytest.raises(ToolFailedError, match="has changed"):
        own_call.load("x", str(path), digest="sha256:0")


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (lambda: 1, {"value": 1}),
        (lambda: "x" * 2_000_000, {"error": "its result is a message of 2000013 bytes"}),
        (object, {"error": "TypeError: Object of type object is not JSON"}),
    ],
)
def test_the_childs_part_writes_one_answer(
    function: Callable[[], object], answer: dict[str, Any]
) -> None:
    reading, writing = os.pipe()
    assert own_call._run(function, {}, writing) == 0
    os.close(writing)
    payload = FrameReader(lambda size: os.read(reading, size), quota=1 << 20).next()
    os.close(reading)
    assert payload is not None
    found = json.loads(payload)
    assert set(found) == set(answer)
    assert all(str(found[name]).startswith(str(answer[name])) for name in answer)


def test_the_childs_part_ends_badly_when_nobody_listens() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    assert own_call._run(lambda: 1, {}, writing) == 1
    os.close(writing)


def test_bodies_are_loaded_while_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    for name in ("_file_bodies", "_search_bodies", "_command_bodies"):
        monkeypatch.setattr(tool_main, name, lambda name=name: loaded.append(name))
    here, there = socket.socketpair()
    with here, there:
        tool_main.preload(there.fileno())
        assert loaded == ["_file_bodies", "_search_bodies", "_command_bodies"]
        here.sendall(b"x")
        tool_main.preload(there.fileno())
        assert len(loaded) == 3


@pytest.fixture
def quiet_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep this process its own reaper's child and in its own directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "become_reaper", lambda: None)
    return tmp_path


def test_serving_ends_with_the_channel(quiet_process: Path) -> None:
    here, there = socket.socketpair()
    ended: list[bool] = []
    with here, there:
        here.close()
        tool_main.serve(there.fileno(), str(quiet_process), lambda: ended.append(True))
    assert ended == [True]


def test_serving_ends_with_a_code_when_the_wire_breaks(
    quiet_process: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = socket.socketpair()
    ended: list[bool] = []
    with here, there:
        here.sendall(b"\0\0\0\x01x")
        with pytest.raises(SystemExit, match="70"):
            tool_main.serve(there.fileno(), str(quiet_process), lambda: ended.append(True))
    assert ended == [True]
    assert "the channel is at its end: not JSON" in capsys.readouterr().err


def test_the_unconfined_entry_says_hello_without_checks(
    quiet_process: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = socket.socketpair()
    monkeypatch.setattr(sweep, "end_descendants", lambda: None)
    monkeypatch.setattr(sys, "argv", ["-c", str(there.fileno()), str(quiet_process)])
    with here, there:
        here.shutdown(socket.SHUT_WR)
        entry.main_unconfined()
        payload = FrameReader(here.recv, quota=1 << 20).next()
    assert payload is not None
    assert decode_from_guest(payload) == Hello(protocol=1, checks={}, landlock=0)


def test_the_packages_front_in_a_cell() -> None:
    from cleveragents import errors
    from cleveragents.guest import front
    from cleveragents.terms.tool import ToolSpec
    from cleveragents.tools.own_tool import tool

    assert front.__getattr__("tool") is tool
    assert front.__getattr__("ToolSpec") is ToolSpec
    assert front.__getattr__("ToolFailedError") is errors.ToolFailedError
    for name in ("run_plan", "NoSuchError"):
        with pytest.raises(AttributeError):
            front.__getattr__(name)
