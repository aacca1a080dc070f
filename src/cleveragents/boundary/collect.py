"""What did a dead guest change, and what of it may come back?

Host side, after the cell's process 1 has ended (isolation, rules 6 to 10):
what stands in the layers is looked at without following, held against the
rules, and only then read. Every problem is one sentence about one path.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cleveragents.boundary.beneath_host import (
    FILE_FLAGS,
    open_beneath,
    opened,
    parent_of,
    read_all,
    set_mode,
)
from cleveragents.boundary.ignore_pattern import MAX_IGNORE_BYTES
from cleveragents.boundary.leave_out import IGNORE_FILE, LeaveOutTree
from cleveragents.boundary.returned_name import reason_against, twins
from cleveragents.boundary.snapshot import HELD_BYTES, link_stays_inside
from cleveragents.terms.proposal import FileChange, RefusedPath

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cleveragents.boundary.blob_writer import BlobWriter
    from cleveragents.boundary.difference import Candidate, Difference
    from cleveragents.boundary.git_answer import TreeEntry
    from cleveragents.boundary.leave_out import LeaveOutRules
    from cleveragents.terms.proposal import ChangeKind


@dataclass(frozen=True, slots=True)
class CollectLimits:
    """How much may come back; checked before anything is read."""

    file_bytes: int = 64 << 20
    total_bytes: int = 1 << 30
    files: int = 100_000


@dataclass(frozen=True, slots=True)
class Collected:
    """What may come back, what may not, and what was left where it was."""

    changes: tuple[FileChange, ...]
    refused: tuple[RefusedPath, ...]
    ignored: int


@dataclass(slots=True)
class Collector:
    """The rules of one collection."""

    difference: Difference
    layers: tuple[Path, ...]
    """By the number that the candidates carry."""
    admits: Callable[[str], bool]
    """Whether a path may be written."""
    rules: LeaveOutRules
    base_ignores: Callable[[str], str | None]
    limits: CollectLimits
    allow_links: bool = True
    _descriptors: list[int] = field(default_factory=list)
    _unreadable: dict[str, str] = field(default_factory=dict)
    """Ignore files that could not be read, and why."""

    def collect(self, writer: BlobWriter) -> Collected:
        """Check and read everything that changed.

        Raises:
            OSError: A blob cannot be written, or a layer cannot be read.
        """
        difference = self.difference
        if not (difference.there or difference.gone or difference.refused):
            # The files of the base tree, which can be many, need not even be listed.
            return Collected((), (), difference.own_repository)
        tree = LeaveOutTree(self.rules, self._ignore_text)
        kept = self._without_ignored(tree)
        # What is left where it is need not keep the rules: package managers link files hard.
        refused = {
            path: reason
            for path, reason in difference.refused.items()
            if path == "." or path in difference.base.entries or not tree.leaves_out(path)
        }
        ignored = len(difference.there) - len(kept) + len(difference.refused) - len(refused)
        for path in sorted(difference.gone):
            if not self.admits(path):
                refused[path] = "it was deleted, outside the write paths"
        for path in sorted(kept):
            reason = self._against(path, kept[path])
            if reason is not None:
                refused[path] = reason
        refused |= self._unreadable
        refused |= self._against_all(kept, refused)
        self._descriptors = [os.open(one, os.O_RDONLY | os.O_DIRECTORY) for one in self.layers]
        try:
            changes = self._read(kept, refused, writer)
        finally:
            for descriptor in self._descriptors:
                os.close(descriptor)
        said = tuple(
            RefusedPath(os.fsencode(path).decode("utf-8", "backslashreplace"), refused[path])
            for path in sorted(refused)
        )
        return Collected(tuple(changes), said, ignored + difference.own_repository)

    def _without_ignored(self, tree: LeaveOutTree) -> dict[str, Candidate]:
        base = self.difference.base.entries
        return {
            path: candidate
            for path, candidate in self.difference.there.items()
            if path in base or not tree.leaves_out(path)
        }

    def _ignore_text(self, directory: str) -> str | None:
        path = directory + IGNORE_FILE
        candidate = self.difference.there.get(path)
        if candidate is None:
            return None if path in self.difference.gone else self.base_ignores(directory)
        if candidate.kind != "file":
            return None
        try:
            with opened(self.layers[candidate.layer]) as root:
                descriptor = _open_file(root, path, candidate)
                try:
                    return os.read(descriptor, MAX_IGNORE_BYTES).decode("utf-8", "surrogateescape")
                finally:
                    os.close(descriptor)
        except OSError as error:
            # The guest's file and the guest's fault: no reason to end whoever collects.
            self._unreadable[path] = f"it cannot be read: {error.strerror}"
            return None

    def _against(self, path: str, candidate: Candidate) -> str | None:
        reason = reason_against(path)
        if reason is not None:
            return reason
        if not self.admits(path):
            return "it is outside the write paths"
        if candidate.kind == "link":
            return None if self.allow_links else "it is a link"
        if candidate.facts.st_size > self.limits.file_bytes:
            return f"it is larger than {self.limits.file_bytes} bytes"
        return None

    def _against_all(self, kept: dict[str, Candidate], refused: dict[str, str]) -> dict[str, str]:
        problems = {}
        base = self.difference.base.entries
        left = [path for path in kept if path not in refused]
        added = [path for path in left if path not in base]
        index = self.difference.base.spellings if added else {}
        for path, other in twins(added, index, self.difference.stays).items():
            problems[path] = f"it differs from {other!r} by letter case only"
        if len(left) > self.limits.files:
            problems["."] = f"more than {self.limits.files} files changed"
        if sum(kept[path].facts.st_size for path in left) > self.limits.total_bytes:
            problems["."] = f"the changed files hold more than {self.limits.total_bytes} bytes"
        return problems

    def _read(
        self, kept: dict[str, Candidate], refused: dict[str, str], writer: BlobWriter
    ) -> list[FileChange]:
        base = self.difference.base.entries
        changes = [
            FileChange(path, "deleted", None, None)
            for path in sorted(self.difference.gone)
            if path not in refused and path not in kept
        ]
        if "." in refused:
            return changes
        for path in sorted(kept):
            if path in refused:
                continue
            candidate = kept[path]
            blob = self._blob(path, candidate, refused, writer)
            if blob and not _is_same(base.get(path), candidate.mode, blob):
                kind: ChangeKind = "modified" if path in base else "added"
                size = candidate.facts.st_size
                changes.append(FileChange(path, kind, candidate.mode, blob, size))
        return sorted(changes, key=lambda change: change.path)

    def _blob(
        self, path: str, candidate: Candidate, refused: dict[str, str], writer: BlobWriter
    ) -> str:
        root = self._descriptors[candidate.layer]
        if candidate.kind == "link":
            with parent_of(root, path) as (parent, name):
                target = os.readlink(name, dir_fd=parent)
            if not link_stays_inside(path, target):
                refused[path] = "it is a link that is absolute or leaves the workspace"
                return ""
            return writer.add(os.fsencode(target))
        descriptor = _open_file(root, path, candidate)
        try:
            facts = os.fstat(descriptor)
            if (facts.st_ino, facts.st_size, facts.st_nlink) != (
                candidate.facts.st_ino,
                candidate.facts.st_size,
                1,
            ) or not stat.S_ISREG(facts.st_mode):
                refused[path] = "it changed while it was collected"
                return ""
            if facts.st_size > HELD_BYTES:
                return writer.add_file(descriptor, facts.st_size)
            return writer.add(read_all(descriptor, facts.st_size))
        finally:
            os.close(descriptor)


def _open_file(root: int, path: str, candidate: Candidate) -> int:
    if not candidate.facts.st_mode & stat.S_IRUSR:
        # A dead guest's file that nobody may read: its owner, which we are, may allow it.
        with parent_of(root, path) as (parent, name):
            mode = stat.S_IMODE(candidate.facts.st_mode) | stat.S_IRUSR
            set_mode(parent, name, mode, kind=stat.S_IFREG)
    return open_beneath(root, path, FILE_FLAGS)


def _is_same(entry: TreeEntry | None, mode: str, blob: str) -> bool:
    return entry is not None and (entry.mode, entry.blob) == (mode, blob)
