"""How is one step of an apply done, so that it can be done twice, and undone?

What is new waits in a staging directory beside the files, on the same mount,
and goes into place by a rename; what was there is kept beside it until
everything is in place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.beneath_host import (
    DIRECTORY_FLAGS,
    open_beneath,
    parent_of,
    write_all,
)
from cleveragents.boundary.file_state import look_at
from cleveragents.boundary.git_answer import LINK
from cleveragents.boundary.tree_removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cleveragents.boundary.apply_journal import Step

_NO_HARD_LINK = frozenset({errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES})

_CAPABILITIES: Final = "security.capability"


class StepBlockedError(Exception):
    """Somebody changed the path while the apply was under way."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@dataclass(slots=True)
class StepRunner:
    """Does and undoes steps beneath one directory."""

    root: int
    kept: list[str] = field(default_factory=list)
    """Where something was left that could not be put back, because somebody else was quicker."""

    def stage(self, step: Step, pieces: Iterable[bytes]) -> None:
        """Put the new content of a path beside it.

        Raises:
            OSError: The disk is full, or the directory is read-only.
        """
        descriptor = open_beneath(self.root, step.stage, DIRECTORY_FLAGS)
        try:
            self._write_new(descriptor, f"new-{step.number}", step, pieces)
        finally:
            os.close(descriptor)

    def _write_new(self, stage: int, name: str, step: Step, pieces: Iterable[bytes]) -> None:
        if step.after is not None and step.after.mode == LINK:
            os.symlink(b"".join(pieces), os.fsencode(name), dir_fd=stage)
            with contextlib.suppress(PermissionError):
                os.chown(name, step.uid, step.gid, dir_fd=stage, follow_symlinks=False)
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=stage)
        try:
            for piece in pieces:
                write_all(descriptor, piece)
            # Who is not root may not give files away; the group often can be kept.
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, step.uid if os.geteuid() == 0 else -1, step.gid)
            self._keep_attributes(descriptor, step)
            os.fchmod(descriptor, step.permissions)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _keep_attributes(self, descriptor: int, step: Step) -> None:
        """Carry extended attributes (access lists, labels) over, those that may be."""
        if step.before is None or step.before.mode == LINK:
            return
        with contextlib.suppress(OSError):
            old = open_beneath(self.root, step.path)
            try:
                for attribute in os.listxattr(old):
                    # What a file may do was granted to its old content, not to the new.
                    if attribute == _CAPABILITIES:
                        continue
                    with contextlib.suppress(OSError):
                        os.setxattr(descriptor, attribute, os.getxattr(old, attribute))
            finally:
                os.close(old)

    def do(self, step: Step) -> None:
        """Put one step in place; one that is in place already is left as it is.

        Raises:
            StepBlockedError: The path is neither as before nor as after.
            OSError: The disk is full, or a directory is read-only.
        """
        match step.kind:
            case "remove":
                self._remove(step)
            case "put":
                self._put(step)
            case "mkdir":
                self._make(step)
            case "rmdir":
                self._rmdir(step)

    def _remove(self, step: Step) -> None:
        found = look_at(self.root, step.path)
        # Once it was moved out, what stands there may be the directory that took its place.
        if found.kind in ("absent", "blocked") or self._has(step, "old"):
            return
        if found.state != step.before:
            raise StepBlockedError(step.path)
        self._move_out(step)

    def _put(self, step: Step) -> None:
        found = look_at(self.root, step.path)
        if not self._has(step, "new"):
            if found.state != step.after:
                raise StepBlockedError(step.path)
            return
        if found.kind == "absent":
            if step.before is not None and not self._has(step, "old"):
                raise StepBlockedError(step.path)
        elif step.before is None or found.state != step.before:
            raise StepBlockedError(step.path)
        else:
            self._keep_old(step)
        with self._sides(step) as (stage, parent, name):
            os.rename(f"new-{step.number}", name, src_dir_fd=stage, dst_dir_fd=parent)

    def _keep_old(self, step: Step) -> None:
        # By a second link, so that the path is never without a file; where the file system
        # or the kernel's policy has no hard links for us, by moving it away.
        with self._sides(step) as (stage, parent, name):
            try:
                os.link(
                    name,
                    f"old-{step.number}",
                    src_dir_fd=parent,
                    dst_dir_fd=stage,
                    follow_symlinks=False,
                )
            except FileExistsError:
                pass
            except OSError as error:
                if error.errno not in _NO_HARD_LINK:
                    raise
                os.rename(name, f"old-{step.number}", src_dir_fd=parent, dst_dir_fd=stage)

    def _move_out(self, step: Step) -> None:
        with self._sides(step) as (stage, parent, name):
            os.rename(name, f"old-{step.number}", src_dir_fd=parent, dst_dir_fd=stage)

    def _make(self, step: Step) -> None:
        with parent_of(self.root, step.path) as (parent, name):
            try:
                os.mkdir(name, 0o700, dir_fd=parent)
            except FileExistsError:
                if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                    raise StepBlockedError(step.path) from None
                return
            made = _open_made(parent, name, step)
            try:
                with contextlib.suppress(PermissionError):
                    os.fchown(made, step.uid if os.geteuid() == 0 else -1, step.gid)
                os.fchmod(made, step.permissions)
            finally:
                os.close(made)

    def _rmdir(self, step: Step) -> None:
        found = look_at(self.root, step.path)
        if found.kind != "directory":
            return
        with parent_of(self.root, step.path) as (parent, name):
            try:
                os.rmdir(name, dir_fd=parent)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise StepBlockedError(step.path) from error
                raise

    def undo(self, step: Step) -> None:
        """Bring one path back; one that was not touched is left as it is.

        Raises:
            OSError: The disk is full, or a directory is read-only.
        """
        match step.kind:
            case "remove" | "put":
                self._bring_back(step)
            case "mkdir":
                with (
                    contextlib.suppress(OSError),
                    parent_of(self.root, step.path) as (parent, name),
                ):
                    os.rmdir(name, dir_fd=parent)
            case "rmdir":
                self._make(step)

    def _bring_back(self, step: Step) -> None:
        found = look_at(self.root, step.path)
        is_ours = found.state is not None and found.state == step.after
        if not self._has(step, "old"):
            is_new = step.kind == "put" and step.before is None and not self._has(step, "new")
            if is_ours and is_new:
                with parent_of(self.root, step.path) as (parent, name):
                    os.unlink(name, dir_fd=parent)
            return
        if found.kind == "absent" or is_ours or found.state == step.before:
            with self._sides(step) as (stage, parent, name):
                os.rename(f"old-{step.number}", name, src_dir_fd=stage, dst_dir_fd=parent)
                # Two links to one file: the rename did nothing, and the second link goes.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"old-{step.number}", dir_fd=stage)
        else:
            self.kept.append(f"{step.stage}/old-{step.number} (was {step.path})")

    def _has(self, step: Step, which: str) -> bool:
        try:
            with parent_of(self.root, f"{step.stage}/{which}-{step.number}") as (stage, name):
                os.stat(name, dir_fd=stage, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    @contextlib.contextmanager
    def _sides(self, step: Step) -> Iterator[tuple[int, int, str]]:
        stage = open_beneath(self.root, step.stage, DIRECTORY_FLAGS)
        try:
            with parent_of(self.root, step.path) as (parent, name):
                yield stage, parent, name
        finally:
            os.close(stage)

    def remove_stage(self, stage: str) -> None:
        """Remove a staging directory with what is in it."""
        with contextlib.suppress(FileNotFoundError), parent_of(self.root, stage) as (parent, name):
            remove_tree(parent, name)


def _open_made(parent: int, name: str, step: Step) -> int:
    """Open a directory that was just made, unless its owner was quicker and put a link there."""
    try:
        return os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise StepBlockedError(step.path) from error
        raise
