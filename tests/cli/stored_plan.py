"""A home with plans in it, written by the real record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cleveragents.record.entry import Entry
from cleveragents.record.log import RecordLog
from cleveragents.record.owner import OwnerDesk
from cleveragents.record.plan_row import PlanRow
from cleveragents.record.plan_table import PlanTable
from cleveragents.record.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from cleveragents.record.entry import Kind

PLAN = "01J8ZQ3V5N0000000000000001"
OTHER = "01J8ZQ3V5N0000000000000002"
NOW = "2026-11-24T11:00:00+00:00"


def store_plan(
    home: Path,
    plan_id: str = PLAN,
    *,
    text: str = "hello",
    tool: str = "read_file",
    **columns: Any,
) -> None:
    """Write one root plan with one allowed and one denied call, and let go of it."""
    store = Store.open(f"sqlite://{home}/cleveragents.db")
    log = RecordLog(store, heads_dir=home / "heads", now=lambda: NOW)
    desk = OwnerDesk(store, locks_dir=home / "locks", now=lambda: NOW)
    ownership = desk.acquire(plan_id)
    log.own(ownership)
    columns = {"state": "complete", "name": "changelog", "started": NOW, **columns}
    PlanTable(store, log).create(PlanRow(plan_id=plan_id, root_id=plan_id, **columns))
    for call_id, kind, body in _calls(text, tool):
        log.append(Entry(kind, plan_id, plan_id, call_id, body))
    log.close()
    ownership.release()
    store.close()


def _calls(text: str, tool: str) -> list[tuple[str, Kind, dict[str, object]]]:
    digests = {"arguments_digest": "sha256:a", "tool_digest": "sha256:b"}
    allowed: dict[str, object] = {
        "tool": tool,
        "arguments": {"path": "README.md"},
        "verdict": "allowed",
        "rule": "unrestricted: no list",
        "imposed": [],
        **digests,
    }
    denied: dict[str, object] = {
        "tool": "write_file",
        "arguments": {"path": "a", "content": "x"},
        "kind": "tool_access_denied",
        "rule": "effects",
        "profile": "read-only",
        "reason": "profile 'read-only' admits no tool that writes",
        "resource_name": "tool:write_file",
        "refusals": [],
        **digests,
    }
    return [
        ("readme", "decision", allowed),
        ("readme", "outcome", {"status": "done", "value": {"text": text}}),
        ("note", "violation", denied),
    ]
