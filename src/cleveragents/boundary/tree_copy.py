"""How is a directory of a workspace copied, exactly, without following anything?

Content by reference where the file system can, else by the kernel. Deletions,
opaque marks, owners, modes and times of an overlay's layer come along.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.beneath_host import (
    FILE_FLAGS,
    open_directory,
    opened,
    set_mode,
    write_all,
)
from cleveragents.boundary.overlay_layer import is_opaque, is_whiteout, make_opaque, put_whiteout
from cleveragents.boundary.returned_name import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cleveragents.boundary.layout import Owner

_FICLONE: Final = 0x40049409
"""ioctl_ficlone(2): share the blocks of a whole file until one side writes."""
_CANNOT_CLONE: Final = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM}
)
_PIECE_BYTES: Final = 1 << 20


def copy_tree(
    source: Path, target: Path, *, owner: Owner | None
) -> Iterator[tuple[str, os.stat_result]]:
    """Copy what is in one directory into another that is empty, lazily.

    Devices that are no deletions are left behind; a cell cannot make any. A
    directory too deep to be collected comes without its content: it goes on
    being refused, and a guest may nest deeper than any stack.

    Args:
        source: Nobody changes it meanwhile.
        target: An empty directory of the host's.
        owner: Who owns the copy; ``None`` keeps each file's owner, where the host may.

    Yields:
        Each regular file's path and what ``stat`` says of the copy.

    Raises:
        OSError: The disk is full, or something cannot be read.
    """
    with opened(source) as from_, opened(target) as to:
        yield from _copy_directory(from_, to, "", owner)


def _copy_directory(
    from_: int, to: int, prefix: str, owner: Owner | None
) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(from_) as listing:
        found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in listing]
    for name, facts in found:
        if stat.S_ISREG(facts.st_mode):
            yield prefix + name, _copy_file(from_, to, name, facts, owner)
        elif stat.S_ISDIR(facts.st_mode):
            yield from _copy_below(from_, to, name, facts, prefix, owner)
        else:
            _copy_special(from_, to, name, facts, owner)


def copy_entry(from_: int, to: int, name: str, facts: os.stat_result) -> None:
    """Copy one entry that is no directory, its owner included."""
    if stat.S_ISREG(facts.st_mode):
        _copy_file(from_, to, name, facts, None)
    else:
        _copy_special(from_, to, name, facts, None)


def _copy_special(
    from_: int, to: int, name: str, facts: os.stat_result, owner: Owner | None
) -> None:
    if stat.S_ISLNK(facts.st_mode):
        os.symlink(os.readlink(name, dir_fd=from_), name, dir_fd=to)
        _own(to, name, facts, owner)
    elif is_whiteout(facts):
        put_whiteout(to, name)
        _own(to, name, facts, owner)
    elif stat.S_ISFIFO(facts.st_mode) or stat.S_ISSOCK(facts.st_mode):
        # Nobody will use it, but a collection must go on refusing it.
        os.mknod(name, facts.st_mode, dir_fd=to)


def _own(to: int, name: str, facts: os.stat_result, owner: Owner | None) -> None:
    if os.geteuid() == 0:
        uid, gid = owner or (facts.st_uid, facts.st_gid)
        os.chown(name, uid, gid, dir_fd=to, follow_symlinks=False)


def _copy_below(
    from_: int, to: int, name: str, facts: os.stat_result, prefix: str, owner: Owner | None
) -> Iterator[tuple[str, os.stat_result]]:
    os.mkdir(name, 0o700, dir_fd=to)
    source = open_directory(from_, name, facts)
    try:
        target = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=to)
        try:
            if prefix.count("/") < MAX_DEPTH:
                yield from _copy_directory(source, target, f"{prefix}{name}/", owner)
            _own(to, name, facts, owner)
            os.fchmod(target, stat.S_IMODE(facts.st_mode))
            os.utime(target, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
        finally:
            os.close(target)
    finally:
        os.close(source)
    if is_opaque(from_, name):
        make_opaque(to, name)


def _copy_file(
    from_: int, to: int, name: str, facts: os.stat_result, owner: Owner | None
) -> os.stat_result:
    if not facts.st_mode & stat.S_IRUSR:
        set_mode(from_, name, stat.S_IMODE(facts.st_mode) | stat.S_IRUSR, kind=stat.S_IFREG)
    source = os.open(name, FILE_FLAGS, dir_fd=from_)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        target = os.open(name, flags, 0o600, dir_fd=to)
        try:
            copy_content(source, target)
            _own(to, name, facts, owner)
            os.fchmod(target, stat.S_IMODE(facts.st_mode))
            os.utime(target, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
            return os.fstat(target)
        finally:
            os.close(target)
    finally:
        os.close(source)


def copy_content(source: int, target: int) -> None:
    """Copy a whole file into an empty one: by reference, by the kernel, or by hand."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _CANNOT_CLONE:
            raise
    else:
        return
    with contextlib.suppress(OSError):
        while os.copy_file_range(source, target, 1 << 30):
            pass
    # What the kernel could not do is done by hand, from where it stopped; usually nothing.
    while piece := os.read(source, _PIECE_BYTES):
        write_all(target, piece)


def size_of(directory: Path) -> int:
    """Say how many bytes of disk the files below a directory take, one that changes meanwhile.

    A guest may be writing, so what vanishes between two looks counts nothing;
    what cannot be entered counts nothing either.
    """
    total = 0
    waiting = [str(directory)]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as listing:
            for entry in listing:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


def is_empty(directory: Path) -> bool:
    """Say whether nothing is in a directory."""
    with os.scandir(directory) as listing:
        return next(listing, None) is None
