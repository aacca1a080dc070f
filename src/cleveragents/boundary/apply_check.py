"""May a change be written into a person's directory, and by which steps?

The directory is held against what the plan started from: a file that changed
since, or one that the plan never saw, is a conflict and never overwritten.
"""

from __future__ import annotations

import os
import posixpath
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.apply_journal import FileState, Step
from cleveragents.boundary.beneath_host import DIRECTORY_FLAGS, mount_of, open_beneath
from cleveragents.boundary.file_state import Standing, look_at, reason_for_difference
from cleveragents.boundary.git_answer import EXECUTABLE
from cleveragents.boundary.snapshot import STAGING_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cleveragents.boundary.git_answer import RawChange, Stage

_READ_BITS: Final = 0o444


@dataclass(frozen=True, slots=True)
class ApplyConflict:
    """A path where the directory is not what the plan started from."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Place:
    """An existing directory: who owns it, and where its staging directory lies."""

    uid: int
    gid: int
    mount_root: str
    """The highest directory on the same mount; empty for the top."""
    is_writable: bool


def _state(side: Stage | None) -> FileState | None:
    return None if side is None else FileState(side.mode, side.blob)


def parents(path: str) -> Iterator[str]:
    """Give the directories above a path, the nearest first, without the top."""
    while path := posixpath.dirname(path):
        yield path


@dataclass(slots=True)
class DirectoryCheck:
    """One look at a directory, for one change."""

    root: int
    changes: tuple[RawChange, ...]
    plan_id: str
    conflicts: list[ApplyConflict] = field(default_factory=list)
    read_only: list[str] = field(default_factory=list)
    """Existing directories that would have to be written and cannot be."""
    _removed: frozenset[str] = frozenset()
    _directories: frozenset[str] = frozenset()
    """Directories that the change puts something into."""
    _found: dict[str, Standing] = field(default_factory=dict)
    _places: dict[str, _Place] = field(default_factory=dict)

    def look(self) -> None:
        """Compare every path of the change with what is there.

        Raises:
            OSError: Something cannot be read.
        """
        self._removed = frozenset(one.path for one in self.changes if one.after is None)
        self._directories = frozenset(
            directory
            for change in self.changes
            if change.after is not None
            for directory in parents(change.path)
        )
        for change in self.changes:
            found = look_at(self.root, change.path)
            self._found[change.path] = found
            if self._is_done(change):
                continue
            reason = self._reason(change, found)
            if reason is not None:
                self.conflicts.append(ApplyConflict(change.path, reason))
            else:
                self._note_directory(change.path)

    def _is_done(self, change: RawChange) -> bool:
        """Say whether a path already is as the plan leaves it: no conflict, nothing to do."""
        found = self._found[change.path]
        if change.after is None:
            # A directory of the name is what the plan put there, when an apply is repeated.
            is_replaced = found.kind == "directory" and change.path in self._directories
            return is_replaced or found.kind in ("absent", "blocked")
        return found.state == _state(change.after)

    def _reason(self, change: RawChange, found: Standing) -> str | None:
        if change.before is None and found.kind == "directory":
            other = self._foreign_entry(change.path)
            return f"{other} is in the directory of this name" if other else None
        is_blocked = change.before is None and found.kind == "blocked"
        if is_blocked and any(directory in self._removed for directory in parents(change.path)):
            return None
        return reason_for_difference(_state(change.before), found)

    def _foreign_entry(self, directory: str) -> str:
        """Give the first file below a directory that the change does not remove, or ''."""
        descriptor = open_beneath(self.root, directory, DIRECTORY_FLAGS)
        try:
            with os.scandir(descriptor) as listing:
                entries = [(one.name, one.is_dir(follow_symlinks=False)) for one in listing]
        finally:
            os.close(descriptor)
        for name, is_directory in entries:
            path = f"{directory}/{name}"
            if is_directory:
                if other := self._foreign_entry(path):
                    return other
            elif path not in self._removed:
                return path
        return ""

    def _note_directory(self, path: str) -> None:
        place = self._place(posixpath.dirname(path))
        if not place.is_writable:
            existing = posixpath.dirname(path)
            if existing not in self.read_only:
                self.read_only.append(existing)

    def _place(self, directory: str) -> _Place:
        """Describe a directory, or the nearest one above it that exists."""
        known = self._places.get(directory)
        if known is None:
            known = self._describe(directory)
            self._places[directory] = known
        return known

    def _describe(self, directory: str) -> _Place:
        try:
            descriptor = open_beneath(self.root, directory, DIRECTORY_FLAGS)
        except OSError:
            if not directory:
                raise
            return self._place(posixpath.dirname(directory))
        try:
            facts = os.fstat(descriptor)
            mount = mount_of(descriptor)
            is_writable = os.access(".", os.W_OK | os.X_OK, dir_fd=descriptor, effective_ids=True)
        finally:
            os.close(descriptor)
        mount_root = directory
        if directory:
            above = self._place(posixpath.dirname(directory))
            if self._mount_of_place(posixpath.dirname(directory)) == mount:
                mount_root = above.mount_root
        return _Place(facts.st_uid, facts.st_gid, mount_root, is_writable)

    def _mount_of_place(self, directory: str) -> int:
        descriptor = open_beneath(self.root, directory, DIRECTORY_FLAGS)
        try:
            return mount_of(descriptor)
        finally:
            os.close(descriptor)

    def steps(self) -> tuple[Step, ...]:
        """Give the steps, in the order in which they are done."""
        waiting = [change for change in self.changes if not self._is_done(change)]
        removes = [change for change in waiting if change.after is None]
        puts = [change for change in waiting if change.after is not None]
        steps: list[Step] = []
        for change in removes:
            steps.append(self._step(len(steps), "remove", change))
        for directory in self._replaced_directories(puts):
            steps.append(self._directory_step(len(steps), "rmdir", directory))
        for directory in self._missing_directories(puts):
            steps.append(self._directory_step(len(steps), "mkdir", directory))
        for change in puts:
            steps.append(self._step(len(steps), "put", change))
        return tuple(steps)

    def _stage_of(self, path: str) -> str:
        root = self._place(posixpath.dirname(path)).mount_root
        return f"{root}/{STAGING_PREFIX}{self.plan_id}".removeprefix("/")

    def _step(self, number: int, kind: str, change: RawChange) -> Step:
        found = self._found[change.path]
        place = self._place(posixpath.dirname(change.path))
        uid, gid, permissions = place.uid, place.gid, 0o644
        if change.after is not None and change.after.mode == EXECUTABLE:
            permissions = 0o755
        if found.kind == "file" and found.facts is not None:
            uid, gid = found.facts.st_uid, found.facts.st_gid
            permissions = kept_permissions(found.facts, is_executable=permissions == 0o755)  # noqa: PLR2004  # the octal mode above
        return Step(
            kind="remove" if kind == "remove" else "put",
            path=change.path,
            number=number,
            stage=self._stage_of(change.path),
            before=_state(change.before),
            after=_state(change.after),
            permissions=permissions,
            uid=uid,
            gid=gid,
        )

    def _directory_step(self, number: int, kind: str, directory: str) -> Step:
        place = self._place(posixpath.dirname(directory))
        permissions = 0o755
        uid, gid = place.uid, place.gid
        if kind == "rmdir":
            facts = look_at(self.root, directory).facts
            if facts is not None:
                permissions, uid, gid = stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid
        return Step(
            kind="rmdir" if kind == "rmdir" else "mkdir",
            path=directory,
            number=number,
            permissions=permissions,
            uid=uid,
            gid=gid,
        )

    def _replaced_directories(self, puts: Iterable[RawChange]) -> list[str]:
        """Give the directories that give way to a file, the deepest first."""
        found: set[str] = set()
        for change in puts:
            if self._found[change.path].kind == "directory":
                found |= set(self._directories_below(change.path))
        return sorted(found, key=lambda one: (-one.count("/"), one))

    def _directories_below(self, directory: str) -> Iterator[str]:
        descriptor = open_beneath(self.root, directory, DIRECTORY_FLAGS)
        try:
            with os.scandir(descriptor) as listing:
                names = [one.name for one in listing if one.is_dir(follow_symlinks=False)]
        finally:
            os.close(descriptor)
        for name in names:
            yield from self._directories_below(f"{directory}/{name}")
        yield directory

    def _missing_directories(self, puts: Iterable[RawChange]) -> list[str]:
        """Give the directories that have to be made, the highest first."""
        missing: set[str] = set()
        for change in puts:
            for directory in parents(change.path):
                if directory in missing or look_at(self.root, directory).kind == "directory":
                    break
                missing.add(directory)
        return sorted(missing, key=lambda one: (one.count("/"), one))


def kept_permissions(facts: os.stat_result, *, is_executable: bool) -> int:
    """Give a file's own permission bits, with only the executable bits brought in line."""
    # Content that somebody else wrote never runs as its owner or group.
    bits = stat.S_IMODE(facts.st_mode) & 0o777
    if is_executable == bool(bits & stat.S_IXUSR):
        return bits
    # Who may read may execute; a private file stays private.
    return bits | ((bits & _READ_BITS) >> 2) if is_executable else bits & ~0o111
