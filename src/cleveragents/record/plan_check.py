"""Are the stored plans and profiles those that the record saw?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleveragents.errors import RecordError
from cleveragents.record.plan_row import COLUMNS, SELECT, read_row
from cleveragents.record.plan_table import row_digest
from cleveragents.terms.digest import digest_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cleveragents.record.plan_row import PlanRow
    from cleveragents.record.store import Store


def check_plan(
    store: Store, starts: Mapping[str, dict[str, Any]], row_digests: Mapping[str, str]
) -> Iterator[str]:
    """Give one sentence for each plan whose row or start is not what was recorded.

    Args:
        store: Where the rows are.
        starts: Bodies of ``plan_started`` by plan id.
        row_digests: The digest in the last ``plan_state`` of each plan.
    """
    seen = set()
    for values in store.execute(SELECT + " ORDER BY plan_id"):
        plan_id = str(values[COLUMNS.index("plan_id")])
        seen.add(plan_id)
        try:
            row = read_row(values)
        except RecordError as error:
            yield error.message
            continue
        if plan_id not in row_digests:
            yield f"plan {plan_id} is in no record"
        elif not _has_digest(row, row_digests[plan_id]):
            yield f"the row of plan {plan_id} was edited: its digest is not the recorded one"
        else:
            yield from _against_start(row, starts.get(plan_id, {}))
    for plan_id in sorted(row_digests.keys() - seen):
        yield f"the row of plan {plan_id} was removed"
    for plan_id, start in starts.items():
        yield from _within_start(plan_id, start)


def _has_digest(row: PlanRow, digest: str) -> bool:
    try:
        return row_digest(row) == digest
    except (TypeError, ValueError):
        return False


def _against_start(row: PlanRow, start: Mapping[str, Any]) -> Iterator[str]:
    digest = start.get("definition_digest")
    if digest is not None and row.definition_digest not in {"", digest}:
        yield f"plan {row.plan_id} stands with another definition than it was started with"
    profiles = list(dict.fromkeys(start.get("profile_digests", ())))
    known = {"", *profiles, digest_value(profiles)}
    if profiles and row.profile_digest not in known:
        yield f"plan {row.plan_id} stands with another safety profile than it was started with"


def _within_start(plan_id: str, start: Mapping[str, Any]) -> Iterator[str]:
    """Check what the start holds against the digests that it names."""
    definition, digest = start.get("definition"), start.get("definition_digest")
    if digest is not None and digest_value(definition) != digest:
        yield f"the definition of plan {plan_id} does not have its digest"
    profiles, digests = start.get("profiles"), start.get("profile_digests")
    if isinstance(profiles, list) and [digest_value(profile) for profile in profiles] != digests:
        yield f"the safety profiles of plan {plan_id} do not have their digests"
