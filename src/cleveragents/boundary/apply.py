"""How does a finished change get into a person's directory: all of it, or nothing?

Checked first, staged beside the files, journaled outside the directory, put in
place by renames. A kill at any moment leaves a journal; the next apply to the
directory finishes what it says where it can, else undoes it.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.apply_check import ApplyConflict, DirectoryCheck
from cleveragents.boundary.apply_journal import Journal, JournalShelf, Step
from cleveragents.boundary.apply_run import ApplyRun, Recovered, failed, said
from cleveragents.boundary.apply_step import StepBlockedError, StepRunner
from cleveragents.boundary.beneath_host import parent_of
from cleveragents.boundary.returned_name import is_git_name, reason_against
from cleveragents.errors import ConfigurationError, MergeConflictError, MergeRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cleveragents.boundary.git import Git
    from cleveragents.boundary.git_answer import RawChange

_PLAN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """What an apply did."""

    written: tuple[str, ...]
    deleted: tuple[str, ...]


def _nothing(_: str) -> None:
    return None


class DirectoryApply:
    """Writes changes into directories of the person's."""

    def __init__(
        self, git: Git, journal_root: Path, *, at_step: Callable[[str], None] = _nothing
    ) -> None:
        """Bind the tree store and the place of the journals.

        Args:
            git: Where the trees are.
            journal_root: A private directory outside of every workspace.
            at_step: Told before each step what comes; tests end the process there.
        """
        self._git = git
        self._journals = journal_root
        self._at_step = at_step

    def check(self, directory: Path, base: str, tree: str) -> tuple[ApplyConflict, ...]:
        """Say where the directory is not what the plan started from; nothing is written.

        Args:
            directory: The person's.
            base: The tree that was read from it when the plan started.
            tree: What the plan made of it.

        Raises:
            ConfigurationError: The directory cannot be opened.
            RecordError: A tree is not stored.
        """
        changes = self._git.raw_changes(base, tree)
        with _opened(directory) as root:
            check = DirectoryCheck(root, changes, "check")
            check.look()
        return tuple(check.conflicts)

    def apply(self, directory: Path, base: str, tree: str, *, plan_id: str) -> ApplyReport:
        """Bring a change into a directory: all files, or none.

        What an earlier apply left unfinished there is finished or undone
        first. Applying once more what is applied already does nothing.

        Args:
            directory: The person's.
            base: The tree that was read from it when the plan started.
            tree: What the plan made of it.
            plan_id: Whose change it is.

        Raises:
            MergeConflictError: Files differ from ``base``; nothing was written.
            MergeRefusedError: The change holds a name that may not come back.
            ApplyFailedError: The disk is full, or a directory is read-only.
            PlanBusyError: Another process applies to the directory.
            ConfigurationError: The directory cannot be opened.
            RecordError: A tree is not stored, or a journal is damaged.
        """
        if not _PLAN_ID.fullmatch(plan_id):
            raise ConfigurationError(problem=f"{plan_id!r} is no plan's id")
        changes = self._git.raw_changes(base, tree)
        _refuse_names(plan_id, changes)
        shelf = JournalShelf(self._journals, os.path.realpath(directory))
        with _opened(directory) as root, _told(plan_id, directory), shelf.locked(plan_id):
            for journal in shelf.unfinished():
                self._recover(root, directory, journal)
            check = DirectoryCheck(root, changes, plan_id)
            check.look()
            if check.conflicts:
                paths = tuple(conflict.path for conflict in check.conflicts)
                raise MergeConflictError(plan_id=plan_id, paths=paths)
            if check.read_only:
                places = ", ".join(sorted(one or "the directory" for one in check.read_only))
                raise failed(plan_id, directory, f"{places} cannot be written")
            self._write(root, directory, shelf, plan_id, check.steps())
        return ApplyReport(
            written=tuple(change.path for change in changes if change.after is not None),
            deleted=tuple(change.path for change in changes if change.after is None),
        )

    def recover(self, directory: Path) -> tuple[Recovered, ...]:
        """Finish or undo what was left unfinished in a directory.

        Raises:
            ApplyFailedError: The disk is full, or a directory is read-only.
            PlanBusyError: Another process applies to the directory.
            ConfigurationError: The directory cannot be opened.
            RecordError: A journal is damaged.
        """
        shelf = JournalShelf(self._journals, os.path.realpath(directory))
        if not shelf.unfinished():
            return ()
        with _opened(directory) as root, _told("", directory), shelf.locked(""):
            return tuple(self._recover(root, directory, journal) for journal in shelf.unfinished())

    def cut_off(self, directory: Path) -> tuple[str, ...]:
        """Name the plans whose apply to a directory was killed; it is not whole.

        Raises:
            PlanBusyError: An apply to the directory is under way.
            RecordError: A journal is damaged.
        """
        shelf = JournalShelf(self._journals, os.path.realpath(directory))
        if not shelf.unfinished():
            return ()
        # Under the lock: what is left then belongs to no living process.
        with _told("", directory), shelf.locked(""):
            return tuple(journal.plan_id for journal in shelf.unfinished())

    def _recover(self, root: int, directory: Path, journal: Journal) -> Recovered:
        return ApplyRun(StepRunner(root), directory, journal, self._at_step).recover()

    def _write(
        self, root: int, directory: Path, shelf: JournalShelf, plan_id: str, steps: tuple[Step, ...]
    ) -> None:
        if not steps:
            return
        stages = tuple(dict.fromkeys(step.stage for step in steps if step.stage))
        self._at_step("journal")
        journal = shelf.begin(plan_id, stages, steps)
        run = ApplyRun(StepRunner(root), directory, journal, self._at_step)
        try:
            self._stage(run.runner, stages, steps)
            self._at_step("commit")
            journal.advance("commit")
            run.commit()
        except (OSError, StepBlockedError) as error:
            raise run.give_up(error) from error
        run.tidy()

    def _stage(self, runner: StepRunner, stages: tuple[str, ...], steps: tuple[Step, ...]) -> None:
        for stage in stages:
            self._at_step(f"stage {stage}")
            # Of an apply of the same plan that was undone but could not be cleared away.
            runner.remove_stage(stage)
            with parent_of(runner.root, stage) as (parent, name):
                os.mkdir(name, 0o700, dir_fd=parent)
        wanted: dict[str, list[Step]] = {}
        for step in steps:
            if step.kind == "put" and step.after is not None:
                wanted.setdefault(step.after.blob, []).append(step)
        for stream in self._git.stream_blobs(wanted):
            first, *others = wanted[stream.blob]
            pieces = list(stream.pieces()) if others else stream.pieces()
            for step in (first, *others):
                self._at_step(f"stage {step.path}")
                runner.stage(step, pieces)


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    try:
        root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigurationError(
            problem=f"cannot open the directory: {error.strerror}", where=str(directory)
        ) from error
    try:
        yield root
    finally:
        os.close(root)


@contextlib.contextmanager
def _told(plan_id: str, directory: Path) -> Iterator[None]:
    """Turn what the machine says outside of the steps into one clear error."""
    try:
        yield
    except OSError as error:
        raise failed(plan_id, directory, said(error)) from error


def _refuse_names(plan_id: str, changes: tuple[RawChange, ...]) -> None:
    """Hold every name against the rules once more: here it would take effect."""
    problems = []
    for change in changes:
        if change.after is not None:
            reason = reason_against(change.path)
        else:
            is_git = any(is_git_name(part) for part in change.path.split("/"))
            reason = "it is git's own" if is_git else None
        if reason is not None:
            problems.append(f"{change.path}: {reason}")
    if problems:
        raise MergeRefusedError(plan_id=plan_id, problems=tuple(problems))
