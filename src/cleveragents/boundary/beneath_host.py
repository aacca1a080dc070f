"""How does the host open a path beneath a directory that somebody else can write?

Never by a joined string: a component may have become a link since it was
looked at. The kernel resolves beneath the root (``openat2``); where it does
not know how, the path is walked one component at a time without following.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPENAT2: Final = 437
"""The same number on every architecture; openat2(2), Linux 5.6."""
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_NO_SYMLINKS: Final = 0x04
_RESOLVE_BENEATH: Final = 0x08
DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Without O_NONBLOCK a fifo that took a file's place would hold the host for ever."""

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def _openat2(root: int, path: str, flags: int) -> int:
    how = _OpenHow(
        flags=flags,
        mode=0,
        resolve=_RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS,
    )
    result = _libc.syscall(
        ctypes.c_long(_OPENAT2),
        ctypes.c_int(root),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if result >= 0:
        return int(result)
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), path)


def _check_beneath(path: str) -> list[str]:
    parts = path.split("/")
    if path.startswith("/") or ".." in parts:
        raise OSError(errno.EXDEV, "the path leaves the directory", path)
    return [part for part in parts if part not in ("", ".")]


def walk_open(root: int, path: str, flags: int) -> int:
    """Open a path beneath a directory by walking its components, following no link.

    The fallback of ``open_beneath``; public because both must be tested alike.

    Raises:
        OSError: As ``open_beneath``.
    """
    parts = _check_beneath(path)
    if not parts:
        return os.open(".", flags, dir_fd=root)
    current = root
    try:
        for part in parts[:-1]:
            following = os.open(part, DIRECTORY_FLAGS, dir_fd=current)
            if current != root:
                os.close(current)
            current = following
        return os.open(parts[-1], flags | os.O_NOFOLLOW, dir_fd=current)
    finally:
        if current != root:
            os.close(current)


def open_beneath(root: int, path: str, flags: int = FILE_FLAGS) -> int:
    """Open a path beneath a directory descriptor; links are refused in every component.

    Args:
        root: Directory descriptor, which the caller keeps.
        path: Relative, with ``/``; ``.`` and the empty string are the directory.
        flags: As for ``open``; nothing is created.

    Raises:
        OSError: ELOOP or ENOTDIR for a link, EXDEV for a path that leaves the
            directory, else what the kernel said.
    """
    _check_beneath(path)
    try:
        return _openat2(root, path or ".", flags | os.O_CLOEXEC)
    except OSError as error:
        # EPERM is what a container's system call filter says of a call that it does not know.
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EAGAIN):
            raise
    return walk_open(root, path, flags | os.O_CLOEXEC)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """Hold a directory of the host's own open, by its name."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def parent_of(root: int, path: str) -> Iterator[tuple[int, str]]:
    """Hold the parent directory of a path beneath ``root`` open, and give the last name.

    Raises:
        OSError: The parent is absent (ENOENT), or not a directory (ENOTDIR, ELOOP).
    """
    parent, _, name = path.rpartition("/")
    descriptor = open_beneath(root, parent, DIRECTORY_FLAGS)
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)


def stat_beneath(root: int, path: str) -> os.stat_result | None:
    """Say what stands at a path beneath ``root``, itself not followed; ``None`` if nothing.

    A parent that is no directory means that nothing stands there.
    """
    try:
        with parent_of(root, path) as (parent, name):
            return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def read_all(descriptor: int, size_hint: int) -> bytes:
    """Read a descriptor to its end; two calls for a file whose size was known."""
    first = os.read(descriptor, size_hint + 1)
    if len(first) <= size_hint and not os.read(descriptor, 1):
        return first
    os.lseek(descriptor, 0, os.SEEK_SET)
    pieces = []
    while piece := os.read(descriptor, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte; a short write is no error of ``os.write``."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_filesystem(descriptor: int) -> None:
    """Bring everything of one file system to the disk; one call instead of thousands."""
    if _libc.syncfs(ctypes.c_int(descriptor)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def mount_of(descriptor: int) -> int:
    """Give the id of the mount that a descriptor lives on; a rename cannot leave it."""
    facts = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
    return int(facts.partition("mnt_id:")[2].split()[0])


def set_mode(parent: int, name: str, mode: int, *, kind: int) -> None:
    """Set the permission bits of one entry that is what it is taken for, following no link.

    ``chmod`` by a name follows, and a program that lives on may put a link there.

    Args:
        parent: Descriptor of its directory.
        name: What is to be changed.
        mode: The permission bits.
        kind: ``S_IFREG`` or ``S_IFDIR``.

    Raises:
        OSError: ELOOP when something of another kind stands there.
    """
    descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if stat.S_IFMT(os.fstat(descriptor).st_mode) != kind:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        Path(f"/proc/self/fd/{descriptor}").chmod(mode)
    finally:
        os.close(descriptor)


def allow_owner(parent: int, name: str, found: os.stat_result) -> None:
    """Give the owner of a dead guest's directory the bits that the guest took away."""
    if found.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        mode = stat.S_IMODE(found.st_mode) | stat.S_IRWXU
        set_mode(parent, name, mode, kind=stat.S_IFDIR)


def open_directory(parent: int, name: str, found: os.stat_result) -> int:
    """Open a directory of a dead guest, giving the owner the bits that it took away.

    Only for directories that no living process can change: between the look
    and the change of mode the name must stay what it was.
    """
    allow_owner(parent, name, found)
    return os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
