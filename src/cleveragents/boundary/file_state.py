"""What stands at a path of a person's directory, compared with what a tree says?"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import Literal

from cleveragents.boundary.apply_journal import FileState
from cleveragents.boundary.beneath_host import FILE_FLAGS, open_beneath, parent_of, read_all
from cleveragents.boundary.blob_writer import blob_id, pieces_of, stream_id
from cleveragents.boundary.git_answer import EXECUTABLE, LINK, REGULAR
from cleveragents.boundary.snapshot import HELD_BYTES

Kind = Literal["absent", "file", "link", "directory", "other", "blocked"]


@dataclass(frozen=True, slots=True)
class Standing:
    """What was found at a path."""

    kind: Kind
    """``blocked``: a parent is no directory."""
    facts: os.stat_result | None = None
    state: FileState | None = None
    """For files and links."""


ABSENT = Standing("absent")


def look_at(root: int, path: str) -> Standing:
    """Look beneath a directory, following nothing, and read what is there.

    Raises:
        OSError: It cannot be read.
    """
    try:
        with parent_of(root, path) as (parent, name):
            return _look(parent, name)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return ABSENT
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            return Standing("blocked")
        raise


def _look(parent: int, name: str) -> Standing:
    facts = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISDIR(facts.st_mode):
        return Standing("directory", facts)
    if stat.S_ISLNK(facts.st_mode):
        target = os.fsencode(os.readlink(name, dir_fd=parent))
        return Standing("link", facts, FileState(LINK, blob_id(target)))
    if not stat.S_ISREG(facts.st_mode):
        return Standing("other", facts)
    descriptor = open_beneath(parent, name, FILE_FLAGS)
    try:
        facts = os.fstat(descriptor)
        if facts.st_size > HELD_BYTES:
            blob = stream_id(pieces_of(descriptor), facts.st_size)
        else:
            blob = blob_id(read_all(descriptor, facts.st_size))
    finally:
        os.close(descriptor)
    mode = EXECUTABLE if facts.st_mode & stat.S_IXUSR else REGULAR
    return Standing("file", facts, FileState(mode, blob))


def reason_for_difference(expected: FileState | None, found: Standing) -> str | None:
    """Say how a path differs from what the plan started from; ``None`` when it does not."""
    if expected is None:
        return {
            "absent": None,
            "blocked": "a directory on its way is a file or a link here",
            "directory": "a directory is there that the plan did not see",
        }.get(found.kind, "something is there that the plan did not see")
    match found.kind:
        case "absent" | "blocked":
            return "it was deleted since the plan started"
        case "directory" | "other":
            return "something else took its place since the plan started"
    if found.state == expected:
        return None
    if found.state is not None and found.state.blob == expected.blob:
        is_other_kind = LINK in (found.state.mode, expected.mode)
        return (
            "a link and a file changed places since the plan started"
            if is_other_kind
            else "its mode changed since the plan started"
        )
    return "it changed since the plan started"
