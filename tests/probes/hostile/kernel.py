"""Attempts on the larger surfaces of the kernel, and on what changes the machine."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import struct
from typing import Final

from tests.probes.hostile.device import opened_for_writing
from tests.probes.hostile.kit import (
    IS_X86,
    Held,
    Scene,
    attempt,
    call,
    first,
    libc,
    nothing,
    raw_call,
    read,
)
from tests.probes.hostile.namespace import SECCOMP

_NEWUSER: Final = 0x10000000
_ADMIN: Final = "needs CAP_SYS_ADMIN"


@attempt("kernel", "make an io_uring", layer=SECCOMP, covers=(30,))
def io_uring(_: Scene) -> str:
    return f"descriptor {call('io_uring_setup', 4, ctypes.create_string_buffer(120))}"


@attempt(
    "kernel",
    "make a BPF map",
    layer=SECCOMP,
    covers=(30,),
    shown_by="root",
    why_not="the kernel keeps BPF from unprivileged users",
)
def bpf_map(_: Scene) -> str:
    attributes = struct.pack("IIII", 2, 4, 8, 1) + bytes(112)
    return f"descriptor {call('bpf', 0, attributes, len(attributes))}"


@attempt("kernel", "open a performance event", layer=SECCOMP, covers=(30,))
def performance_event(_: Scene) -> str:
    # A software event of this process, kernel and hypervisor left out.
    attributes = struct.pack("IIQQQQQ", 1, 120, 0, 0, 0, 0, (1 << 5) | (1 << 6)) + bytes(72)
    return f"descriptor {call('perf_event_open', attributes, 0, -1, -1, 0)}"


@attempt("kernel", "handle page faults by userfaultfd", layer=SECCOMP, covers=(30,))
def user_faults(_: Scene) -> str:
    return f"descriptor {call('userfaultfd', 1)}"


@attempt("kernel", "put a key into the user's keyring", layer=SECCOMP, covers=(30,))
def keyring(_: Scene) -> str:
    # Its own process keyring: gone with the attempt where it works.
    return f"key {call('add_key', b'user', b'probe', b'x', 1, -2)}"


@attempt("kernel", "watch file systems with fanotify", layer=SECCOMP, covers=(30,))
def file_events(_: Scene) -> str:
    return f"descriptor {call('fanotify_init', 0x200, 0)}"


@attempt(
    "kernel",
    "compare and move pages of processes (kcmp, move_pages)",
    layer=SECCOMP,
    covers=(4, 30),
)
def pages_moved(_: Scene) -> str:
    own = os.getpid()
    return first(
        [
            lambda: f"compared: {call('kcmp', own, own, 0, 0, 0)}",
            lambda: f"moved: {call('move_pages', 0, 0, None, None, None, 0)}",
        ]
    )


@attempt(
    "kernel",
    "load a kernel module",
    layer=SECCOMP + ", no capability",
    covers=(30,),
    shown_by="nobody",
    why_not="a control that worked would change the machine's kernel",
)
def module_loaded(_: Scene) -> str:
    return f"loaded: {call('init_module', None, 0, b'')}"


@attempt(
    "kernel",
    "load another kernel, or reboot",
    layer=SECCOMP + ", no capability",
    covers=(30,),
    shown_by="nobody",
    why_not="a control that worked would end the machine",
)
def rebooted(_: Scene) -> str:
    # Neither would do anything even where it is allowed: the arguments are wrong.
    return first(
        [
            lambda: f"kexec: {call('kexec_load', 0, 1 << 20, None, 0xFF)}",
            lambda: f"reboot: {call('reboot', 0, 0, 0, None)}",
        ]
    )


@attempt(
    "kernel",
    "set the clock",
    layer=SECCOMP + ", no capability",
    covers=(30,),
    shown_by="root",
    why_not="needs CAP_SYS_TIME",
)
def clock_set(_: Scene) -> str:
    # No time and no zone: allowed or not, nothing changes.
    return f"set: {call('settimeofday', None, None)}"


@attempt(
    "kernel",
    "switch on swap, quotas or accounting",
    layer=SECCOMP + ", no capability",
    covers=(30,),
    shown_by="nobody",
    why_not="a control that worked would change the machine",
)
def accounting(_: Scene) -> str:
    return first(
        [
            lambda: f"swap: {call('swapon', b'/probe-is-not-there', 0)}",
            lambda: f"quota: {call('quotactl', 0x800002, None, 0, None)}",
            lambda: f"accounting: {call('acct', b'/probe-is-not-there')}",
        ]
    )


@attempt(
    "kernel",
    "rename the machine",
    layer=SECCOMP + ", a name of its own",
    covers=(30,),
    shown_by="root",
    why_not=_ADMIN,
)
def renamed(_: Scene) -> str:
    name = os.uname().nodename.encode()
    return f"renamed: {call('sethostname', name, len(name))}"


def _machine_code(code: bytes) -> int:
    memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    function = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
    return int(function())


@attempt("kernel", "call the kernel by the 32-bit entry, past a filter for 64 bits", layer=SECCOMP + ": another architecture kills", covers=(30,), shown_by="nobody", why_not="it depends on whether the kernel has the 32-bit entry")  # fmt: skip
def other_entry(_: Scene) -> str:
    if not IS_X86:
        raise Held("there is no such entry on this machine")
    # mov eax, 310 (unshare); mov ebx, CLONE_NEWUSER; int 0x80; ret
    code = (
        b"\x53\xb8"
        + struct.pack("I", 310)
        + b"\xbb"
        + struct.pack("I", _NEWUSER)
        + b"\xcd\x80\x5b\xc3"
    )
    result = ctypes.c_int(_machine_code(code)).value
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return "a user namespace was made by the 32-bit entry"


@attempt("kernel", "call the kernel by x32 numbers, past a filter for x86_64", layer=SECCOMP + ": such numbers kill", covers=(30,), shown_by="nobody", why_not="it depends on whether the kernel knows x32")  # fmt: skip
def x32_number(_: Scene) -> str:
    if not IS_X86:
        raise Held("there are no such numbers on this machine")
    return f"unshare: {raw_call(0x40000000 + 272, _NEWUSER)}"


@attempt("kernel", "find the host's shared memory of System V", layer="ipc namespace", covers=(31,))
def shared_memory(scene: Scene) -> str:
    ctypes.set_errno(0)
    segment = libc.shmget(scene["shm_key"], 0, 0)
    if segment < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return "the segment was found"


@attempt(
    "kernel",
    "open the host's shared memory in `/dev/shm`",
    layer="a `/dev/shm` of its own",
    covers=(31,),
)
def shared_memory_file(scene: Scene) -> str:
    return opened_for_writing(f"/dev/shm/{scene['shm_name']}")


@attempt(
    "kernel",
    "crash so that the host's crash handler, which is root, reads its memory",
    layer="RLIMIT_CORE",
    covers=(27,),
    gap="where `core_pattern` names a program, the kernel starts it for every crash, whatever the limit",
)
def core_dumped(_scene: Scene) -> str:
    if read("/proc/sys/kernel/core_pattern")[:1] in (b"|", b"@"):
        return "the handler is started"
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    nothing(hard == 0, "this kernel starts no handler, and no dump is written")
    return "a dump is written"
