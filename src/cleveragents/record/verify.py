"""Is the record what was written? Every chain, its head, its objects, its summaries.

What each check finds: an edited entry (its hash), one taken out or moved (its
position and predecessor), a cut tail (the head file), a whole plan taken out
(the chain of heads), an edited plan row (the digest in its last ``plan_state``
entry), an edited definition, profile or result (its digest, or the object's
own name). Somebody who can rewrite database *and* heads can rewrite history;
the heads can be copied elsewhere for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cleveragents.errors import RecordError
from cleveragents.record import account_row
from cleveragents.record.chain_check import ChainCheck
from cleveragents.record.cost_check import check_cost
from cleveragents.record.finding import Findings
from cleveragents.record.object_store import ObjectStore
from cleveragents.record.owner import seal
from cleveragents.record.plan_check import check_plan
from cleveragents.record.schema_check import check_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cleveragents.record.store import Store

MAX_PROBLEMS: Final = 200
"""Enough to see the extent; a store that is all broken needs no longer list."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was found."""

    ok: bool
    checked: int
    """Entries whose hash was computed anew."""
    problems: tuple[str, ...]
    """One sentence each, naming the record, plan or file."""
    notes: tuple[str, ...] = ()
    """What could not be checked here and is no sign of damage."""


def verify(store: Store, heads_dir: Path, objects: ObjectStore | None = None) -> VerifyReport:
    """Check the whole store against itself and against the heads beside it.

    Never raises for what is broken in the store: that is what it reports. Sees
    one moment and hinders no plan that is running.

    Args:
        store: The database; reading is enough.
        heads_dir: Where the log keeps the heads.
        objects: Where the log keeps large values; by default beside the heads.
    """
    findings = Findings()
    objects = objects or ObjectStore(heads_dir.parent / "objects")
    chains = ChainCheck(store, heads_dir, objects, findings)
    try:
        with store.snapshot():
            findings.attempt(_collect, findings, check_schema(store))
            findings.attempt(chains.run)
            rows = check_plan(store, chains.starts, chains.row_digests)
            findings.attempt(_collect, findings, rows)
            findings.attempt(_collect, findings, _accounts(store))
            findings.attempt(_collect, findings, check_cost(store, chains.sums))
            findings.attempt(_collect, findings, _owners(store))
    except RecordError as error:
        findings.add(error.message)
    problems = tuple(dict.fromkeys(findings.problems))
    return VerifyReport(
        ok=not problems,
        checked=chains.checked,
        problems=problems[:MAX_PROBLEMS],
        notes=tuple(findings.notes),
    )


def _collect(findings: Findings, problems: Iterator[str]) -> None:
    for problem in problems:
        findings.add(problem)


def _accounts(store: Store) -> Iterator[str]:
    """Every account's checksum, and that what it holds is what is reserved."""
    columns = ", ".join(account_row.NUMBERS)
    rows = store.execute(f"SELECT name, {columns}, seal FROM account ORDER BY name")  # noqa: S608  # constants
    held = account_row.held_by_name(store)
    for row in rows:
        try:
            is_whole = account_row.seal_of(row[0], row[1:-1]) == row[-1]
        except (TypeError, AttributeError):
            is_whole = False
        if not is_whole:
            yield f"the account {row[0]} was changed: it does not add up"
        elif row[-1 - len(account_row.PARTS) : -1] != held.get(row[0], account_row.NOTHING):
            yield f"the account {row[0]} holds something else than is reserved on it"
    for name in held.keys() - {row[0] for row in rows}:
        yield f"something is reserved on the account {name}, which does not exist"


def _owners(store: Store) -> Iterator[str]:
    """Every owner's checksum."""
    for *row, kept in store.execute(
        "SELECT root_id, epoch, pid, host, started, seal FROM owner ORDER BY root_id"
    ):
        try:
            is_whole = seal(tuple(row)) == kept
        except TypeError:
            is_whole = False
        if not is_whole:
            yield f"the owner of plan {row[0]} was changed: it does not add up"
