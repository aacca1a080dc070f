"""Lists directories without following any link."""

from __future__ import annotations

import os
import stat

from cleveragents.terms.excerpt import json_bytes, shown_name
from cleveragents.tools.body import argument
from cleveragents.tools.body.beneath import DIRECTORY_FLAGS, open_beneath, reason_of

# No typing: it is what a cold cell would wait for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

MAX_ENTRIES: Final = 5_000
MAX_LISTING_JSON_BYTES: Final = 800_000
MAX_DEPTH: Final = 32


class _Listing:
    # Written out: importing dataclasses takes as long as starting Python.
    __slots__ = ("entries", "is_full", "room", "unreadable")

    def __init__(self) -> None:
        self.entries: list[dict[str, object]] = []
        self.room = MAX_LISTING_JSON_BYTES
        self.is_full = False
        self.unreadable = 0

    def add(self, entry: dict[str, object]) -> None:
        self.room -= json_bytes(entry) + 1
        if self.room < 0 or len(self.entries) == MAX_ENTRIES:
            self.is_full = True
            return
        self.entries.append(entry)


def list_directory(root_fd: int, arguments: Mapping[str, object]) -> dict[str, object]:
    """List a directory, each one before its content, by name.

    Returns:
        ``entries`` of ``path``, ``kind`` and ``size``; ``truncated``; ``note``.

    Raises:
        ToolFailedError: It is no readable directory beneath the workspace.
    """
    path = argument.path(arguments, "path", tool="list_directory", absent=".")
    depth = argument.integer(arguments, "depth", tool="list_directory") or 1
    listing = _Listing()
    try:
        fd = open_beneath(root_fd, path, DIRECTORY_FLAGS)
        try:
            _list(fd, "" if path == "." else path + "/", min(depth, MAX_DEPTH), listing)
        finally:
            os.close(fd)
    except OSError as error:
        argument.fail("list_directory", reason_of(error, path))
    notes = []
    if listing.is_full:
        notes.append(f"cut after {len(listing.entries)} entries; list a directory further down")
    if listing.unreadable:
        notes.append(f"directories that could not be read: {listing.unreadable}")
    return {
        "entries": listing.entries,
        "truncated": listing.is_full,
        "note": "; ".join(notes),
    }


def _list(fd: int, prefix: str, depth: int, listing: _Listing) -> None:
    with os.scandir(fd) as found:
        names = sorted(entry.name for entry in found)
    for name in names:
        if listing.is_full:
            return
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            continue
        kind = kind_of(status.st_mode)
        listing.add({"path": shown_name(prefix + name), "kind": kind, "size": status.st_size})
        if kind == "directory" and depth > 1:
            _descend(fd, name, prefix=prefix, depth=depth, listing=listing)


def _descend(fd: int, name: str, *, prefix: str, depth: int, listing: _Listing) -> None:
    try:
        below = os.open(name, DIRECTORY_FLAGS | os.O_NOFOLLOW, dir_fd=fd)
    except OSError:
        listing.unreadable += 1
        return
    try:
        _list(below, f"{prefix}{name}/", depth - 1, listing)
    finally:
        os.close(below)


def kind_of(mode: int) -> str:
    """Name what a mode's file is: ``file``, ``directory``, ``link`` or ``other``."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"
