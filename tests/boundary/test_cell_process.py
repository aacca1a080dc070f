"""Starting and ending processes, and what they print."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from cleveragents.boundary import (
    spawner,
)
from cleveragents.boundary.canary import Canary
from cleveragents.boundary.drain import Drain
from cleveragents.boundary.spawner import NotDeadError, Process, Program, Spawner, ask


def test_the_spawner_hands_on_results_and_errors() -> None:
    made = Spawner()
    assert made.run(threading.current_thread) is made.run(threading.current_thread)
    with pytest.raises(ZeroDivisionError):
        made.run(lambda: 1 // 0)
    with pytest.raises(OSError, match="absent"):
        made.start(Program(line=["/absent"], descriptors=()))


def test_asking_a_program_that_fails_is_an_empty_answer() -> None:
    assert ask(["echo", "hello"]) == "hello\n"
    assert ask(["/absent"]) == ""


def started(line: list[str], **more: Any) -> Process:
    return Spawner().start(Program(line=line, descriptors=(), **more))


def test_a_process_by_itself() -> None:
    process = started(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert process.wait_exit(10) == 3
    process.kill()
    process.wait_dead()
    assert (process.out.text(), process.err.text()) == ("out\n", "err\n")
    assert not process.is_alive


def test_a_process_that_does_not_end_in_time() -> None:
    process = started(["sleep", "600"])
    assert process.wait_exit(0.01) is None
    process.kill()
    process.wait_dead()


def test_what_does_not_die_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    process = started(["sleep", "600"])
    monkeypatch.setattr(process._popen, "wait", _never)
    monkeypatch.setattr(process._popen, "kill", lambda: None)
    with pytest.raises(NotDeadError):
        process.wait_dead()
    reading, writing = os.pipe()
    process._first = reading
    monkeypatch.setattr(spawner, "_DEATH_S", 0.01)
    with pytest.raises(NotDeadError):
        process.wait_dead()
    process._first = -1
    os.close(reading)
    os.close(writing)
    monkeypatch.undo()
    process.kill()
    process.wait_dead()


def _never(timeout: float | None = None) -> int:
    raise subprocess.TimeoutExpired("sleep", timeout or 0)


@pytest.mark.parametrize(
    "said", [b"", b"no number", b'{"child-pid": 1}', b'{"child-pid": 4194305}']
)
def test_a_number_that_is_not_bubblewraps_child_is_not_believed(said: bytes) -> None:
    reading, writing = os.pipe()
    os.write(writing, said)
    os.close(writing)
    process = started(["sleep", "600"], status=reading)
    process.kill()
    assert process._first == -1
    process.wait_dead()


def test_a_status_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(spawner, "_STATUS_S", 0.01)
    process = started(["sleep", "600"], status=reading)
    process.kill()
    process.wait_dead()
    os.close(writing)


def test_an_unconfined_tree_is_killed_with_what_is_below_it() -> None:
    process = started(["sh", "-c", "sleep 600 & sleep 600 & echo ready; wait"])
    while "ready" not in process.out.text():
        assert process.is_alive
    process.kill()
    process.wait_dead()
    assert process.out.wait_end(10)


def test_the_drain_keeps_the_end_of_each_stream() -> None:
    drain = Drain()
    tails = []
    for word in (b"a", b"b"):
        reading, writing = os.pipe()
        tails.append(drain.add(reading, keep=10))
        for _ in range(50):
            os.write(writing, word * 5000)
        os.write(writing, b"end \xff")
        os.close(writing)
    assert all(tail.wait_end(10) for tail in tails)
    assert [tail.text() for tail in tails] == ["aaaaaend \ufffd", "bbbbbend \ufffd"]


def test_a_canary_is_up_for_as_long_as_its_launcher(tmp_path: Path) -> None:
    for _ in range(2):
        with Canary(tmp_path) as canary, socket.socket(socket.AF_UNIX) as sock:
            assert Path(canary.names[0]).read_text()
            sock.connect("\0" + canary.names[1])
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(OSError, match="refused"):
        sock.connect("\0" + canary.names[1])
