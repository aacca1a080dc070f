"""A home with a store, a log and everything else of the record, on either database."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from cleveragents.record import spending
from cleveragents.record.account import AccountBook
from cleveragents.record.approval import ApprovalBook
from cleveragents.record.entry import Entry
from cleveragents.record.log import RecordLog
from cleveragents.record.owner import OwnerDesk
from cleveragents.record.plan_row import PlanRow
from cleveragents.record.plan_table import PlanTable
from cleveragents.record.store import Store
from cleveragents.record.verify import VerifyReport, verify
from cleveragents.terms.digest import digest_value

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cleveragents.record.entry import Kind, StoredEntry
    from cleveragents.record.owner import Ownership
    from cleveragents.terms.cost import Amount

ROOT = "01J8ZQ3V5N0000000000000001"
OTHER = "01J8ZQ3V5N0000000000000002"
CHILD = "01J8ZQ3V5N0000000000000003"
GRANDCHILD = "01J8ZQ3V5N0000000000000004"


class Desk:
    """One process's view of a home."""

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        self.url = url
        self.store = Store.open(url)
        self._ticks = itertools.count()
        self.log = RecordLog(self.store, heads_dir=self.heads, now=self.now)
        self.owners = OwnerDesk(self.store, locks_dir=self.locks, now=self.now)
        self.plans = PlanTable(self.store, self.log)
        self.accounts = AccountBook(self.store)
        self.approvals = ApprovalBook(self.log)
        self._owned: list[Ownership] = []

    @property
    def heads(self) -> Path:
        return self.home / "heads"

    @property
    def locks(self) -> Path:
        return self.home / "locks"

    @property
    def database(self) -> Path:
        return self.home / "cleveragents.db"

    def now(self) -> str:
        return f"2026-01-01T00:00:00.{next(self._ticks) % 1_000_000:06d}Z"

    def own(self, root_id: str = ROOT) -> Ownership:
        ownership = self.owners.acquire(root_id)
        self.log.own(ownership)
        self._owned.append(ownership)
        return ownership

    def append(
        self,
        kind: Kind = "note",
        *,
        root_id: str = ROOT,
        plan_id: str = "",
        call_id: str = "",
        body: Mapping[str, object] | None = None,
        durable: bool = False,
    ) -> StoredEntry:
        entry = Entry(kind, root_id, plan_id or root_id, call_id, body or {})
        return self.log.append(entry, durable=durable)

    def settle(
        self, reservation: str, amount: Amount, *, call_id: str, root_id: str = ROOT
    ) -> StoredEntry:
        """Settle a holding the way the door does: booked, added up and recorded at once."""
        with self.store.transaction():
            chain = self.accounts.settle(reservation, amount).chain
            plan_id = chain[0].removeprefix("plan:")
            spending.book(
                self.store, day="2026-01-01", plan_id=plan_id, session_id="", amount=amount
            )
            body = {"cost_microusd": amount.cost_microusd, "charged": list(chain)}
            return self.append(
                "outcome", root_id=root_id, plan_id=plan_id, call_id=call_id, body=body
            )

    def plan(self, plan_id: str = ROOT, *, root_id: str = ROOT, **columns: object) -> PlanRow:
        """Start a plan the way the lifecycle does."""
        definition = {"name": plan_id, "steps": columns.pop("steps", [])}
        profiles = [{"name": "read-only"}]
        row = PlanRow(
            plan_id=plan_id,
            root_id=root_id,
            name=str(columns.pop("name", "changelog")),
            safety_profile="read-only",
            profile_digest=digest_value(profiles[0]),
            definition_digest=digest_value(definition),
            started="2026-01-01T00:00:00Z",
            **columns,  # type: ignore[arg-type]  # each test names columns that exist
        )
        with self.store.transaction():
            self.plans.create(row)
            self.append(
                "plan_started",
                root_id=root_id,
                plan_id=plan_id,
                body={
                    "definition": definition,
                    "definition_digest": digest_value(definition),
                    "profiles": profiles,
                    "profile_digests": [digest_value(one) for one in profiles],
                },
            )
        return row

    def call(
        self, call_id: str, *, plan_id: str = ROOT, root_id: str = ROOT, status: str = "done"
    ) -> None:
        """Let one call in and end it."""
        self.decide(call_id, plan_id=plan_id, root_id=root_id)
        body = {"tool": "read_file", "status": status, "value": {"text": "hello"}}
        self.append("outcome", root_id=root_id, plan_id=plan_id, call_id=call_id, body=body)

    def decide(self, call_id: str, *, plan_id: str = ROOT, root_id: str = ROOT) -> None:
        """Let one call in."""
        body = {
            "tool": "read_file",
            "arguments": {"path": "README.md"},
            "verdict": "allowed",
            "rule": "unrestricted: no list",
            "imposed": [],
        }
        self.append("decision", root_id=root_id, plan_id=plan_id, call_id=call_id, body=body)

    def refuse(
        self,
        call_id: str,
        *,
        plan_id: str = ROOT,
        root_id: str = ROOT,
        kind: str = "tool_access_denied",
    ) -> None:
        """Refuse one call."""
        body = {
            "tool": "write_file",
            "arguments": {"path": "a"},
            "kind": kind,
            "rule": "effects",
            "profile": "read-only",
            "reason": "profile 'read-only' admits no tool that writes",
            "resource_name": "tool:write_file",
            "refusals": [],
        }
        self.append("violation", root_id=root_id, plan_id=plan_id, call_id=call_id, body=body)

    def verify(self) -> VerifyReport:
        return verify(self.store, self.heads)

    def reopened(self) -> Desk:
        """The next process: everything is closed and opened again."""
        self.close()
        return Desk(self.home, self.url)

    def close(self) -> None:
        for ownership in self._owned:
            ownership.release()
        self._owned.clear()
        self.log.close()
        self.store.close()
