"""The ``plan`` table: where each plan stands, for those who ask.

The row is a summary that is overwritten; the record is what happened. Each
change of a row therefore appends a ``plan_state`` entry with the digest of the
whole row, in the same transaction, so that an edited row shows in
``agents audit verify``.

Read by ``agents plan status``: nothing dear is imported here. Writing is in
``plan_table``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from cleveragents.errors import RecordError, UnknownPlanError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.record.engine import Row
    from cleveragents.record.store import Store
    from cleveragents.terms.plan import Outcome, Phase, State


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One plan, as ``plan status`` begins it."""

    plan_id: str
    root_id: str
    name: str
    parent_plan_id: str | None = None
    depth: int = 0
    phase: Phase = "execute"
    state: State = "queued"
    outcome: Outcome | None = None
    safety_profile: str = "unrestricted"
    profile_digest: str = ""
    automation_profile: str = ""
    isolation_tier: str = ""
    isolation_verified: bool = False
    workspace_dir: str = ""
    session_id: str = ""
    started: str = ""
    """RFC 3339, UTC."""
    ended: str | None = None
    elapsed_ms: int = 0
    """Processing time up to the last change of state."""
    definition_digest: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON for the plan's owner. Read by the status: ``conflicts``, ``isolation``
    and ``error``."""
    cancel_requested: bool = False


COLUMNS: Final = tuple(item.name for item in fields(PlanRow))
_LIST: Final = ", ".join(COLUMNS)
SELECT: Final = f"SELECT {_LIST} FROM plan"  # noqa: S608  # constants


def find(store: Store, plan_id: str) -> PlanRow | None:
    """Give a plan's row; ``None`` when there is no such plan."""
    rows = store.execute(SELECT + " WHERE plan_id = ?", (plan_id,))
    return read_row(rows[0]) if rows else None


def get(store: Store, plan_id: str) -> PlanRow:
    """Give a plan's row.

    Raises:
        UnknownPlanError: There is no such plan.
        RecordError: The row cannot be read.
    """
    row = find(store, plan_id)
    if row is None:
        raise UnknownPlanError(plan_id=plan_id)
    return row


def newest_root(store: Store) -> str | None:
    """Give the id of the root plan that was started last."""
    rows = store.execute(
        "SELECT plan_id FROM plan WHERE parent_plan_id IS NULL ORDER BY plan_id DESC LIMIT 1"
    )
    return str(rows[0][0]) if rows else None


def list_plans(
    store: Store,
    *,
    state: str | None = None,
    session_id: str | None = None,
    before: str | None = None,
    roots_only: bool = False,
    limit: int = 100,
) -> tuple[PlanRow, ...]:
    """Give plans, newest first.

    Args:
        store: Where they are.
        state: In this state only.
        session_id: Of this session only.
        before: Those older than this plan id, for the next page.
        roots_only: No subplans.
        limit: At most so many.
    """
    given = {"state = ?": state, "session_id = ?": session_id, "plan_id < ?": before}
    terms = {term: value for term, value in given.items() if value is not None}
    conditions = [*terms, *(["parent_plan_id IS NULL"] if roots_only else [])]
    if session_id:
        # Says again what the index of the sessions is made for.
        conditions.append("session_id <> ''")
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    rows = store.execute(
        SELECT + where + " ORDER BY plan_id DESC LIMIT ?", (*terms.values(), limit)
    )
    return tuple(map(read_row, rows))


def of_root(store: Store, root_id: str) -> tuple[PlanRow, ...]:
    """Give a root plan and all its subplans, in the order of their ids."""
    rows = store.execute(SELECT + " WHERE root_id = ? ORDER BY plan_id", (root_id,))
    return tuple(map(read_row, rows))


def family(store: Store, plan_id: str) -> tuple[PlanRow, ...]:
    """Give a plan and all its descendants, in the order of their ids.

    Raises:
        UnknownPlanError: There is no such plan.
    """
    top = get(store, plan_id)
    everyone = of_root(store, top.root_id)
    if top.parent_plan_id is None:
        return everyone
    inside = {plan_id}
    # By depth: a parent is known before its children, whatever their ids.
    for row in sorted(everyone, key=lambda row: row.depth):
        if row.parent_plan_id in inside:
            inside.add(row.plan_id)
    return tuple(row for row in everyone if row.plan_id in inside)


def children(store: Store, plan_id: str) -> tuple[PlanRow, ...]:
    """Give the direct subplans of a plan, in the order of their ids."""
    rows = store.execute(SELECT + " WHERE parent_plan_id = ? ORDER BY plan_id", (plan_id,))
    return tuple(map(read_row, rows))


def is_cancel_requested(store: Store, plan_id: str) -> bool:
    """Say whether somebody asked for the plan to be cancelled; cheap, for polling."""
    rows = store.execute("SELECT cancel_requested FROM plan WHERE plan_id = ?", (plan_id,))
    return bool(rows and rows[0][0])


def read_row(values: Row) -> PlanRow:
    """Make a row of the columns in the order of ``COLUMNS``.

    Raises:
        RecordError: The detail is no JSON object.
    """
    named = dict(zip(COLUMNS, values, strict=True))
    try:
        detail = json.loads(named["detail"])
    except (ValueError, TypeError, RecursionError):
        detail = None
    if not isinstance(detail, dict):
        raise RecordError(
            problem=f"the row of plan {named['plan_id']} cannot be read: its detail is no JSON"
            " object",
            hint="'agents audit verify' says more",
        )
    named["detail"] = detail
    named["isolation_verified"] = bool(named["isolation_verified"])
    named["cancel_requested"] = bool(named["cancel_requested"])
    return PlanRow(**named)


def row_values(row: PlanRow) -> tuple[Any, ...]:
    """Give the columns of a row in the order of ``COLUMNS``.

    Raises:
        RecordError: The detail is no JSON.
    """
    try:
        detail = json.dumps(row.detail, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError(
            problem=f"the detail of plan {row.plan_id} is no JSON: {error}"
        ) from error
    special = {
        "detail": detail,
        "isolation_verified": int(row.isolation_verified),
        "cancel_requested": int(row.cancel_requested),
    }
    return tuple(special.get(name, getattr(row, name)) for name in COLUMNS)
