"""Attempts on other processes: their memory, environment, descriptors and signals."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.probes.hostile.kit import Held, Scene, attempt, call, first, nothing, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SECRET: Final = re.compile(b"probe-" + rb"(?:env|arg|mem)-[0-9a-f]{24}")
"""What the host's secrets look like; this text itself does not."""
_SO_PEERPIDFD: Final = 77
_PTRACE_ATTACH: Final = 16
_PTRACE_DETACH: Final = 17
PIDS: Final = "pid namespace"


def secret_in(data: bytes, where: str) -> str:
    """Say that a secret is in some bytes, or raise."""
    found = _SECRET.search(data)
    nothing(found is None, "no secret in it")
    return f"a secret is in {where}"


def _ancestors() -> list[int]:
    found = []
    pid = os.getppid()
    while pid > 0:
        found.append(pid)
        fields = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        pid = int(fields[1])
    return found


def _everybody() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def _looks(pids: list[int], name: str) -> Iterator[Callable[[], str]]:
    for pid in pids:
        yield partial(_look, pid, name)


def _look(pid: int, name: str) -> str:
    return secret_in(read(f"/proc/{pid}/{name}"), name)


def _there(scene: Scene) -> int:
    """The process of the host that is after something; a number may be anybody's in here."""
    pid = int(scene["pid"])
    try:
        line = read(f"/proc/{pid}/cmdline")
    except FileNotFoundError:
        raise Held("no such process in here") from None
    nothing(scene["token"].encode() not in line, "another process has its number")
    return pid


@attempt(
    "process", "find a secret in its own environment", layer="environment from nothing", covers=(1,)
)
def own_environment(_: Scene) -> str:
    return secret_in(read("/proc/self/environ"), "its own environment")


@attempt(
    "process",
    "read environment and command line of process 1 and of every process above it",
    layer="bubblewrap's own environment is empty; " + PIDS,
    covers=(2,),
)
def environment_of_ancestors(_: Scene) -> str:
    above = [*_ancestors(), 1]
    return first([*_looks(above, "environ"), *_looks(above, "cmdline")])


@attempt("process", "read the environment of every process", layer=PIDS, covers=(3,))
def environment_of_everybody(_: Scene) -> str:
    return first(_looks(_everybody(), "environ"))


@attempt("process", "read the command line of every process", layer=PIDS, covers=(3,))
def command_line_of_everybody(_: Scene) -> str:
    return first(_looks(_everybody(), "cmdline"))


@attempt("process", "read a host process's memory in `/proc/PID/mem`", layer=PIDS, covers=(4,))
def memory_file(scene: Scene) -> str:
    with open(f"/proc/{_there(scene)}/mem", "rb", buffering=0) as file:  # noqa: PTH123
        file.seek(scene["address"])
        return secret_in(file.read(64), "its memory")


