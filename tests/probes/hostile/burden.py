"""Programs that use up disk and time, that end everything, or that stay when they should be gone."""

# ruff: noqa: PTH103, PTH123, PTH101, PTH108

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Final

from tests.probes.hostile.kit import declare
from tests.probes.hostile.message import say

if TYPE_CHECKING:
    from collections.abc import Callable

_WATCH: Final = "the host's watch on the workspace"
_TIME: Final = "a deadline for the plan"
_NAMESPACE: Final = "pid namespace, parent-death signal"
_LOOKS_S: Final = 4.0
"""Longer than a few looks of the watch, which looks once a second."""

declare(
    "disk_filled",
    "exhaustion",
    "more in the workspace than a plan may add",
    layer=_WATCH,
    covers=(34,),
)
declare(
    "disk_hidden",
    "exhaustion",
    "more in the workspace than a plan may add, in a directory without permissions",
    layer=_WATCH + ", where it may look (root)",
    covers=(34,),
    gap="the watch of an ordinary user cannot look into a directory that its owner has closed",
)
declare(
    "disk_nameless",
    "exhaustion",
    "more in the workspace than a plan may add, in an open file that has lost its name",
    layer="none: the watch counts names",
    covers=(34,),
    gap="a file without a name is counted by nobody; it is gone with the cell, and each is capped by RLIMIT_FSIZE",
)
declare(
    "endless_computing",
    "exhaustion",
    "compute for ever",
    layer=_TIME + ", RLIMIT_CPU",
    covers=(37,),
)
declare(
    "endless_sleep", "exhaustion", "sleep for ever, every signal ignored", layer=_TIME, covers=(37,)
)
declare(
    "everything_stopped",
    "exhaustion",
    "stop itself and the guest beside it",
    layer=_TIME,
    covers=(37,),
)
declare("everything_killed", "exhaustion", "kill everything that it can reach", layer=_NAMESPACE, covers=(6,), shown_by="nobody", why_not="a control that worked would end every process of its user")  # fmt: skip
declare(
    "outlives_host",
    "survival",
    "live on, double-forked and detached, when the host is killed",
    layer=_NAMESPACE,
    covers=(38, 39),
)
declare(
    "outlives_end",
    "survival",
    "live on, double-forked and detached, when its program has ended",
    layer="process 1 is dead before anything is collected",
    covers=(38,),
)
declare(
    "writes_late",
    "survival",
    "change the workspace after the program's end, while the host collects",
    layer="process 1 is dead before anything is collected",
    covers=(45, 53),
)
declare(
    "speaks_late",
    "survival",
    "hand a result in after the program's end",
    layer="nothing is read after the end",
    covers=(53,),
)
declare(
    "outlives_limit",
    "survival",
    "live on when the plan's time is up",
    layer=_NAMESPACE,
    covers=(38,),
)


def _fill(path: str, mebibytes: int) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    for _ in range(mebibytes):
        os.write(file, b"x" * (1 << 20))
    return file


def _be_seen() -> None:
    """Stay for some looks of the watch; outside nobody looks."""
    if "CLEVERAGENTS_CHANNEL" in os.environ:
        time.sleep(_LOOKS_S)


def fill(mebibytes: int) -> None:
    """Fill a file by its name."""
    _fill("new/fill", mebibytes)
    _be_seen()


def fill_hidden(mebibytes: int) -> None:
    """Fill a file in a directory that is closed meanwhile."""
    os.makedirs("new/closed")
    file = os.open("new/closed/fill", os.O_RDWR | os.O_CREAT, 0o600)
    os.chmod("new/closed", 0)
    for _ in range(mebibytes):
        os.write(file, b"x" * (1 << 20))
    _be_seen()
    os.chmod("new/closed", 0o700)
    os.unlink("new/closed/fill")


def fill_nameless(mebibytes: int) -> None:
    """Fill a file that has lost its name."""
    file = os.open("new/fill", os.O_RDWR | os.O_CREAT, 0o600)
    os.unlink("new/fill")
    for _ in range(mebibytes):
        os.write(file, b"x" * (1 << 20))
    _be_seen()


def _ignore() -> None:
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)


def spin(_: int) -> None:
    """Compute for ever."""
    while True:
        pass


def sleep(_: int) -> None:
    """Sleep for ever."""
    _ignore()
    while True:
        time.sleep(3600)


def stop(_: int) -> None:
    """Stop the guest, then itself."""
    if "CLEVERAGENTS_CHANNEL" in os.environ:
        os.kill(os.getppid(), signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)


def kill_all(_: int) -> None:
    """Kill everything."""
    if os.getpid() > 1000 or "CLEVERAGENTS_CHANNEL" not in os.environ:
        sys.exit("not in a cell")
    os.kill(-1, signal.SIGKILL)


def detach(deed: Callable[[], None]) -> None:
    """Leave a process behind that nobody is the parent of."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            _ignore()
            deed()
        os._exit(0)


def stay(seconds: int) -> None:
    """Leave two detached processes; then end, or wait for ever."""
    for _ in range(2):
        detach(lambda: time.sleep(600))
    with open("new/ready", "w") as file:
        file.write("ready")
    if seconds:
        time.sleep(seconds)


def write_late(_: int) -> None:
    """Leave a process that changes the workspace again and again."""

    def change() -> None:
        number = 0
        while True:
            number += 1
            with open("new/counted", "w") as file:
                file.write(f"{number}\n")

    detach(change)
    deadline = time.monotonic() + 5
    while not os.path.exists("new/counted") and time.monotonic() < deadline:  # noqa: PTH110
        time.sleep(0.01)


def speak_late(_: int) -> None:
    """Leave a process that hands a result in when the program has ended."""
    parent = os.getpid()

    def speak() -> None:
        while os.getppid() == parent or os.path.exists(f"/proc/{parent}"):  # noqa: PTH110
            time.sleep(0.01)
        with socket.socket(fileno=int(os.environ["CLEVERAGENTS_CHANNEL"])) as sock:
            sock.sendall(say(type="submit", seq=1, summary="late"))

    detach(speak)


BURDENS: Final = {
    "disk_filled": fill,
    "disk_hidden": fill_hidden,
    "disk_nameless": fill_nameless,
    "endless_computing": spin,
    "endless_sleep": sleep,
    "everything_stopped": stop,
    "everything_killed": kill_all,
    "outlives_host": stay,
    "outlives_end": stay,
    "outlives_limit": stay,
    "writes_late": write_late,
    "speaks_late": speak_late,
}
