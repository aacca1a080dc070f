"""Changes files in two steps: work out the digests, then do it by rename.

Between the steps the host writes its decision with the digests of before and
after. A run that is cut off at any point is therefore understood later: the
files are as before, or as after.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress

from cleveragents.terms.digest import digest_bytes
from cleveragents.tools.body import argument
from cleveragents.tools.body.beneath import (
    CHUNK_BYTES,
    NEW_FILE_MODE,
    READ_FLAGS,
    open_parent,
    reason_of,
    split_path,
)
from cleveragents.tools.body.entry import entry_at

# No typing: it is what a cold cell would wait for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Final

TEMPORARY_NAME: Final = ".cleveragents-write.tmp"
"""One per directory and always the same: a call that is run again removes what it left."""


class Prepared:
    """A change that is worked out and not made.

    Args:
        before: Digest of each path that changes, as it is; ``None`` when absent.
        after: Digest of each path as it is going to be.
        commit: Makes the change and gives the call's result; ``ToolFailedError`` when
            the system refuses it.
    """

    # Written out: importing dataclasses takes as long as starting Python.
    __slots__ = ("after", "before", "commit")

    def __init__(
        self,
        *,
        before: Mapping[str, str | None],
        after: Mapping[str, str | None],
        commit: Callable[[], dict[str, object]],
    ) -> None:
        self.before = before
        self.after = after
        self.commit = commit


def prepare_write(root_fd: int, arguments: Mapping[str, object]) -> Prepared:
    """Prepare to create a file or to replace its whole content.

    Raises:
        ToolFailedError: The path is a directory, a link, or cannot be reached.
    """
    tool = "write_file"
    path = argument.path(arguments, "path", tool=tool)
    data = _encode(tool, argument.text(arguments, "content", tool=tool))
    was = entry_at(tool, root_fd, path)
    if was.kind == "link":
        argument.fail(tool, f"{path!r} is a symbolic link; name the real path")
    digest = digest_bytes(data)

    def commit() -> dict[str, object]:
        with _told(tool, path):
            _replace(root_fd, path, (data,), mode=was.mode)
        return {
            "path": path,
            "created": was.kind == "absent",
            "size": len(data),
            "digest": digest,
        }

    return Prepared(before={path: was.digest}, after={path: digest}, commit=commit)


def prepare_edit(root_fd: int, arguments: Mapping[str, object]) -> Prepared:
    """Prepare to replace every occurrence of an exact text.

    Raises:
        ToolFailedError: The text is not there exactly ``count`` times, or the
            path is no file that can be edited.
    """
    tool = "edit_file"
    path = argument.path(arguments, "path", tool=tool)
    old = _encode(tool, argument.text(arguments, "old", tool=tool))
    new = _encode(tool, argument.text(arguments, "new", tool=tool))
    count = argument.integer(arguments, "count", tool=tool) or 1
    if not old:
        argument.fail(tool, "'old' is empty")
    was = entry_at(tool, root_fd, path, with_data=True)
    if was.kind != "file":
        what = "is a symbolic link; name the real path" if was.kind == "link" else "does not exist"
        argument.fail(tool, f"{path!r} {what}")
    there = was.data.count(old)
    if there != count:
        argument.fail(tool, f"{path!r} holds 'old' {there} times, not {count}; it is unchanged")
    data = was.data.replace(old, new)
    digest = digest_bytes(data)

    def commit() -> dict[str, object]:
        with _told(tool, path):
            _replace(root_fd, path, (data,), mode=was.mode)
        return {"path": path, "replaced": count, "size": len(data), "digest": digest}

    return Prepared(before={path: was.digest}, after={path: digest}, commit=commit)


def prepare_move(root_fd: int, arguments: Mapping[str, object]) -> Prepared:
    """Prepare to move one file or link to a path where nothing is.

    Raises:
        ToolFailedError: The source is missing or a directory, or the
            destination exists or cannot be reached.
    """
    tool = "move_file"
    source = argument.path(arguments, "source", tool=tool)
    destination = argument.path(arguments, "destination", tool=tool)
    was = entry_at(tool, root_fd, source)
    if was.kind == "absent":
        argument.fail(tool, f"{source!r} does not exist")
    if entry_at(tool, root_fd, destination).kind != "absent":
        argument.fail(tool, f"{destination!r} exists already")

    def commit() -> dict[str, object]:
        with _told(tool, f"{source} -> {destination}"):
            _move(root_fd, source, destination, mode=was.mode, is_link=was.kind == "link")
        return {
            "source": source,
            "destination": destination,
            "size": was.size,
            "digest": was.digest,
        }

    return Prepared(
        before={source: was.digest, destination: None},
        after={source: None, destination: was.digest},
        commit=commit,
    )


def prepare_delete(root_fd: int, arguments: Mapping[str, object]) -> Prepared:
    """Prepare to delete one file or link.

    Raises:
        ToolFailedError: It is missing, or a directory.
    """
    tool = "delete_file"
    path = argument.path(arguments, "path", tool=tool)
    was = entry_at(tool, root_fd, path)
    if was.kind == "absent":
        argument.fail(tool, f"{path!r} does not exist")

    def commit() -> dict[str, object]:
        with _told(tool, path), _parent(root_fd, path) as parent:
            os.unlink(split_path(path)[1], dir_fd=parent)
        return {"path": path, "kind": was.kind, "size": was.size}

    return Prepared(before={path: was.digest}, after={path: None}, commit=commit)


PREPARED: Final[Mapping[str, Callable[[int, Mapping[str, object]], Prepared]]] = {
    "write_file": prepare_write,
    "edit_file": prepare_edit,
    "move_file": prepare_move,
    "delete_file": prepare_delete,
}


def _encode(tool: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        argument.fail(tool, "the text is not valid Unicode")


@contextmanager
def _told(tool: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        argument.fail(tool, reason_of(error, path))


@contextmanager
def _parent(root_fd: int, path: str, *, create: bool = False) -> Iterator[int]:
    fd = open_parent(root_fd, path, create=create)
    try:
        yield fd
    finally:
        os.close(fd)


def _replace(root_fd: int, path: str, chunks: Iterable[bytes], *, mode: int) -> None:
    """Put a new file in the place of a path, whole or not at all."""
    with _parent(root_fd, path, create=True) as parent:
        with suppress(FileNotFoundError):
            os.unlink(TEMPORARY_NAME, dir_fd=parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(TEMPORARY_NAME, flags, NEW_FILE_MODE, dir_fd=parent)
        try:
            try:
                for chunk in chunks:
                    _write_all(fd, chunk)
                # The mode given to open is narrowed by the umask; this one is not.
                os.fchmod(fd, mode)
            finally:
                os.close(fd)
            os.rename(TEMPORARY_NAME, split_path(path)[1], src_dir_fd=parent, dst_dir_fd=parent)
        except OSError:
            with suppress(OSError):
                os.unlink(TEMPORARY_NAME, dir_fd=parent)
            raise


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _move(root_fd: int, source: str, destination: str, *, mode: int, is_link: bool) -> None:
    name, new_name = split_path(source)[1], split_path(destination)[1]
    with (
        _parent(root_fd, source) as parent,
        _parent(root_fd, destination, create=True) as new_parent,
    ):
        try:
            os.rename(name, new_name, src_dir_fd=parent, dst_dir_fd=new_parent)
        except OSError as error:
            # Two granted directories are two mounts, and a rename cannot cross them.
            if error.errno != errno.EXDEV:
                raise
        else:
            return
        if is_link:
            target = os.readlink(name, dir_fd=parent)
            os.symlink(target, new_name, dir_fd=new_parent)
        else:
            _replace(root_fd, destination, _content(parent, name), mode=mode)
        os.unlink(name, dir_fd=parent)


def _content(parent: int, name: str) -> Iterator[bytes]:
    fd = os.open(name, READ_FLAGS | os.O_NOFOLLOW, dir_fd=parent)
    try:
        while chunk := os.read(fd, CHUNK_BYTES):
            yield chunk
    finally:
        os.close(fd)