@attempt("process", "attach to a host process with ptrace", layer="seccomp; " + PIDS, covers=(4,))
def ptrace_attach(scene: Scene) -> str:
    pid = int(scene["pid"])
    call("ptrace", _PTRACE_ATTACH, pid, 0, 0)
    os.waitpid(pid, 0)
    call("ptrace", _PTRACE_DETACH, pid, 0, 0)
    return "it was stopped and traced"


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _across(name: str, scene: Scene) -> bytes:
    data = ctypes.create_string_buffer(64)
    here = _Vector(ctypes.cast(data, ctypes.c_void_p), 42)
    there = _Vector(scene["address"], 42)
    pid = int(scene["pid"])
    call(name, pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    return data.raw


@attempt(
    "process",
    "read a host process's memory with process_vm_readv",
    layer="seccomp; " + PIDS,
    covers=(4,),
)
def memory_across(scene: Scene) -> str:
    return secret_in(_across("process_vm_readv", scene), "its memory")


@attempt(
    "process",
    "write into a host process's memory with process_vm_writev",
    layer="seccomp; " + PIDS,
    covers=(4,),
)
def memory_written(scene: Scene) -> str:
    # Over the part of the bystander's page that is there to be written to.
    return f"written: {_across('process_vm_writev', {**scene, 'address': scene['scratch']})[:0]!r}"


@attempt(
    "process",
    "take a descriptor out of a host process with pidfd_getfd",
    layer="seccomp; " + PIDS,
    covers=(4,),
)
def descriptor_taken(scene: Scene) -> str:
    handle = os.pidfd_open(int(scene["pid"]))
    return f"descriptor {call('pidfd_getfd', handle, 0, 0)}"


@attempt(
    "process",
    "open the files that a host process has open, by `/proc/PID/fd`",
    layer=PIDS,
    covers=(4,),
)
def descriptors_opened(scene: Scene) -> str:
    pid = _there(scene)
    path = f"/proc/{pid}/fd/{scene['open_file']}"
    return f"read {len(read(path))} bytes of an open file"


@attempt(
    "process",
    "walk through `/proc/PID/root` and `/proc/PID/cwd`",
    layer="pid and mount namespace",
    covers=(5,),
)
def root_of_another(scene: Scene) -> str:
    def walk(pid: int, name: str) -> str:
        path = f"/proc/{pid}/{name}{'/..' * 12 if name == 'cwd' else ''}{scene['key_file']}"
        return f"read {len(read(path))} bytes through {name} of a process"

    pids = (1, os.getppid(), int(scene["pid"]))
    return first(partial(walk, pid, name) for pid in pids for name in ("root", "cwd"))


@attempt("process", "signal a process of the host", layer=PIDS + ", Landlock scope", covers=(6,))
def signal_sent(scene: Scene) -> str:
    os.kill(_there(scene), signal.SIGCONT)
    return "it was signalled"


@attempt("process", "see any process that is not its own cell's", layer=PIDS, covers=(6,))
def others_seen(_: Scene) -> str:
    # In a cell: process 1, the guest, this program, and what that started.
    mine = {1, os.getpid(), *_ancestors()}
    others = [pid for pid in _everybody() if pid not in mine]
    nothing(not others, "process 1, the guest and itself")
    return f"{len(others)} processes"


def _host_handle() -> int:
    """A handle of the process that made the channel: the host, whatever the namespace."""
    with socket.socket(fileno=os.dup(int(os.environ["CLEVERAGENTS_CHANNEL"]))) as channel:
        return channel.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)


@attempt(
    "process",
    "get a handle of the host out of its own channel (SO_PEERPIDFD) and signal it",
    layer=PIDS,
    covers=(6, 14),
)
def host_signalled(_: Scene) -> str:
    call("pidfd_send_signal", _host_handle(), 0, None, 0)
    return "the host can be signalled"


@attempt(
    "process",
    "enter the host's namespaces, or take its descriptors, by that handle",
    layer="seccomp",
    covers=(4, 24),
    shown_by="root",
    why_not="entering a namespace needs CAP_SYS_ADMIN",
)
def host_entered(_: Scene) -> str:
    handle = _host_handle()

    def enter() -> str:
        call("setns", handle, 0x00020000)
        return "the host's mount namespace was entered"

    return first([enter, lambda: f"descriptor {call('pidfd_getfd', handle, 0, 0)}"])


@attempt(
    "process",
    "read memory and descriptors of the guest beside it (the tools' channel)",
    layer="the guest is not dumpable",
    covers=(4,),
)
def guest_beside(_: Scene) -> str:
    guest = _ancestors()[1]  # the first one is the program that this attempt was forked from

    def memory() -> str:
        with open(f"/proc/{guest}/mem", "rb", buffering=0):  # noqa: PTH123
            return "its memory was opened"

    def descriptors() -> str:
        return f"it holds descriptors {os.listdir(f'/proc/{guest}/fd')}"  # noqa: PTH208

    return first([memory, descriptors])


@attempt(
    "process",
    "have itself spared when memory is short, or run before all others (oom_score_adj, nice, FIFO)",
    layer="no capability, Landlock",
    covers=(33,),
    shown_by="root",
    why_not="needs CAP_SYS_RESOURCE or CAP_SYS_NICE",
)
def preferred(_: Scene) -> str:
    def spared() -> str:
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write("-1000")
        return "it is spared"

    def nicer() -> str:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        return "it is nicer than all others"

    def realtime() -> str:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        return "it runs before all others"

    return first([spared, nicer, realtime])
