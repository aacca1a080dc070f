"""Opens paths beneath one directory, whatever links a plan puts in the way.

The kernel resolves (``openat2``), so nothing can be swapped between a check
and the open. Where the call is missing, each component is opened by itself
without following any link: less comfortable, just as tight.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from contextlib import suppress
from functools import cache

# No typing: it is what a cold cell would wait for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

_SYS_OPENAT2: Final = 437
"""The same on every architecture (it is newer than the unified table)."""
_NO_MAGICLINKS: Final = 0x02
_NO_SYMLINKS: Final = 0x04
_BENEATH: Final = 0x08
_EAGAIN_TRIES: Final = 16

READ_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""Never waits for a named pipe's other end."""
DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY
NEW_FILE_MODE: Final = 0o644
NEW_DIRECTORY_MODE: Final = 0o755
CHUNK_BYTES: Final = 1 << 20


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


@cache
def _openat2() -> Callable[[int, bytes, int, int], int] | None:
    """Give the system call as a function, or ``None`` where the kernel has none."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    syscall.argtypes = (
        ctypes.c_long,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.POINTER(_OpenHow),
        ctypes.c_size_t,
    )
    size = ctypes.sizeof(_OpenHow)

    @cache
    def how(flags: int, resolve: int) -> ctypes.Structure:
        return _OpenHow(flags, 0, resolve)

    def call(root_fd: int, path: bytes, flags: int, resolve: int) -> int:
        return int(syscall(_SYS_OPENAT2, root_fd, path, how(flags, resolve), size))

    probe = call(-1, b".", DIRECTORY_FLAGS, _BENEATH)
    # A kernel that knows the call complains about the descriptor and about nothing else.
    return call if probe < 0 and ctypes.get_errno() == errno.EBADF else None


def open_beneath(root_fd: int, path: str, flags: int, *, follow: bool = True) -> int:
    """Open a normalised path beneath a directory; the caller closes the descriptor.

    Args:
        root_fd: The workspace.
        path: Normalised and inside; ``.`` is the workspace itself.
        flags: As for ``os.open``, without ``O_CREAT``.
        follow: Follow links that stay beneath; otherwise a link anywhere in
            the path is an error.

    Raises:
        OSError: ``EXDEV`` when a link leads outside, ``ELOOP`` for a link that
            is not followed, else what the kernel says.
    """
    call = _openat2()
    if call is None:
        return _open_by_component(root_fd, path, flags)
    resolve = _BENEATH | _NO_MAGICLINKS | (0 if follow else _NO_SYMLINKS)
    raw = os.fsencode(path)
    for _ in range(_EAGAIN_TRIES):
        fd = call(root_fd, raw, flags, resolve)
        if fd >= 0:
            return fd
        # The kernel answers EAGAIN when a rename elsewhere made it unsure.
        if ctypes.get_errno() not in {errno.EAGAIN, errno.EINTR}:
            break
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code), path)


def _open_by_component(root_fd: int, path: str, flags: int) -> int:
    parts = [part for part in path.split("/") if part != "."]
    if ".." in parts or path.startswith("/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    if not parts:
        return os.open(".", flags, dir_fd=root_fd)
    here = os.open(".", DIRECTORY_FLAGS, dir_fd=root_fd)
    try:
        for part in parts[:-1]:
            below = _open_directory(here, part)
            os.close(here)
            here = below
        return os.open(parts[-1], flags | os.O_NOFOLLOW, dir_fd=here)
    finally:
        os.close(here)


def _open_directory(here: int, name: str) -> int:
    try:
        return os.open(name, DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=here)
    except NotADirectoryError:
        # With O_DIRECTORY the kernel says ENOTDIR for a link; say what it is.
        if stat.S_ISLNK(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) from None
        raise


def split_path(path: str) -> tuple[str, str]:
    """Give the parent (``.`` for the workspace) and the last name of a path.

    >>> split_path("docs/a.md"), split_path("a.md")
    (('docs', 'a.md'), ('.', 'a.md'))
    """
    parent, _, name = path.rpartition("/")
    return parent or ".", name


def open_parent(root_fd: int, path: str, *, create: bool) -> int:
    """Open the directory that holds a path, for a change of its entry.

    No link is followed: what is changed is what the path says, so that the
    rule that admitted the path meant exactly this place.

    Args:
        root_fd: The workspace.
        path: Normalised, inside, not ``.``.
        create: Make the directories that are missing.

    Raises:
        OSError: As ``open_beneath``.
    """
    parent = split_path(path)[0]
    try:
        return open_beneath(root_fd, parent, DIRECTORY_FLAGS, follow=False)
    except FileNotFoundError:
        if not create:
            raise
    here = os.open(".", DIRECTORY_FLAGS, dir_fd=root_fd)
    try:
        for part in parent.split("/"):
            with suppress(FileExistsError):
                os.mkdir(part, NEW_DIRECTORY_MODE, dir_fd=here)
            below = _open_directory(here, part)
            os.close(here)
            here = below
    except OSError:
        os.close(here)
        raise
    return here


def read_all(fd: int, *, size: int) -> bytes:
    """Read a descriptor from its place to its end; ``size`` is what is expected."""
    first = os.read(fd, size + 1)
    if len(first) <= size:
        return first
    # It has grown since its size was asked for.
    chunks = [first]
    while chunk := os.read(fd, CHUNK_BYTES):
        chunks.append(chunk)
    return b"".join(chunks)


_REASONS: Final = {
    errno.EXDEV: "{!r} leads outside the workspace",
    errno.ELOOP: "{!r} passes through a symbolic link; name the real path",
    errno.ENOENT: "{!r} does not exist",
    errno.EISDIR: "{!r} is a directory",
    errno.ENOTDIR: "{!r} or a part of it is not a directory",
    errno.EROFS: "{!r} may not be changed here",
    errno.ENAMETOOLONG: "{!r} is too long for a path",
    errno.ENOSPC: "no space is left for {!r}",
    errno.EFBIG: "{!r} would be larger than a file may be here",
}


def reason_of(error: OSError, path: str) -> str:
    """Say in one sentence why a path could not be opened or changed."""
    known = _REASONS.get(error.errno or 0)
    if known is not None:
        return known.format(path)
    return f"{path!r}: {(error.strerror or 'the system refused it').lower()}"
