"""What ``agents audit`` answers: the record, read and judged, never written."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from typing import TYPE_CHECKING

from cleveragents.assembly.ocsf import event_of
from cleveragents.record import audit_view, plan_row
from cleveragents.record.verify import verify
from cleveragents.terms.answer import Answer, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cleveragents.assembly.house import House
    from cleveragents.record.store import Store

PAGE = 500
"""Entries that are in memory at once while all are read."""


def list_records(
    house: House, *, plan_id: str | None, kind: str | None, limit: int | None
) -> Answer:
    """Give the newest entries, oldest first.

    Args:
        house: Whose record.
        plan_id: Of this plan only.
        kind: Of this kind only.
        limit: At most so many; ``None`` for all.
    """
    store = house.store()
    if plan_id is not None:
        plan_row.get(store, plan_id)
    if limit is None:
        return Answer({"records": list(_records(house, plan_id))})
    after = _before_newest(store, plan_id=plan_id, kind=kind, count=limit)
    data = audit_view.audit_list(store, plan_id=plan_id, kind=kind, after=after, limit=limit)
    return Answer({"records": data["records"]})


def _before_newest(store: Store, *, plan_id: str | None, kind: str | None, count: int) -> int:
    """The number after which exactly the newest so many entries follow."""
    given = {"plan_id = ?": plan_id, "kind = ?": kind}
    terms = {term: value for term, value in given.items() if value is not None}
    where = " WHERE " + " AND ".join(terms) if terms else ""
    rows = store.execute(
        f"SELECT seq FROM record{where} ORDER BY seq DESC LIMIT 1 OFFSET ?",  # noqa: S608 # constants
        (*terms.values(), count),
    )
    return int(rows[0][0]) if rows else 0


def show_record(house: House, number: int) -> Answer:
    """Give one entry, its large values too.

    Raises:
        ConfigurationError: There is no such entry.
    """
    return Answer(_whole(house, audit_view.audit_show(house.store(), number)))


def verify_records(house: House) -> Answer:
    """Check every chain and what it names; exit code 1 when something is wrong."""
    report = verify(house.store(), house.home / "heads")
    data = {
        "ok": report.ok,
        "checked": report.checked,
        "problems": list(report.problems),
        "notes": list(report.notes),
    }
    if report.ok:
        return Answer(data)
    problem = Message("error", f"the record is broken: {report.problems[0]}")
    return Answer(data, exit_code=1, messages=(problem,))


def export_records(house: House, *, plan_id: str | None, form: str) -> Iterator[str]:
    """Give the record line by line, a page of it in memory at a time.

    Args:
        house: Whose record.
        plan_id: Of this plan only.
        form: ``jsonl`` or ``ocsf``.

    Raises:
        UnknownPlanError: There is no such plan.
    """
    if plan_id is not None:
        plan_row.get(house.store(), plan_id)
    host, own_version = os.uname().nodename, version("cleveragents")
    for record in _records(house, plan_id):
        line = record if form == "jsonl" else event_of(record, host=host, version=own_version)
        yield json.dumps(line, separators=(",", ":"))


def exported() -> Answer:
    """What is left to say when every line was written."""
    return Answer(None)


def _records(house: House, plan_id: str | None) -> Iterator[dict[str, object]]:
    after: int | None = 0
    while after is not None:
        page = audit_view.audit_list(house.store(), plan_id=plan_id, after=after, limit=PAGE)
        for record in page["records"]:
            yield _whole(house, record)
        after = page["next"]


def _whole(house: House, record: dict[str, object]) -> dict[str, object]:
    """Add ``resolved`` where large values stand in the body by their digest alone.

    The body itself stays as it was hashed, so that whoever reads an export can
    check the chain.
    """
    body = record["body"]
    if not isinstance(body, dict):
        return record
    resolved = house.log().resolve(body)
    return record if resolved == body else {**record, "resolved": resolved}
