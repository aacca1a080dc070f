"""Attempts on mounts, namespaces and rights: the walls that the kernel keeps."""

# ruff: noqa: PTH103

from __future__ import annotations

import ctypes
import os
import signal
import struct
from typing import Final

from tests.probes.hostile.kit import Scene, any_of, attempt, call, first, libc, nothing, read

SECCOMP: Final = "seccomp"
_NEWUSER: Final = 0x10000000
_REMOUNT_BIND: Final = 32 | 4096
_ADMIN: Final = "needs CAP_SYS_ADMIN"


def _place(scene: Scene, name: str) -> bytes:
    path = f"{scene['scratch_directory']}/{name}"
    os.makedirs(path, exist_ok=True)
    return path.encode()


@attempt(
    "kernel",
    "mount a file system of its own",
    layer=SECCOMP + ", no capability",
    covers=(23,),
    shown_by="root",
    why_not=_ADMIN,
)
def mounted(scene: Scene) -> str:
    call("mount", b"none", _place(scene, "mount"), b"tmpfs", 0, None)
    return "it was mounted"


@attempt(
    "kernel",
    "remount a read-only mount to write",
    layer=SECCOMP + ", no capability",
    covers=(23,),
    shown_by="root",
    why_not=_ADMIN,
)
def remounted(scene: Scene) -> str:
    target = scene["read_only"].encode()
    call("mount", None, target, None, _REMOUNT_BIND, None)
    return "it was remounted"


@attempt(
    "kernel",
    "take away what is mounted over something",
    layer=SECCOMP + ", no capability",
    covers=(23,),
    shown_by="root",
    why_not=_ADMIN,
)
def unmounted(scene: Scene) -> str:
    call("umount2", scene["read_only"].encode(), 2)
    return "it was unmounted"


@attempt(
    "kernel",
    "mount by the newer calls: open_tree, fsopen, mount_setattr",
    layer=SECCOMP + ", no capability",
    covers=(23,),
    shown_by="root",
    why_not=_ADMIN,
)
def mounted_anew(scene: Scene) -> str:
    attributes = struct.pack("QQQQ", 0, 1, 0, 0)
    target = scene["read_only"].encode()
    return first(
        [
            lambda: f"descriptor {call('fsopen', b'tmpfs', 0)}",
            lambda: f"descriptor {call('open_tree', -100, b'/', 1)}",
            lambda: f"set: {call('mount_setattr', -100, target, 0, attributes, 32)}",
        ]
    )


@attempt(
    "kernel",
    "change the root: chroot, pivot_root",
    layer=SECCOMP + ", no capability",
    covers=(23,),
    shown_by="root",
    why_not="needs CAP_SYS_CHROOT",
)
def rooted(scene: Scene) -> str:
    place = _place(scene, "root")
    return first(
        [
            lambda: f"chroot: {call('chroot', place)}",
            lambda: f"pivot_root: {call('pivot_root', place, place)}",
        ]
    )


@attempt(
    "kernel",
    "make a user namespace with unshare",
    layer=SECCOMP + ", `--disable-userns`",
    covers=(24,),
)
def user_namespace(_: Scene) -> str:
    call("unshare", _NEWUSER)
    return "it has every capability in it"


@attempt("kernel", "make a user namespace with clone", layer=SECCOMP, covers=(24,))
def user_namespace_cloned(_: Scene) -> str:
    pid = call("clone", _NEWUSER | signal.SIGCHLD, None, None, None, None)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "a process in a user namespace of its own"


@attempt(
    "kernel",
    "make a user namespace with clone3, whose flags no filter can read",
    layer=SECCOMP + ": no such call",
    covers=(24,),
)
def user_namespace_cloned_anew(_: Scene) -> str:
    arguments = struct.pack("QQQQQQQQ", _NEWUSER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    pid = call("clone3", arguments, len(arguments))
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "a process in a user namespace of its own"


@attempt(
    "kernel",
    "make a mount, network or pid namespace without a user namespace",
    layer=SECCOMP,
    covers=(24,),
    shown_by="root",
    why_not=_ADMIN,
)
def other_namespaces(_: Scene) -> str:
    def make(flag: int) -> str:
        call("unshare", flag)
        return "it was made"

    return any_of(make, (0x40000000, 0x20000000, 0x04000000, 0x08000000))


@attempt(
    "kernel",
    "gain rights by a setuid program",
    layer="no-new-privileges, nosuid",
    covers=(25,),
    shown_by="root",
    why_not="the ordinary user was started with no new privileges",
)
def setuid_program(_: Scene) -> str:
    status = read("/proc/self/status").decode()
    nothing("NoNewPrivs:\t1" in status, "no new privileges")
    nothing(os.statvfs("/usr").f_flag & os.ST_NOSUID, "nosuid")
    return "a setuid program would be one here"


@attempt(
    "kernel",
    "become root: setuid(0), a capability raised",
    layer="no capability",
    covers=(25,),
    shown_by="root",
    why_not="needs a capability",
)
def became_root(_: Scene) -> str:
    def capability() -> str:
        # Version 3 of the header; every capability, effective and permitted.
        header = struct.pack("Ii", 0x20080522, 0)
        ctypes.set_errno(0)
        if libc.capset(header, struct.pack("IIIIII", 1 << 21, 1 << 21, 0, 0, 0, 0)) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return "it has CAP_SYS_ADMIN"

    def root() -> str:
        os.setuid(0)
        return "it is root"

    return first([capability, root])
