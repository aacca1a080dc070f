"""Who starts processes, and how does the host know that one of them is really dead?

The only module of the host, besides git's, that starts a process.

``--die-with-parent`` fires when the *thread* that started bubblewrap ends:
one thread starts them all and lives as long as the host. The same thread
holds the private mount namespace, when there is one.
"""

from __future__ import annotations

import os
import queue
import re
import select
import signal
import subprocess
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from cleveragents.boundary.drain import Drain, Tail
from cleveragents.boundary.process_tree import descendants, parent_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cleveragents.boundary.uid_drop import CellUser

_Result = TypeVar("_Result")
_ASK_S: Final = 10.0
_DEATH_S: Final = 30.0
"""How long a killed process 1 may take to be gone; a kernel in trouble takes longer."""
_REAP_S: Final = 5.0
"""How long bubblewrap may take to end after its child."""
_STATUS_BYTES: Final = 1 << 16
_STATUS_S: Final = 5.0
"""How long bubblewrap may take to say the number of its child, or to end."""
_CHILD: Final = re.compile(rb'"child-pid":\s*(\d+)')


class NotDeadError(Exception):
    """A killed process is still there; nothing of its workspace may be read."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is started: a line, and what it inherits; nothing else is passed on."""

    line: Sequence[str]
    descriptors: tuple[int, ...]
    user: CellUser | None = None
    keep_output: int = 1 << 16
    environment: Mapping[str, str] = field(default_factory=dict)
    """Nothing for bubblewrap: its process 1 would show it to the cell."""
    status: int = -1
    """The reading end on which bubblewrap says its child's number; -1: no bubblewrap."""


class Spawner:
    """One thread that starts every process of this host process; ``SPAWNER`` is the one."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._drain = Drain()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], _Result]) -> _Result:
        """Run something on the spawner thread and give its result.

        Raises:
            Exception: Whatever it raises.
        """
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                # A daemon: its end at the host's exit is what ends the cells.
                self._thread = threading.Thread(
                    target=self._serve, name="cell-spawner", daemon=True
                )
                self._thread.start()
        future: Future[_Result] = Future()

        def task() -> None:
            try:
                future.set_result(work())
            # It is the caller's exception: raised there, whatever it is.
            except BaseException as error:  # noqa: BLE001  # handed to the thread that waits
                future.set_exception(error)

        self._work.put(task)
        return future.result()

    def start(self, program: Program) -> Process:
        """Start a program from the spawner thread.

        Raises:
            OSError: It cannot be started.
        """
        popen = self.run(lambda: _popen(program))
        if popen.stdout is None or popen.stderr is None:  # cannot be: both are pipes
            raise OSError("no pipes")
        out = os.dup(popen.stdout.fileno())
        err = os.dup(popen.stderr.fileno())
        popen.stdout.close()
        popen.stderr.close()
        return Process(
            popen,
            status=program.status,
            out=self._drain.add(out, keep=program.keep_output),
            err=self._drain.add(err, keep=program.keep_output),
        )

    def _serve(self) -> None:
        while True:
            self._work.get()()


SPAWNER: Final = Spawner()
"""Shared by every launcher: its thread, and what it has mounted, live as long as the host."""


def _popen(program: Program) -> subprocess.Popen[bytes]:
    user = program.user
    dropped: dict[str, object] = {}
    if user is not None:
        dropped = {"user": user.uid, "group": user.gid, "extra_groups": []}
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # the keywords vary
        list(program.line),
        env=dict(program.environment),
        cwd="/",
        close_fds=True,
        pass_fds=program.descriptors,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        **dropped,
    )


def ask(line: Sequence[str]) -> str:
    """Run a short program with nothing and give what it prints; empty when it fails."""
    try:
        done = subprocess.run(
            list(line),
            env={},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASK_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")


class Process:
    """A started cell: bubblewrap outside, its process 1 inside."""

    def __init__(
        self, popen: subprocess.Popen[bytes], *, status: int, out: Tail, err: Tail
    ) -> None:
        self._popen = popen
        self._status = status
        self._first = -1
        """A pidfd of process 1 of the cell; -1 when unknown or none."""
        self._has_asked = False
        self._lock = threading.Lock()
        self.out = out
        self.err = err

    @property
    def is_alive(self) -> bool:
        """Say whether bubblewrap still runs."""
        return self._popen.poll() is None

    def wait_exit(self, timeout_s: float) -> int | None:
        """Wait for the first process to end by itself; ``None`` when it has not by then."""
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    @property
    def pid(self) -> int:
        """The process outside."""
        return self._popen.pid

    def kill(self) -> None:
        """Kill everything, without waiting. May be called by any thread, often."""
        with self._lock:
            self._learn_first()
            if self._first >= 0:
                # bubblewrap sees its child's end, collects it and ends: no orphan is left
                # for a process 1 of the host that may not collect any.
                with suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(self._first, signal.SIGKILL)
                return
            if self._status < 0:
                _kill_tree(self._popen)
            with suppress(ProcessLookupError, PermissionError):
                self._popen.kill()

    def wait_dead(self) -> None:
        """Wait until process 1, and with it everything in the cell, is gone.

        Raises:
            NotDeadError: It is not, long after it was killed.
        """
        deadline = time.monotonic() + _DEATH_S
        with self._lock:
            self._learn_first()
            if self._first >= 0:
                poll = select.poll()
                poll.register(self._first, select.POLLIN)
                if not poll.poll(_DEATH_S * 1000):
                    raise NotDeadError
        try:
            self._popen.wait(_REAP_S)
        except subprocess.TimeoutExpired:
            # Its child is dead and it lingers: nothing depends on it any more.
            self._popen.kill()
            self._wait_outside(deadline)
        with self._lock:
            for descriptor in (self._first, self._status):
                if descriptor >= 0:
                    os.close(descriptor)
            self._first = self._status = -1
        # Their last writer is gone: the end of both streams is at hand.
        self.out.wait_end(1.0)
        self.err.wait_end(1.0)

    def _wait_outside(self, deadline: float) -> None:
        try:
            self._popen.wait(max(deadline - time.monotonic(), 1.0))
        except subprocess.TimeoutExpired as error:
            raise NotDeadError from error

    def _learn_first(self) -> None:
        """Take hold of process 1; bubblewrap says its number right after making it.

        Killing bubblewrap before would leave a child that waits for it for ever.

        INVARIANT: the number is trusted only while its parent is our own
        bubblewrap, which has not reaped it then: no other process can be meant.
        """
        if self._first >= 0 or self._status < 0 or self._has_asked:
            return
        self._has_asked = True
        number = _CHILD.search(_read_within(self._status, _STATUS_S))
        if number is None:
            return
        pid = int(number[1])
        with suppress(OSError):
            first = os.pidfd_open(pid)
            if parent_of(pid) == self._popen.pid:
                self._first = first
            else:
                os.close(first)


def _read_within(descriptor: int, timeout_s: float) -> bytes:
    """Read to the end of a stream, or as much of it as comes in time."""
    deadline = time.monotonic() + timeout_s
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    said = b""
    while poll.poll(max(deadline - time.monotonic(), 0) * 1000):
        data = os.read(descriptor, _STATUS_BYTES)
        if not data:
            break
        said += data
    return said


def _kill_tree(popen: subprocess.Popen[bytes]) -> None:
    """Kill an unconfined guest and what is below it; the guest last, it holds them together."""
    for pid in descendants(popen.pid):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
