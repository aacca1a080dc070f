"""Attempts on devices, kernel settings, and the kernel's own memory and log."""

# ruff: noqa: PTH108, PTH208

from __future__ import annotations

import ctypes
import os
import stat
import struct

from tests.probes.hostile.kit import Scene, any_of, attempt, call, nothing
from tests.probes.hostile.namespace import SECCOMP


def opened_for_writing(path: str) -> str:
    """Open for writing what is there, changing nothing."""
    os.close(os.open(path, os.O_WRONLY))
    return "it can be written to"


@attempt(
    "kernel",
    "make a device node",
    layer=SECCOMP + ", no capability",
    covers=(26,),
    shown_by="root",
    why_not="needs CAP_MKNOD",
)
def device_made(scene: Scene) -> str:
    def make(kind: int, number: int) -> str:
        path = f"{scene['scratch_directory']}/device-{kind}-{number}"
        os.mknod(path, 0o600 | kind, number)
        os.unlink(path)
        return "it was made"

    kinds = ((stat.S_IFCHR, os.makedev(1, 1)), (stat.S_IFBLK, os.makedev(8, 0)))
    return any_of(lambda kind: make(*kind), kinds)


@attempt(
    "kernel",
    "open a device beside the harmless ones (mem, kmsg, kvm, fuse, disks)",
    layer="a `/dev` of its own",
    covers=(26,),
    shown_by="root",
    why_not="they are root's",
)
def device_opened(_: Scene) -> str:
    names = ("mem", "kmsg", "kvm", "fuse", "vda", "sda", "nvme0n1", "loop-control", "vhost-net")

    def opened(path: str) -> str:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        return "it was opened"

    return any_of(lambda name: opened(f"/dev/{name}"), names)


@attempt(
    "kernel",
    "change `core_pattern`, `modprobe` or another setting in `/proc/sys`",
    layer="read-only bind, another uid, Landlock",
    covers=(27,),
    shown_by="root",
    why_not="they are root's",
)
def settings_changed(_: Scene) -> str:
    names = ("kernel/core_pattern", "kernel/modprobe", "vm/drop_caches", "fs/suid_dumpable")
    return any_of(lambda name: opened_for_writing(f"/proc/sys/{name}"), names)


@attempt(
    "kernel",
    "open `/proc/sysrq-trigger` to write",
    layer="Landlock, another uid",
    covers=(27,),
    shown_by="nobody",
    why_not="it is root's, and not every kernel has it",
)
def system_request(_: Scene) -> str:
    return opened_for_writing("/proc/sysrq-trigger")


@attempt("kernel", "write to cgroup files (`release_agent`, `cgroup.procs`)", layer="mount namespace: there is no `/sys`", covers=(28,), shown_by="nobody", why_not="it depends on how control groups are mounted on a machine")  # fmt: skip
def control_groups(_: Scene) -> str:
    paths = (
        "/sys/fs/cgroup/release_agent",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/memory/release_agent",
    )
    return any_of(opened_for_writing, paths)


@attempt(
    "kernel", "look into `/sys` and debug file systems", layer="mount namespace: it is not there"
)
def sys_read(_: Scene) -> str:
    names = os.listdir("/sys")
    nothing(not names, "an empty directory")
    return f"saw {len(names)} names"


@attempt(
    "kernel", "get a handle of a file, past every path, and open by it", layer=SECCOMP, covers=(29,)
)
def by_handle(_: Scene) -> str:
    handle = bytearray(struct.pack("Ii", 128, 0) + bytes(128))
    pointer = (ctypes.c_char * len(handle)).from_buffer(handle)
    mount_id = ctypes.c_int()
    call("name_to_handle_at", -100, b"/", pointer, ctypes.byref(mount_id), 0)
    return "a handle was given"


@attempt(
    "kernel",
    "read the kernel's log",
    layer=SECCOMP,
    covers=(29,),
    shown_by="root",
    why_not="needs CAP_SYSLOG where dmesg is restricted",
)
def kernel_log(_: Scene) -> str:
    return f"{call('syslog', 10, None, 0)} bytes of it"


@attempt(
    "kernel",
    "read the kernel's memory and symbols (`/proc/kcore`, `/proc/kmsg`)",
    layer="another uid, no capability",
    covers=(29,),
    shown_by="root",
    why_not="they are root's",
)
def kernel_memory(_: Scene) -> str:
    def opened(path: str) -> str:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        return "it was opened"

    return any_of(opened, ("/proc/kcore", "/proc/kmsg", "/proc/kpagecount"))
