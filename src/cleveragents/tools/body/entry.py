"""What a path names as it is now, by digest, without following a link."""

from __future__ import annotations

import os
import stat

from cleveragents.terms.digest import digest_bytes
from cleveragents.tools.body import argument
from cleveragents.tools.body.beneath import (
    CHUNK_BYTES,
    NEW_FILE_MODE,
    READ_FLAGS,
    open_parent,
    read_all,
    reason_of,
    split_path,
)
from cleveragents.tools.body.line_range import digest_of
from cleveragents.tools.body.listing import kind_of

# No typing: it is what a cold cell would wait for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

MAX_EDIT_BYTES: Final = 64 * CHUNK_BYTES
"""A larger file is not edited: it is held in memory twice."""
_KEPT_MODE_BITS: Final = 0o777


class Entry:
    """A directory's entry as it is: absent, a file or a link.

    Args:
        kind: What it is.
        mode: Its permissions.
        size: In bytes.
        digest: Of its content, or of a link's target; ``None`` when absent.
        data: Its content, only when it was asked for.
    """

    # Written out: importing dataclasses takes as long as starting Python.
    __slots__ = ("data", "digest", "kind", "mode", "size")

    def __init__(
        self,
        kind: str,
        *,
        mode: int = NEW_FILE_MODE,
        size: int = 0,
        digest: str | None = None,
        data: bytes = b"",
    ) -> None:
        self.kind = kind
        self.mode = mode
        self.size = size
        self.digest = digest
        self.data = data


def entry_at(tool: str, root_fd: int, path: str, *, with_data: bool = False) -> Entry:
    """Look at what a path names, without following a link.

    Raises:
        ToolFailedError: It cannot be looked at, or is neither file nor link.
    """
    if path == ".":
        argument.fail(tool, "'.' is the workspace itself")
    try:
        parent = open_parent(root_fd, path, create=False)
    except FileNotFoundError:
        return Entry("absent")
    except OSError as error:
        argument.fail(tool, reason_of(error, path))
    try:
        return _entry_in(tool, parent, path, with_data=with_data)
    except FileNotFoundError:
        return Entry("absent")
    except OSError as error:
        argument.fail(tool, reason_of(error, path))
    finally:
        os.close(parent)


def _entry_in(tool: str, parent: int, path: str, *, with_data: bool) -> Entry:
    name = split_path(path)[1]
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    kind, mode = kind_of(status.st_mode), stat.S_IMODE(status.st_mode) & _KEPT_MODE_BITS
    if kind == "link":
        target = os.fsencode(os.readlink(name, dir_fd=parent))
        return Entry(kind, mode=mode, size=len(target), digest=link_digest(target))
    if kind != "file":
        what = "a directory" if kind == "directory" else "neither file nor link"
        argument.fail(tool, f"{path!r} is {what}")
    fd = os.open(name, READ_FLAGS | os.O_NOFOLLOW, dir_fd=parent)
    try:
        if not with_data:
            return Entry(
                kind, mode=mode, size=status.st_size, digest=digest_of(fd, size=status.st_size)
            )
        if status.st_size > MAX_EDIT_BYTES:
            argument.fail(tool, f"{path!r} is larger than {MAX_EDIT_BYTES} bytes")
        data = read_all(fd, size=status.st_size)
        return Entry(kind, mode=mode, size=len(data), digest=digest_bytes(data), data=data)
    finally:
        os.close(fd)


def link_digest(target: bytes) -> str:
    """Digest of a symbolic link: of where it points, never of what is there."""
    return digest_bytes(b"link:" + target)


def digest_files(root_fd: int, arguments: Mapping[str, object]) -> dict[str, object]:
    """Give the digest of each of ``paths`` as it is now; ``None`` when absent.

    Raises:
        ToolFailedError: A path cannot be looked at, or is a directory.
    """
    paths = arguments.get("paths")
    if not isinstance(paths, list | tuple):
        argument.fail("digest_files", "'paths' is not a list")
    found: dict[str, str | None] = {}
    for raw in paths:
        path = argument.path({"path": raw}, "path", tool="digest_files")
        found[path] = entry_at("digest_files", root_fd, path).digest
    return {"digests": found}
