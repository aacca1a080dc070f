"""Limits, Landlock and the checks, in this process: coverage does not reach into a cell."""

from __future__ import annotations

import os
import resource
import socket
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from cleveragents.boundary import landlock, self_check
from cleveragents.boundary.frame import FrameReader
from cleveragents.boundary.message import (
    Hello,
    decode_from_guest,
)
from cleveragents.guest import confine, entry, sweep, tool_main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_limits_are_set_for_good_and_never_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[int, tuple[int, int]] = {}
    hard = {resource.RLIMIT_AS: resource.RLIM_INFINITY}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (0, hard.get(kind, 100)))
    monkeypatch.setattr(resource, "setrlimit", given.__setitem__)
    confine.limit((5, 6, 7, 200, 9))
    assert given == {
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_AS: (5, 5),
        resource.RLIMIT_FSIZE: (6, 6),
        resource.RLIMIT_CPU: (7, 7),
        resource.RLIMIT_NOFILE: (100, 100),
        resource.RLIMIT_NPROC: (9, 9),
    }


def test_the_confined_entry_reports_what_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    canary.write_text("x")
    here, there = socket.socketpair()
    served: list[object] = []
    limited: list[object] = []
    monkeypatch.setattr(tool_main, "serve", lambda *what: served.append(what))
    monkeypatch.setattr(confine, "limit", limited.append)
    arguments = [str(there.fileno()), "1,2,3,4,5", str(canary), "nobody-listens", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["-c", *arguments])
    # Landlock binds the thread that asks for it, and only what that one starts.
    thread = threading.Thread(target=entry.main)
    with here, there:
        thread.start()
        thread.join()
        payload = FrameReader(here.recv, quota=1 << 20).next()
    assert payload is not None
    hello = decode_from_guest(payload)
    assert isinstance(hello, Hello)
    assert set(hello.checks) == set(self_check.NAMES)
    assert hello.landlock == landlock.abi()
    assert hello.checks["canary_file"] == "a file of the host can be read"
    assert hello.checks["processes"].endswith("can be seen")
    assert limited == [(1, 2, 3, 4, 5)]
    assert served == [(int(arguments[0]), "/workspace", sweep.end_namespace)]


def test_the_command_line_of_a_start() -> None:
    start = confine.Start(["5,7", "1,2,3,4,5", "/c", "s", "/w", "/x", "--", "sh", "-c", "--"])
    assert start.channels == (5, 7)
    assert start.channel == 5
    assert start.limits == (1, 2, 3, 4, 5)
    assert start.writable == ("/w", "/x")
    assert start.command == ("sh", "-c", "--")
    assert confine.Start(["5", "1", "/c", "s"]).command == ()


def in_thread(work: Callable[[], object]) -> list[object]:
    """Run something that binds its thread for ever, and give its result or its error."""
    found: list[object] = []

    def run() -> None:
        try:
            found.append(work())
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found


def test_landlock_leaves_the_granted_paths_and_nothing_else(tmp_path: Path) -> None:
    granted, other = tmp_path / "granted", tmp_path / "other"
    granted.mkdir()
    other.mkdir()
    (other / "file").write_text("")
    if tmp_path.is_relative_to("/tmp"):
        return  # Beneath a path that every cell may write to there is nothing to see.

    def work() -> object:
        version = landlock.apply([str(granted), str(other / "file"), str(tmp_path / "absent")])
        (granted / "new").write_text("x")
        (other / "file").write_text("x")
        try:
            (other / "new").write_text("x")
        except PermissionError:
            return version
        return "written"

    assert in_thread(work) == [landlock.abi()]


@pytest.mark.parametrize("version", [0, 1, 2, 3, 4, 5, 6])
def test_landlock_by_the_kernels_version(
    monkeypatch: pytest.MonkeyPatch, version: int, tmp_path: Path
) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: version)
    assert in_thread(lambda: landlock.apply([str(tmp_path)])) == [version]


def test_landlock_that_the_kernel_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "handled_rights", lambda _: 1 << 60)
    (error,) = in_thread(lambda: landlock.apply([]))
    assert isinstance(error, OSError)
    assert "landlock" in str(error)


def test_the_checks_hold_nothing_here(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("x")
    with socket.socket(socket.AF_UNIX) as listening:
        name = f"canary-test-{os.getpid()}"
        listening.bind("\0" + name)
        listening.listen(1)
        # In a thread: a process of one thread would move into a user namespace of its own.
        (found,) = in_thread(
            lambda: self_check.run(channels=(), canary_file=str(canary), canary_socket=name)
        )
    assert isinstance(found, dict)
    assert set(found) == set(self_check.NAMES)
    assert found["seccomp"] == "Seccomp is 0, not 2"
    assert found["canary_socket"] == "a socket of the host can be reached"
    assert found["proc_sys"] in {"", "/proc/sys is writable"}
    assert found["environment"].startswith("the environment holds ")
    assert found["descriptors"].endswith("was inherited")


def test_a_check_that_holds_is_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "environ", {"PATH": "", "LANG": ""})
    assert self_check._environment() == ""
    assert self_check._canary_file(str(tmp_path / "absent")) == ""
    assert self_check._canary_socket("nobody-listens-here") == ""
    assert self_check._capabilities(dict.fromkeys(("CapInh", "CapPrm", "CapEff"), "0")) != ""
    none = dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0000")
    assert self_check._capabilities(none) == ""


class NoSystem:
    """A kernel that refuses the calls of the checks."""

    def socket(self, *_: int) -> int:
        return -1

    def unshare(self, _: int) -> int:
        return 0


def test_checks_by_what_the_kernel_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "_libc", NoSystem())
    assert self_check._canary_socket("x") == ""
    assert self_check._user_namespace() == "a user namespace can be made"
