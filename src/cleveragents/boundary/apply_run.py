"""How does one journaled apply come to its end: in place, or undone?"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cleveragents.boundary.apply_check import parents
from cleveragents.boundary.apply_step import StepBlockedError, StepRunner
from cleveragents.boundary.beneath_host import parent_of, sync_filesystem
from cleveragents.errors import ApplyFailedError, MergeConflictError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cleveragents.boundary.apply_journal import Journal


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of an apply that had been killed."""

    plan_id: str
    how: Literal["finished", "undone"]
    kept: tuple[str, ...] = ()
    """Files of the directory that somebody else changed meanwhile; where the old ones lie."""


@dataclass(frozen=True, slots=True)
class ApplyRun:
    """One apply, from its journal on."""

    runner: StepRunner
    directory: Path
    journal: Journal
    at_step: Callable[[str], None]

    def commit(self) -> None:
        """Put everything in place; what is there already is left.

        Raises:
            StepBlockedError: Somebody changed a path meanwhile.
            OSError: The disk is full, or a directory is read-only.
        """
        for step in self.journal.steps:
            self.at_step(f"{step.kind} {step.path}")
            self.runner.do(step)
        sync_filesystem(self.runner.root)
        self.at_step("done")
        self.journal.advance("done")

    def give_up(self, cause: OSError | StepBlockedError) -> Exception:
        """Undo everything, and give the error that the caller has to know.

        The next apply to the directory tries again where this one cannot.
        """
        plan_id = self.journal.plan_id
        try:
            self.bring_back()
        except OSError as error:
            problem = f"{said(cause)}, and then {said(error)}"
            return failed(plan_id, self.directory, problem, is_whole=False)
        if isinstance(cause, StepBlockedError):
            return MergeConflictError(plan_id=plan_id, paths=(cause.path,))
        problem = said(cause)
        if self.runner.kept:
            kept = ", ".join(self.runner.kept)
            problem += f"; files that changed meanwhile stay, the old ones are {kept}"
        return failed(plan_id, self.directory, problem)

    def bring_back(self) -> None:
        """Undo everything.

        Raises:
            OSError: The disk is full, or a directory is read-only.
        """
        # Before the commit began nothing was in place, and what looks like ours is somebody's.
        steps = () if self.journal.phase == "stage" else self.journal.steps
        for step in reversed(steps):
            self.at_step(f"undo {step.kind} {step.path}")
            self.runner.undo(step)
        sync_filesystem(self.runner.root)
        self.at_step("undone")
        if not self.runner.kept:
            for stage in self.journal.stages:
                self.runner.remove_stage(stage)
        self.journal.remove()

    def tidy(self) -> None:
        """Clear away what was only needed in between; nothing can be lost any more.

        Raises:
            OSError: It cannot be cleared away.
        """
        for stage in self.journal.stages:
            self.at_step(f"clear {stage}")
            self.runner.remove_stage(stage)
        emptied = {
            directory
            for step in self.journal.steps
            if step.kind == "remove"
            for directory in parents(step.path)
        }
        for directory in sorted(emptied, key=lambda one: (-one.count("/"), one)):
            with (
                contextlib.suppress(OSError),
                parent_of(self.runner.root, directory) as (parent, name),
            ):
                os.rmdir(name, dir_fd=parent)
        self.at_step("forget")
        self.journal.remove()

    def recover(self) -> Recovered:
        """Finish what a killed process left, where that can be done, else undo it.

        Raises:
            ApplyFailedError: Neither can be done now.
            OSError: It is done, and cannot be cleared away.
        """
        cause: Exception | None = None
        if self.journal.phase == "commit":
            try:
                self.commit()
            except (OSError, StepBlockedError) as error:
                cause = error
        if self.journal.phase == "done":
            self.tidy()
            return Recovered(self.journal.plan_id, "finished")
        try:
            self.bring_back()
        except OSError as error:
            plan_id = self.journal.plan_id
            problem = f"an earlier apply of {plan_id} cannot be undone: {said(error)}"
            raise failed(plan_id, self.directory, problem, is_whole=False) from cause or error
        return Recovered(self.journal.plan_id, "undone", tuple(self.runner.kept))


def said(error: Exception) -> str:
    """Say what went wrong, for the middle of a sentence."""
    if isinstance(error, OSError):
        where = f" at {error.filename!r}" if isinstance(error.filename, str) else ""
        return f"{(error.strerror or str(error)).lower()}{where}"
    return f"{error} changed meanwhile"


def failed(
    plan_id: str, directory: Path, problem: str, *, is_whole: bool = True
) -> ApplyFailedError:
    """Build the one error of an apply that the machine stopped."""
    return ApplyFailedError(
        plan_id=plan_id, directory=str(directory), problem=problem, is_whole=is_whole
    )
