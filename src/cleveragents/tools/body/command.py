"""Runs a command in the workspace and gives what it said, how it ended and how long it took.

What it leaves running is ended by the guest, before the call is answered: only
the guest knows whether it has a pid namespace to itself.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cleveragents.terms.cell_network import VARIABLES
from cleveragents.terms.excerpt import head_within
from cleveragents.tools.body import argument

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping

DEFAULT_TIMEOUT_S: Final = 120
HEAD_BYTES: Final = 64 * 1024
TAIL_BYTES: Final = 64 * 1024
"""Kept of each stream; what lies between them is cut, and the cut is said."""
MAX_STREAM_JSON_BYTES: Final = 400_000
_PIPE_BYTES: Final = 65_536
_DRAIN_READS: Final = 32
"""A pipe may be enlarged to 1 MiB, and gives it in pieces."""
_TICK_S: Final = 0.02
"""How often a command's end is looked for where the kernel cannot tell by descriptor."""
_SIGNAL_BASE: Final = 128
_LAST_WORDS_CHARS: Final = 200
_KEPT_VARIABLES: Final = ("PATH", "HOME", "LANG", "TMPDIR")
_NETWORK_VARIABLES: Final = tuple(VARIABLES)
"""Kept where the guest has announced the host's proxy: never those of another environment."""
_VARIABLES: Final = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108  # the cell's own /tmp
    "LANG": "C.UTF-8",
}


