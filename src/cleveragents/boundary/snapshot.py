"""How is a person's directory read into a tree, without running or following anything?

With directory descriptors and O_NOFOLLOW all the way. What stands there is
data: ignore files are read as text, links are kept as text or left out, and
git never sees the directory (isolation, finding 8).
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from cleveragents.boundary.beneath_host import DIRECTORY_FLAGS, FILE_FLAGS, open_beneath, read_all
from cleveragents.boundary.git_answer import EXECUTABLE, LINK, REGULAR, TreeEntry
from cleveragents.boundary.ignore_pattern import MAX_IGNORE_BYTES
from cleveragents.boundary.leave_out import IGNORE_FILE, IgnoreScope, LeaveOutRules
from cleveragents.boundary.returned_name import MAX_DEPTH, is_git_name, is_plain_text

if TYPE_CHECKING:
    from cleveragents.boundary.blob_writer import BlobWriter
    from cleveragents.boundary.stat_cache import StatCache
    from cleveragents.terms.proposal import FileMode

HELD_BYTES: Final = 16 << 20
"""Larger files are read in pieces, twice."""
STAGING_PREFIX: Final = ".cleveragents-"
"""Begins the names of what an apply keeps in a directory while it works."""
_EXCLUDE_FILE: Final = ".git/info/exclude"

Why = Literal["ignored", "secret", "git", "link", "special", "name", "unreadable", "depth", "own"]
REASONS: Final[dict[str, str]] = {
    "ignored": "ignored by a .gitignore",
    "secret": "holds secrets by its name",
    "git": "git's own directory",
    "link": "a link that is absolute or leaves the directory",
    "special": "a socket, a fifo or a device",
    "name": "its name is not UTF-8 or holds control characters",
    "unreadable": "cannot be read",
    "own": "left by an apply that was interrupted",
    "depth": f"deeper than {MAX_DEPTH} directories",
}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something of the directory that the plan does not see; a directory ends in ``/``."""

    path: str
    why: Why

    @property
    def reason(self) -> str:
        """In words."""
        return REASONS[self.why]


def link_stays_inside(path: str, target: str) -> bool:
    """Say whether a link at ``path`` that says ``target`` stays in the workspace, as text.

    >>> link_stays_inside("docs/a", "../b"), link_stays_inside("a", "../b")
    (True, False)
    """
    if not target or target.startswith("/") or not is_plain_text(target):
        return False
    # `a/../..` climbs by where `a` really leads, so a `..` may only stand at the start.
    parts = [part for part in target.split("/") if part not in ("", ".")]
    climbs = 0
    while climbs < len(parts) and parts[climbs] == "..":
        climbs += 1
    if ".." in parts[climbs:] or any(is_git_name(part) for part in parts):
        return False
    return climbs <= posixpath.dirname(path).count("/") + bool(posixpath.dirname(path))


@dataclass(slots=True)
class DirectoryReader:
    """One reading of one directory."""

    rules: LeaveOutRules
    cache: StatCache
    writer: BlobWriter
    entries: list[TreeEntry] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def read(self, root: int) -> None:
        """Read the directory behind a descriptor.

        Raises:
            OSError: It cannot be listed, or a blob cannot be written.
        """
        exclude = None
        with contextlib.suppress(OSError):
            exclude = _read_text(open_beneath(root, _EXCLUDE_FILE))
        self._directory(root, IgnoreScope().with_text(exclude), 0)

    def _directory(self, descriptor: int, scope: IgnoreScope, depth: int) -> None:
        with os.scandir(descriptor) as listing:
            found = sorted(listing, key=lambda entry: entry.name)
        if not scope.is_ignored and any(entry.name == IGNORE_FILE for entry in found):
            with contextlib.suppress(OSError):
                scope = scope.with_text(
                    _read_text(os.open(IGNORE_FILE, FILE_FLAGS, dir_fd=descriptor))
                )
        for entry in found:
            self._entry(descriptor, scope, entry, depth)

    def _entry(self, parent: int, scope: IgnoreScope, entry: os.DirEntry[str], depth: int) -> None:
        name = entry.name
        path = scope.directory + name
        try:
            facts = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        is_directory = stat.S_ISDIR(facts.st_mode)
        why = self._why_left_out(scope, path, name, is_directory=is_directory)
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        if why is not None and not (is_directory and self.rules.leads_to_shown(path)):
            self.left_out.append(LeftOut(shown + "/" * is_directory, why))
        elif is_directory:
            self._enter(parent, scope.enter(name, is_ignored=why is not None), name, depth)
        elif stat.S_ISREG(facts.st_mode):
            self._file(parent, name, path, facts)
        elif stat.S_ISLNK(facts.st_mode):
            self._link(parent, name, path)
        else:
            self.left_out.append(LeftOut(shown, "special"))

    def _why_left_out(
        self, scope: IgnoreScope, path: str, name: str, *, is_directory: bool
    ) -> Why | None:
        if not is_plain_text(name):
            return "name"
        if is_git_name(name):
            return "git"
        if name.startswith(STAGING_PREFIX):
            return "own"
        if self.rules.is_shown(path):
            return None
        if self.rules.is_secret(path, is_directory=is_directory):
            return "secret"
        return "ignored" if scope.ignores(name, is_directory=is_directory) else None

    def _enter(self, parent: int, scope: IgnoreScope, name: str, depth: int) -> None:
        if depth >= MAX_DEPTH:
            self.left_out.append(LeftOut(scope.directory, "depth"))
            return
        try:
            descriptor = os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
        except OSError as error:
            self._cannot_open(scope.directory, error)
            return
        try:
            self._directory(descriptor, scope, depth + 1)
        finally:
            os.close(descriptor)

    def _file(self, parent: int, name: str, path: str, facts: os.stat_result) -> None:
        mode: FileMode = EXECUTABLE if facts.st_mode & stat.S_IXUSR else REGULAR
        blob = self.cache.known(path, facts)
        if not blob:
            try:
                descriptor = os.open(name, FILE_FLAGS, dir_fd=parent)
            except OSError as error:
                self._cannot_open(path, error)
                return
            try:
                blob = self._read(descriptor, path)
            finally:
                os.close(descriptor)
        self.entries.append(TreeEntry(path, mode, blob, facts.st_size))

    def _cannot_open(self, path: str, error: OSError) -> None:
        """Name what may not be read; pass over what vanished; end on what is no file's fault."""
        if error.errno in (errno.EACCES, errno.EPERM):
            self.left_out.append(LeftOut(path, "unreadable"))
        elif error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            raise error

    def _read(self, descriptor: int, path: str) -> str:
        before = os.fstat(descriptor)
        if before.st_size > HELD_BYTES:
            blob = self.writer.add_file(descriptor, before.st_size)
        else:
            blob = self.writer.add(read_all(descriptor, before.st_size))
        after = os.fstat(descriptor)
        if (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size):
            self.cache.remember(path, after, blob)
        return blob

    def _link(self, parent: int, name: str, path: str) -> None:
        target = os.readlink(name, dir_fd=parent)
        if link_stays_inside(path, target):
            blob = self.writer.add(os.fsencode(target))
            self.entries.append(TreeEntry(path, LINK, blob, len(target)))
        else:
            self.left_out.append(LeftOut(path, "link"))


def _read_text(descriptor: int) -> str | None:
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return os.read(descriptor, MAX_IGNORE_BYTES).decode("utf-8", "surrogateescape")
    finally:
        os.close(descriptor)
