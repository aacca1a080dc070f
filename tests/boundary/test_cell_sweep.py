"""Ending what was left running, and the bridge beside a program, in this process."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading

import pytest

from cleveragents.boundary import process_tree
from cleveragents.boundary.message import (
    Reply,
)
from cleveragents.guest import program_bridge, sweep
from tests.boundary.test_cell_guest import Room, configure, invoke, room

__all__ = ["room"]


def test_a_sweep_of_everybody_is_refused_outside_a_cell() -> None:
    with pytest.raises(RuntimeError, match="not a cell's"):
        sweep.end_namespace()


def test_a_sweep_signals_until_nobody_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    signalled: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        signalled.append((pid, number))
        if len(signalled) > 1:
            raise ProcessLookupError

    monkeypatch.setattr(sweep, "_is_alone_in_namespace", lambda: True)
    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(sweep, "_reap", lambda _: None)
    sweep.end_namespace()
    assert signalled == [(-1, signal.SIGKILL), (-1, signal.SIGKILL)]


SWEEP = """
import os, subprocess, sys, time
from cleveragents.guest import sweep
from cleveragents.boundary.process_tree import descendants
sweep.become_reaper()
kept = subprocess.Popen(["sleep", "600"])
before = set(descendants(os.getpid()))
subprocess.run(["sh", "-c", "(setsid sleep 600 &) ; setsid sh -c 'sleep 600; true' & true"])
sweep.end_new(before, keep=kept.pid)
print(len(descendants(os.getpid())), kept.poll())
subprocess.run(["sh", "-c", "(setsid sleep 600 &) ; true"])
sweep.end_descendants()
print(len(descendants(os.getpid())))
"""


def test_a_sweep_of_descendants_leaves_none() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SWEEP], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "1 None\n0\n"


def test_a_sweep_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen(["sleep", "600"])
    kept = subprocess.Popen(["sleep", "600"])
    mine = process_tree.descendants
    others = set(mine(os.getpid())) - {child.pid, kept.pid}
    monkeypatch.setattr(sweep, "descendants", lambda pid: sorted(set(mine(pid)) - others))
    sweep.end_new({kept.pid}, keep=kept.pid)
    assert child.poll() is not None
    assert kept.poll() is None
    monkeypatch.setattr(sweep, "_reap", lambda _: kept.poll())
    sweep.end_descendants()
    assert kept.poll() is not None


def test_reaping_without_children_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []

    def waitpid(_pid: int, options: int) -> tuple[int, int]:
        waited.append(options)
        if len(waited) == 1:
            return 7, 0
        raise ChildProcessError

    monkeypatch.setattr(os, "waitpid", waitpid)
    sweep._reap(os.WNOHANG)
    assert waited == [os.WNOHANG, os.WNOHANG]


def test_a_process_that_is_gone_has_no_parent() -> None:
    assert process_tree.parent_of(2**22 + 1) == 0
    assert process_tree.parent_of(os.getpid()) == os.getppid()
    assert sweep._is_alone_in_namespace() is False


def test_the_bridge_serves_until_the_program_ends(room: Room) -> None:
    program = os.fork()
    if program == 0:
        signal.pause()
        os._exit(0)
    noted: list[bool] = []
    codes: list[int] = []
    serving = threading.Thread(
        target=lambda: codes.append(
            program_bridge.serve_beside(
                program, room.there.fileno(), room.guest, before_call=lambda: noted.append(True)
            )
        )
    )
    serving.start()
    room.send(configure(), invoke(1, "read_file", path="a"))
    assert isinstance(room.receive(), Reply)
    os.kill(program, signal.SIGKILL)
    serving.join()
    assert codes == [137]
    assert noted == [True, True]


def test_the_bridge_ends_when_the_host_is_gone(room: Room) -> None:
    program = subprocess.Popen(["sleep", "600"])
    room.here.close()
    try:
        assert (
            program_bridge.serve_beside(
                program.pid, room.there.fileno(), room.guest, before_call=lambda: None
            )
            == 127
        )
    finally:
        program.kill()
        program.wait()


def test_the_bridge_notes_what_runs_already() -> None:
    child = subprocess.Popen(["sleep", "600"])
    before = {1}
    try:
        program_bridge._note(before)
    finally:
        child.kill()
        child.wait()
    assert child.pid in before
    assert 1 not in before


class BecameError(Exception):
    """Stands for the process that exec would replace."""


def test_the_program_inherits_its_channel_and_the_clients_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    became: list[tuple[str, tuple[str, ...], dict[str, str]]] = []

    def execute(file: str, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        became.append((file, arguments, environment))
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    def end(code: int) -> None:
        raise BecameError(code)

    reading, writing = os.pipe()
    monkeypatch.setattr(os, "setsid", lambda: None)
    monkeypatch.setattr(os, "execvpe", execute)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(os, "write", lambda *_: 0)
    with pytest.raises(BecameError, match="127"):
        program_bridge.become(("worker", "x"), channel=writing)
    assert os.get_inheritable(writing)
    os.close(reading)
    os.close(writing)
    assert became[0][:2] == ("worker", ("worker", "x"))
    assert became[0][2]["PYTHONPATH"] == "/guest"