@dataclass(slots=True)
class _Stream:
    """The head and the tail of what a command wrote."""

    fd: int
    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    size: int = 0
    is_open: bool = True

    def read(self) -> bool:
        """Take what is there; False when nothing is, or the end has come."""
        try:
            data = os.read(self.fd, _PIPE_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self.is_open = False
            return False
        self.size += len(data)
        room = HEAD_BYTES - len(self.head)
        self.head += data[:room]
        self.tail += data[room:] if room > 0 else data
        if len(self.tail) > 2 * TAIL_BYTES:
            del self.tail[:-TAIL_BYTES]
        return True

    def drain(self) -> None:
        """Take what is left in the pipe, of one that still writes as much as a pipe holds."""
        for _ in range(_DRAIN_READS):
            if not self.is_open or not self.read():
                return

    def text(self) -> tuple[str, bool]:
        """Give what was kept, and whether something was cut."""
        tail = bytes(self.tail[-TAIL_BYTES:])
        cut = self.size - len(self.head) - len(tail)
        if not cut:
            return _within(bytes(self.head) + tail)
        head, _ = _within(bytes(self.head), MAX_STREAM_JSON_BYTES // 2)
        end, _ = _within(tail, MAX_STREAM_JSON_BYTES // 2, keep_end=True)
        return f"{head}\n[{cut} bytes cut]\n{end}", True


def _within(
    data: bytes, max_bytes: int = MAX_STREAM_JSON_BYTES, *, keep_end: bool = False
) -> tuple[str, bool]:
    text = data.decode("utf-8", "replace")
    kept = head_within(text[::-1], max_bytes)[::-1] if keep_end else head_within(text, max_bytes)
    if len(kept) == len(text):
        return kept, False
    said = f"[{len(text) - len(kept)} characters cut]"
    return (f"{said}\n{kept}" if keep_end else f"{kept}\n{said}"), True


def run_command(root_fd: int, arguments: Mapping[str, object]) -> dict[str, object]:
    """Run a command to its end, or to its time limit.

    Its end is that of the process itself: one that it left behind and that
    holds its output open is not waited for.

    Returns:
        ``stdout``, ``stderr``, ``exit_code`` (128 + signal number when a
        signal ended it, as a shell has it), ``duration_s``, ``truncated``.

    Raises:
        ToolFailedError: It could not be started, or took too long.
    """
    argv = _argv(arguments)
    timeout_s = argument.integer(arguments, "timeout_s", tool="run_command") or DEFAULT_TIMEOUT_S
    with _start(root_fd, argv) as process:
        started = time.monotonic()
        streams = _streams(process)
        code = _wait(process, streams, ends=started + timeout_s)
        duration_s = time.monotonic() - started
        for stream in streams:
            stream.drain()
    if code is None:
        argument.fail(
            "run_command", f"it took longer than {timeout_s} s and was ended{_last_words(streams)}"
        )
    (stdout, out_cut), (stderr, err_cut) = (stream.text() for stream in streams)
    return {
        "stdout": stdout,
        "stderr": stderr,
        "exit_code": code if code >= 0 else _SIGNAL_BASE - code,
        "duration_s": round(duration_s, 3),
        "truncated": out_cut or err_cut,
    }


def _argv(arguments: Mapping[str, object]) -> list[str]:
    command = arguments.get("command")
    if isinstance(command, str) and command:
        return ["/bin/sh", "-c", command]
    parts = command if isinstance(command, list | tuple) else ()
    argv = [part for part in parts if isinstance(part, str)]
    if not argv or len(argv) != len(parts) or not argv[0]:
        argument.fail("run_command", "'command' is neither a text nor a list of texts")
    return argv


def _start(root_fd: int, argv: list[str]) -> subprocess.Popen[bytes]:
    # Imported when the first command runs: most calls of most plans read and write files.
    import subprocess  # noqa: PLC0415

    workspace = f"/proc/self/fd/{root_fd}"
    has_network = os.environ.get("HTTP_PROXY") == VARIABLES["HTTP_PROXY"]
    kept = _KEPT_VARIABLES + (_NETWORK_VARIABLES if has_network else ())
    environment = _VARIABLES | {name: os.environ[name] for name in kept if name in os.environ}
    # The link is the kernel's name for a descriptor, nothing that a path object could say.
    environment["PWD"] = os.readlink(workspace)  # noqa: PTH115
    try:
        return subprocess.Popen(
            argv,
            cwd=workspace,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            close_fds=True,
            start_new_session=True,
        )
    except FileNotFoundError:
        argument.fail("run_command", f"no program is named {argv[0]!r}")
    except OSError as error:
        argument.fail("run_command", f"{argv[0]!r} cannot be started: {error.strerror}")
    except ValueError:
        argument.fail("run_command", "the command holds a NUL or is not valid Unicode")


def _streams(process: subprocess.Popen[bytes]) -> tuple[_Stream, _Stream]:
    pipes = []
    for pipe in (process.stdout, process.stderr):
        # Both were asked for, so both are there.
        fd = -1 if pipe is None else pipe.fileno()
        os.set_blocking(fd, False)
        pipes.append(_Stream(fd))
    return pipes[0], pipes[1]


def _wait(
    process: subprocess.Popen[bytes], streams: tuple[_Stream, _Stream], *, ends: float
) -> int | None:
    """Read until the process has ended; ``None`` when its time was up first."""
    with _exit_descriptor(process.pid) as exit_fd:
        poll = select.poll()
        by_fd = {stream.fd: stream for stream in streams}
        for fd in (*by_fd, *([] if exit_fd is None else [exit_fd])):
            poll.register(fd, select.POLLIN)
        longest_s = _TICK_S if exit_fd is None else ends
        while process.poll() is None:
            left_s = ends - time.monotonic()
            if left_s <= 0:
                # Its session is its process group; it is not reaped yet, so the number is its own.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return None
            for fd, _ in poll.poll(min(left_s, longest_s) * 1000):
                stream = by_fd.get(fd)
                if stream is not None and not stream.read() and not stream.is_open:
                    poll.unregister(fd)
    return process.returncode


@contextmanager
def _exit_descriptor(pid: int) -> Iterator[int | None]:
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _last_words(streams: tuple[_Stream, _Stream]) -> str:
    """Quote the end of what it said, on one line."""
    for stream in reversed(streams):
        said = stream.text()[0].strip()
        if said:
            return f"; the end of its output: {said[-_LAST_WORDS_CHARS:]!r}"
    return ""


IMMEDIATE: Final[Mapping[str, Callable[[int, Mapping[str, object]], dict[str, object]]]] = {
    "run_command": run_command,
}
