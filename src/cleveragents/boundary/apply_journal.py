"""What was an apply about to do, when it was killed?

The journal is on disk, outside the directory, before the directory changes.
One file for each unfinished apply; its last word says how far it came.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from cleveragents.errors import PlanBusyError, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Phase = Literal["stage", "commit", "done"]
"""Nothing in place yet; some may be in place; everything is."""
StepKind = Literal["remove", "rmdir", "mkdir", "put"]
_SUFFIX: Final = ".journal"


class FileState(msgspec.Struct, frozen=True, array_like=True):
    """What stands at a path: a file or link with this content."""

    mode: str
    blob: str


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the directory, which can be done twice and undone."""

    kind: StepKind
    path: str
    number: int
    """Names what belongs to it in the staging directory."""
    stage: str = ""
    """The staging directory, relative to the directory that is applied to."""
    before: FileState | None = None
    after: FileState | None = None
    permissions: int = 0
    """Of a new file or directory, or of the directory that is removed."""
    uid: int = -1
    gid: int = -1


class _Header(msgspec.Struct, frozen=True):
    plan_id: str
    directory: str
    stages: tuple[str, ...]
    steps: tuple[Step, ...]


class Journal:
    """The journal of one apply."""

    def __init__(self, place: Path, header: _Header, phase: Phase) -> None:
        self._place = place
        self.plan_id = header.plan_id
        self.stages = header.stages
        self.steps = header.steps
        self.phase = phase

    def advance(self, phase: Phase) -> None:
        """Say, durably, that the next phase begins.

        Raises:
            OSError: It cannot be written; then the phase has not begun.
        """
        with self._place.open("ab") as out:
            out.write(phase.encode("ascii") + b"\n")
            out.flush()
            os.fsync(out.fileno())
        self.phase = phase

    def remove(self) -> None:
        """Forget it: the directory is whole."""
        self._place.unlink(missing_ok=True)
        _sync(self._place.parent)


class JournalShelf:
    """The journals of one directory."""

    def __init__(self, root: Path, directory: str) -> None:
        key = hashlib.sha256(os.fsencode(directory)).hexdigest()[:32]
        self._place = root / key
        self._directory = directory

    @contextlib.contextmanager
    def locked(self, plan_id: str) -> Iterator[None]:
        """Hold the directory against every other apply.

        Raises:
            PlanBusyError: Another process applies to it.
            OSError: The journal cannot be kept.
        """
        self._place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._place / "lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise PlanBusyError(
                    plan_id=plan_id, owner=f"another apply to {self._directory}"
                ) from error
            yield

    def begin(self, plan_id: str, stages: tuple[str, ...], steps: tuple[Step, ...]) -> Journal:
        """Write a journal down, durably, before anything is touched.

        Raises:
            OSError: It cannot be written.
        """
        header = _Header(plan_id, self._directory, stages, steps)
        place = self._place / f"{plan_id}{_SUFFIX}"
        temporary = place.with_suffix(".new")
        with temporary.open("wb") as out:
            out.write(msgspec.json.encode(header) + b"\nstage\n")
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(place)
        _sync(self._place)
        return Journal(place, header, "stage")

    def unfinished(self) -> tuple[Journal, ...]:
        """Give the journals of applies that were killed.

        Raises:
            RecordError: One is damaged.
        """
        if not self._place.is_dir():
            return ()
        return tuple(self._load(place) for place in sorted(self._place.glob(f"*{_SUFFIX}")))

    def _load(self, place: Path) -> Journal:
        first, *words = place.read_bytes().split(b"\n")
        phase: Phase = "stage"
        # The last word may be torn; then the phase that it names has not begun.
        if b"done" in words[:-1]:
            phase = "done"
        elif b"commit" in words[:-1]:
            phase = "commit"
        try:
            return Journal(place, msgspec.json.decode(first, type=_Header), phase)
        except msgspec.MsgspecError as error:
            raise RecordError(
                problem=f"the journal {place} of an interrupted apply is damaged",
                hint=f"look into {self._directory} for '.cleveragents-' directories",
            ) from error


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
