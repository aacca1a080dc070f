"""Where two sides changed the same place: kept open in the record, settled by a person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cleveragents.boundary.git_answer import Stage, file_mode
from cleveragents.errors import ConfigurationError
from cleveragents.plans.plan_choice import SIDES, conflict_choice
from cleveragents.record.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.boundary.git import Git
    from cleveragents.boundary.git_answer import MergeConflict
    from cleveragents.plans.charter import Charter
    from cleveragents.plans.decision_book import DecisionBook
    from cleveragents.record.entry import Kind, StoredEntry
    from cleveragents.record.log import RecordLog


@dataclass(frozen=True, slots=True)
class OpenConflict:
    """One path that waits for a person."""

    call_id: str
    subplan_id: str
    path: str
    kind: str
    message: str
    sides: Mapping[str, Stage | None]


class ConflictBook:
    """Leaves, lists and settles conflicts of one plan's merges.

    Args:
        log: The record.
        git: Keeps the contents that a person gives.
        decisions: Where what a person chose is kept for people.
    """

    def __init__(self, log: RecordLog, git: Git, decisions: DecisionBook) -> None:
        self._log = log
        self._git = git
        self._decisions = decisions

    def choices(
        self,
        parent: Charter,
        call_ids: tuple[str, ...],
        *,
        subplan_id: str,
        conflicts: tuple[MergeConflict, ...],
    ) -> dict[str, Stage | None]:
        """What a person decided about exactly these conflicts, by path.

        Conflicts that nobody was asked about are recorded as open.

        Args:
            parent: The receiving plan.
            call_ids: Its spawn call, the latest attempt first: a program that
                was started again is not asked twice about the same.
            subplan_id: The child.
            conflicts: What the merge gave.
        """
        listed = [
            {
                "path": c.path,
                "kind": c.kind,
                "message": c.message,
                "base": _stage_to_list(c.base),
                "ours": _stage_to_list(c.ours),
                "theirs": _stage_to_list(c.theirs),
            }
            for c in conflicts
        ]
        for call_id in call_ids:
            latest: object = None
            for entry in self._log.call_entries(parent.plan_id, call_id):
                if entry.kind == "conflict":
                    latest = self._log.resolve(entry.body)["conflicts"]
            if latest == listed:
                return self.resolutions(parent.plan_id, call_id)
        body = {"subplan_id": subplan_id, "conflicts": listed}
        self._append("conflict", parent, call_ids[0], body)
        return {}

    def resolutions(self, plan_id: str, call_id: str) -> dict[str, Stage | None]:
        """What a person decided about the latest listing; ``None``: nothing stands there.

        What was decided about an earlier listing was decided about other
        contents, and counts for nothing.
        """
        found: dict[str, Stage | None] = {}
        for entry in self._log.call_entries(plan_id, call_id):
            if entry.kind == "conflict":
                found = {}
            elif entry.kind == "resolution":
                body = self._log.resolve(entry.body)
                found[str(body["path"])] = _stage(body["stage"])
        return found

    def open_conflicts(self, plan_id: str) -> tuple[OpenConflict, ...]:
        """Every path that no resolution names yet, the latest listing of each merge."""
        latest: dict[str, Mapping[str, object]] = {}
        for entry in self._log.entries(plan_id=plan_id, kind="conflict"):
            latest[entry.call_id] = self._log.resolve(entry.body)
        found: list[OpenConflict] = []
        for call_id, body in latest.items():
            settled = self.resolutions(plan_id, call_id)
            found += [
                _open_conflict(call_id, str(body["subplan_id"]), item)
                for item in cast("list[Mapping[str, object]]", body["conflicts"])
                if item["path"] not in settled
            ]
        return tuple(found)

    def listing(self, plan_id: str) -> list[dict[str, object]]:
        """The open conflicts as `plan conflicts` and `plan status` show them."""
        return [
            {
                "path": conflict.path,
                "kind": conflict.kind,
                "message": conflict.message,
                "subplan_id": conflict.subplan_id,
                "call_id": conflict.call_id,
            }
            for conflict in self.open_conflicts(plan_id)
        ]

    def resolve(self, charter: Charter, path: str, *, take: str, who: str = "") -> OpenConflict:
        """Settle one path.

        Args:
            charter: The conflicted plan.
            path: As ``plan conflicts`` lists it.
            take: ``ours``, ``theirs``, ``base``, or the path of a file.
            who: The person, where it is known.

        Raises:
            ConfigurationError: No such conflict is open, or the file cannot be read.
        """
        conflicts = self.open_conflicts(charter.plan_id)
        for conflict in conflicts:
            if conflict.path == path:
                stage = self._chosen(conflict, take)
                body = {"path": path, "take": take, "stage": _stage_to_list(stage)}
                settled = self._append("resolution", charter, conflict.call_id, body)
                choice = conflict_choice(
                    (path,),
                    take=take,
                    call_id=conflict.call_id,
                    parent=self._decisions.find_spawn(charter.plan_id, conflict.call_id),
                    key=f"resolve:{settled.position}",
                )
                self._decisions.record(charter, replace(choice, by="person", who=who))
                return conflict
        known = ", ".join(sorted(c.path for c in conflicts)) or "none"
        raise ConfigurationError(
            problem=f"no conflict is open in {path!r}", hint=f"open conflicts: {known}"
        )

    def _chosen(self, conflict: OpenConflict, take: str) -> Stage | None:
        if take in SIDES:
            return conflict.sides[take]
        try:
            content = Path(take).read_bytes()
        except OSError as error:
            raise ConfigurationError(
                problem=f"{take!r} is neither {', '.join(SIDES)} nor a file that can be read"
                f" ({error.strerror})"
            ) from error
        (blob,) = self._git.write_blobs([content])
        known = [stage for stage in conflict.sides.values() if stage is not None]
        mode = known[0].mode if known else file_mode("100644")
        return Stage(path=conflict.path, mode=mode, blob=blob)

    def _append(
        self, kind: Kind, charter: Charter, call_id: str, body: Mapping[str, object]
    ) -> StoredEntry:
        return self._log.append(
            Entry(
                kind=kind,
                root_id=charter.root_id,
                plan_id=charter.plan_id,
                call_id=call_id,
                body=body,
            )
        )


def _open_conflict(call_id: str, subplan_id: str, item: Mapping[str, object]) -> OpenConflict:
    return OpenConflict(
        call_id=call_id,
        subplan_id=subplan_id,
        path=str(item["path"]),
        kind=str(item["kind"]),
        message=str(item["message"]),
        sides={side: _stage(item[side]) for side in SIDES},
    )


def _stage_to_list(stage: Stage | None) -> list[str] | None:
    return None if stage is None else [stage.path, stage.mode, stage.blob]


def _stage(raw: object) -> Stage | None:
    if raw is None:
        return None
    path, mode, blob = cast("list[str]", raw)
    return Stage(path=path, mode=file_mode(mode), blob=blob)
