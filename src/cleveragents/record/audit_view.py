"""The record as ``audit list``, ``show`` and ``export`` give it.

Read path: nothing dear is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cleveragents.errors import ConfigurationError
from cleveragents.record.violation_view import read_body

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cleveragents.record.engine import Row
    from cleveragents.record.store import Store

PAGE: Final = 500
"""Rows that an export holds in memory at once."""
_SELECT: Final = (
    "SELECT seq, root_id, position, plan_id, call_id, kind, at, body, prev, hash FROM record"
)


def audit_list(
    store: Store,
    *,
    plan_id: str | None = None,
    kind: str | None = None,
    after: int = 0,
    limit: int = 100,
) -> dict[str, Any]:
    """Give the ``data`` of ``agents audit list``, in the order of writing.

    Args:
        store: The database.
        plan_id: Of this plan only.
        kind: Of this kind only.
        after: Those after this id, for the next page.
        limit: At most so many.

    Returns:
        ``records``, and ``next``: the ``after`` of the next page, or ``None``
        when this is the last one.
    """
    given = {"plan_id = ?": plan_id, "kind = ?": kind}
    terms = {term: value for term, value in given.items() if value is not None}
    where = " AND ".join(("seq > ?", *terms))
    rows = store.execute(
        # By position within one plan: by seq the table would be read for the order.
        f"{_SELECT} WHERE {where} ORDER BY {'seq' if plan_id is None else 'position'} LIMIT ?",
        (after, *terms.values(), limit + 1),
    )
    records = [_record(row) for row in rows[:limit]]
    return {"records": records, "next": records[-1]["id"] if len(rows) > limit else None}


def audit_show(store: Store, record_id: int) -> dict[str, Any]:
    """Give one record.

    Raises:
        ConfigurationError: There is no such record.
    """
    rows = store.execute(_SELECT + " WHERE seq = ?", (record_id,))
    if not rows:
        raise ConfigurationError(
            problem=f"no record has the id {record_id}", hint="'agents audit list' shows them"
        )
    return _record(rows[0])


def audit_export(store: Store) -> Iterator[dict[str, Any]]:
    """Give every record, in the order of writing, a page at a time."""
    after = 0
    while True:
        page = audit_list(store, after=after, limit=PAGE)
        yield from page["records"]
        if page["next"] is None:
            return
        after = page["next"]


def _record(row: Row) -> dict[str, Any]:
    return {
        "id": row[0],
        "root_id": row[1],
        "position": row[2],
        "plan_id": row[3],
        "call_id": row[4],
        "kind": row[5],
        "at": row[6],
        "body": read_body(row[7], row[3]),
        "prev": row[8],
        "hash": row[9],
    }
