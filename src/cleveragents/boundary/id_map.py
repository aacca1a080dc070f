"""How does a directory of somebody else's become the cell's own, without changing one owner?

The kernel can mount a directory with its owners exchanged (an id-mapped
mount): what belongs to the directory's owner is the cell's there, and what
the cell makes belongs to the owner on the disk. Only root can do it, in a
mount namespace that nobody else sees.

Source:
    mount_setattr(2), "ID-mapped mounts"; user_namespaces(7).
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.spawner import Program

if TYPE_CHECKING:
    from cleveragents.boundary.spawner import Spawner

IDS: Final = 0xFFFFFFFF
"""How many there are; the last number means "no id"."""
_OPEN_TREE: Final = 428
_MOVE_MOUNT: Final = 429
_MOUNT_SETATTR: Final = 442
"""The same on every architecture (they are newer than the unified table)."""
_AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_AT_RECURSIVE: Final = 0x8000
_OPEN_TREE_CLONE: Final = 1
_MOVE_FROM_DESCRIPTOR: Final = 4
_MOUNT_ATTR_IDMAP: Final = 0x00100000
_ATTRIBUTE_BYTES: Final = 32
# The namespace lives as long as a process in it, or a descriptor of it, does.
_HOLDER: Final = (
    "import ctypes,os,sys;"
    "ctypes.CDLL(None).unshare(0x10000000) and sys.exit();"
    "os.write(int(sys.argv[1]),b'1');"
    "os.read(int(sys.argv[2]),1)"
)

_libc = ctypes.CDLL(None, use_errno=True)


def exchanged(one: int, other: int) -> str:
    """Write the map that exchanges two ids and leaves all others, as the kernel reads it.

    >>> exchanged(1, 3).splitlines()
    ['0 0 1', '1 3 1', '2 2 1', '3 1 1', '4 4 4294967291']
    >>> exchanged(7, 7)
    '0 0 4294967295'
    """
    if one == other:
        return f"0 0 {IDS}"
    low, high = sorted((one, other))
    spans = (
        (0, 0, low),
        (low, high, 1),
        (low + 1, low + 1, high - low - 1),
        (high, low, 1),
        (high + 1, high + 1, IDS - high - 1),
    )
    return "\n".join(f"{inside} {outside} {size}" for inside, outside, size in spans if size)


def open_namespace(spawner: Spawner, *, uids: str, gids: str) -> int:
    """Make a user namespace with these maps and give a descriptor of it.

    Raises:
        OSError: The kernel makes none, or not with these maps.
    """
    ready, says = os.pipe2(os.O_CLOEXEC)
    holds, hold = os.pipe2(os.O_CLOEXEC)
    line = [os.path.realpath(sys.executable), "-I", "-S", "-c", _HOLDER, str(says), str(holds)]
    try:
        process = spawner.start(Program(line=line, descriptors=(says, holds)))
        for descriptor in (says, holds):
            os.close(descriptor)
        says = holds = -1
        try:
            if os.read(ready, 1) != b"1":
                raise PermissionError(1, "no user namespace can be made")
            place = Path("/proc") / str(process.pid)
            (place / "uid_map").write_text(uids, encoding="ascii")
            (place / "gid_map").write_text(gids, encoding="ascii")
            return os.open(place / "ns/user", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            process.kill()
            process.wait_dead()
    finally:
        for descriptor in (ready, says, holds, hold):
            if descriptor >= 0:
                with suppress(OSError):
                    os.close(descriptor)


def mount_exchanged(source: Path, target: Path, namespace: int) -> None:
    """Mount a directory, with what is mounted beneath it, at a place, its owners exchanged.

    Called on the thread whose mount namespace is private.

    Raises:
        OSError: The file system, the kernel or its rules do not allow it.
    """
    tree = _check(
        _libc.syscall(
            _OPEN_TREE,
            _AT_FDCWD,
            os.fsencode(source),
            ctypes.c_uint(_OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_RECURSIVE),
        )
    )
    try:
        # The four fields of mount_attr: set, clear, propagation, namespace.
        attributes = _MOUNT_ATTR_IDMAP.to_bytes(8, sys.byteorder) + bytes(16)
        attributes += namespace.to_bytes(8, sys.byteorder)
        _check(
            _libc.syscall(
                _MOUNT_SETATTR,
                tree,
                b"",
                ctypes.c_uint(_AT_EMPTY_PATH | _AT_RECURSIVE),
                attributes,
                ctypes.c_size_t(_ATTRIBUTE_BYTES),
            )
        )
        _check(
            _libc.syscall(
                _MOVE_MOUNT,
                tree,
                b"",
                _AT_FDCWD,
                os.fsencode(target),
                ctypes.c_uint(_MOVE_FROM_DESCRIPTOR),
            )
        )
    finally:
        os.close(tree)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
