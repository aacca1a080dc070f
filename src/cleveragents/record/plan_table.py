"""Writes the ``plan`` table: every change with its entry in the record, or not at all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from cleveragents.errors import RecordError, UnknownPlanError
from cleveragents.record.entry import Entry
from cleveragents.record.plan_row import COLUMNS, SELECT, read_row, row_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.record.log import RecordLog
    from cleveragents.record.plan_row import PlanRow
    from cleveragents.record.store import Store

_INSERT: Final = (
    f"INSERT INTO plan ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608  # constants
    " ON CONFLICT (plan_id) DO NOTHING"
)
_UPDATE: Final = f"UPDATE plan SET {', '.join(f'{name} = ?' for name in COLUMNS)} WHERE plan_id = ?"  # noqa: S608  # constants
_FIXED: Final = frozenset({"plan_id", "parent_plan_id", "root_id", "depth"})


def row_digest(row: PlanRow) -> str:
    """Give the digest of a whole row, as ``plan_state`` entries hold it."""
    text = json.dumps(asdict(row), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class PlanTable:
    """Writes rows, each with its entry in the record.

    Args:
        store: Where the rows are.
        log: Appends the entries; must own a plan whose row is changed.
    """

    def __init__(self, store: Store, log: RecordLog) -> None:
        self._store = store
        self._log = log

    def create(self, row: PlanRow) -> PlanRow:
        """Insert a new plan.

        Raises:
            RecordError: This process does not own the root plan, or a plan of
                that id exists.
        """
        self._require_owned(row)
        with self._store.transaction():
            if self._store.change(_INSERT, row_values(row)) != 1:
                raise RecordError(problem=f"a plan with the id {row.plan_id} exists already")
            self._note(row, COLUMNS)
        return row

    def update(self, plan_id: str, /, **changes: object) -> PlanRow:
        """Change some columns of a plan, as its owner.

        Raises:
            UnknownPlanError: There is no such plan.
            RecordError: This process does not own the root plan, or no longer.
        """
        if not changes.keys() <= set(COLUMNS) - _FIXED:
            raise RecordError(problem=f"{', '.join(changes)}: not all of it can be changed")
        with self._store.transaction():
            row = self._locked(plan_id)
            self._require_owned(row)
            return self._change(row, changes)

    def request_cancel(self, plan_id: str) -> bool:
        """Ask the owner to cancel; anybody may.

        Returns:
            Whether the plan was not over yet.

        Raises:
            UnknownPlanError: There is no such plan.
        """
        with self._store.transaction():
            row = self._locked(plan_id)
            if row.state in {"errored", "cancelled"} or row.outcome in {"applied", "merged"}:
                return False
            if not row.cancel_requested:
                self._change(row, {"cancel_requested": True})
            return True

    def _locked(self, plan_id: str) -> PlanRow:
        rows = self._store.execute(
            SELECT + " WHERE plan_id = ?" + self._store.for_update, (plan_id,)
        )
        if not rows:
            raise UnknownPlanError(plan_id=plan_id)
        return read_row(rows[0])

    def _change(self, row: PlanRow, changes: Mapping[str, Any]) -> PlanRow:
        changed = replace(row, **changes)
        self._store.change(_UPDATE, (*row_values(changed), row.plan_id))
        self._note(changed, tuple(changes))
        return changed

    def _note(self, row: PlanRow, changed: tuple[str, ...]) -> None:
        body = {
            "phase": row.phase,
            "state": row.state,
            "outcome": row.outcome,
            "changed": sorted(changed),
            # Read back, so that what is hashed is what a reader is going to see.
            "row": row_digest(read_row(row_values(row))),
        }
        self._log.append(
            Entry(kind="plan_state", root_id=row.root_id, plan_id=row.plan_id, body=body)
        )

    def _require_owned(self, row: PlanRow) -> None:
        if not self._log.owns(row.root_id):
            raise RecordError(
                problem=f"plan {row.plan_id} is not run by this process, so its row stays"
            )
