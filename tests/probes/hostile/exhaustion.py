"""Attempts to use everything up, all of them bounded: a control must not harm the machine."""

# ruff: noqa: PTH108, PTH123

from __future__ import annotations

import contextlib
import mmap
import os
import resource
import signal
from typing import Final

from tests.probes.hostile.kit import Held, Scene, attempt, nothing

LIMITS: Final = "resource limits"
_MIB: Final = 1 << 20
_GIB: Final = 1 << 30
# MAP_NORESERVE has no name in this version of Python.
_RESERVED_BY_NOBODY: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000


@attempt("exhaustion", "a fork bomb", layer="RLIMIT_NPROC under a real uid", covers=(32,))
def fork_bomb(scene: Scene) -> str:
    children: list[int] = []
    try:
        while len(children) < scene["forks"]:
            pid = os.fork()
            if pid == 0:
                signal.pause()
                os._exit(0)
            children.append(pid)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)
    return f"{len(children)} processes"


@attempt("exhaustion", "8 GiB of memory in one process", layer="RLIMIT_AS", covers=(33,))
def memory(_: Scene) -> str:
    mmap.mmap(-1, 8 * _GIB, flags=_RESERVED_BY_NOBODY).close()
    return "it was given"


@attempt(
    "exhaustion",
    "more memory than one process may have, in several (address space, never touched)",
    layer="none without a control group",
    covers=(33,),
    gap="the limit is one for each process; there is no control group, so the sum is limits times processes",
)
def memory_of_many(_scene: Scene) -> str:
    children = []
    for _number in range(3):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(OSError):
                kept = mmap.mmap(-1, 2 * _GIB, flags=_RESERVED_BY_NOBODY)
                os.write(writing, b"x" if kept else b"")
            os.close(writing)
            signal.pause()
        os.close(writing)
        children.append((pid, reading))
    given = sum(len(os.read(reading, 1)) for _, reading in children)
    for pid, reading in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)
    nothing(given < len(children), f"{given} of {len(children)}")
    return f"{2 * given} GiB"


@attempt(
    "exhaustion",
    "memory past the size of `/tmp`, in files without a name",
    layer="none without a control group",
    covers=(33, 35),
    gap="anonymous files count for no process; the cap of `/tmp` can be passed in memory all the same",
)
def nameless_memory(scene: Scene) -> str:
    written = 0
    files = [os.memfd_create(f"probe-{number}") for number in range(4)]
    try:
        for file in files:
            for _ in range(scene["tmp_bytes"] // _MIB // 3):
                written += os.write(file, bytes(_MIB))
    finally:
        for file in files:
            os.close(file)
    nothing(written <= scene["tmp_bytes"], f"{written} bytes")
    return f"{written // _MIB} MiB"


@attempt("exhaustion", "a file larger than a file may be", layer="RLIMIT_FSIZE", covers=(34,))
def large_file(scene: Scene) -> str:
    path = f"{scene['scratch_directory']}/large"
    try:
        with open(path, "wb") as file:
            file.truncate(scene["file_bytes"] + 1)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    return "it grew"


def _fill(directory: str, limit: int) -> str:
    path = f"{directory}/probe-fill-{os.getpid()}"
    written = 0
    try:
        with open(path, "wb", buffering=0) as file:
            while written <= limit:
                written += file.write(bytes(_MIB))
    finally:
        os.unlink(path)
    return f"{written // _MIB} MiB"


@attempt(
    "exhaustion", "more in `/tmp` than it holds", layer="a sized memory file system", covers=(35,)
)
def tmp_filled(scene: Scene) -> str:
    return _fill("/tmp", scene["tmp_bytes"])


@attempt(
    "exhaustion",
    "more in `/dev/shm` than it holds",
    layer="a sized memory file system",
    covers=(35,),
)
def shm_filled(scene: Scene) -> str:
    return _fill("/dev/shm", scene["tmp_bytes"])


@attempt(
    "exhaustion",
    "files in `/dev`, which has no size",
    layer="read-only `/dev`",
    covers=(35,),
    shown_by="root",
    why_not="it is root's",
)
def dev_filled(_: Scene) -> str:
    path = f"/dev/probe-{os.getpid()}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(path)
    return "a file was made"


@attempt(
    "exhaustion", "more open files than a process may have", layer="RLIMIT_NOFILE", covers=(32,)
)
def open_files(scene: Scene) -> str:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    files: list[int] = []
    try:
        while len(files) <= scene["open_files"]:
            files.append(os.open("/dev/null", os.O_RDONLY))
    finally:
        for file in files:
            os.close(file)
    return f"{len(files)} files"


@attempt(
    "exhaustion",
    "raise its own limits",
    layer="hard limits, no capability",
    covers=(32, 33),
    shown_by="root",
    why_not="needs CAP_SYS_RESOURCE",
)
def limits_raised(_scene: Scene) -> str:
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        _, hard = resource.getrlimit(kind)
        if hard == resource.RLIM_INFINITY:
            return "there is no limit"
        try:
            resource.setrlimit(kind, (hard + 1, hard + 1))
        except ValueError as error:  # what Python makes of EPERM
            raise Held("not allowed") from error
    return "they were raised"


@attempt("exhaustion", "64 MiB of output", layer="capped pipes, always read", covers=(36,), shown_by="nobody", why_not="what is kept of it is the reader's affair; its report is what is looked at")  # fmt: skip
def endless_output(_: Scene) -> str:
    for _number in range(512):
        os.write(1, b"x" * 65536)
        os.write(2, b"y" * 65536)
    raise Held("it was all taken, and its end kept")
