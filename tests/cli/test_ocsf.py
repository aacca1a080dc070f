"""The record for a security team's tools."""

from __future__ import annotations

from typing import Any

import pytest

from cleveragents.assembly.ocsf import event_of

REQUIRED = {
    "activity_id",
    "actor",
    "api",
    "category_uid",
    "class_uid",
    "metadata",
    "severity_id",
    "src_endpoint",
    "time",
    "type_uid",
}


def event(kind: str, at: str = "2026-11-24T11:00:00.500000Z", **body: Any) -> dict[str, Any]:
    record = {
        "id": 1,
        "kind": kind,
        "at": at,
        "plan_id": "01J8",
        "root_id": "01J8",
        "call_id": "note",
        "position": 3,
        "hash": "ab",
        "body": body,
    }
    return event_of(record, host="here", version="1")


@pytest.mark.parametrize("kind", ["plan_started", "decision", "outcome", "violation", "note"])
def test_every_entry_has_what_its_class_requires(kind: str) -> None:
    made = event(kind)
    assert made.keys() >= REQUIRED
    assert made["type_uid"] == made["class_uid"] * 100 + made["activity_id"]
    assert made["unmapped"]["kind"] == kind


def test_a_refusal_is_denied_blocked_and_stands_out() -> None:
    made = event("violation", tool="write_file", reason="no")
    assert (made["action"], made["disposition"], made["status"]) == ("Denied", "Blocked", "Failure")
    assert made["severity_id"] > event("decision")["severity_id"]
    assert made["message"] == "no"
    assert made["activity_name"] == "Update"


def test_an_allowed_call_is_allowed() -> None:
    made = event("decision", tool="read_file", rule="unrestricted: no list")
    assert (made["action"], made["status"], made["activity_name"]) == ("Allowed", "Success", "Read")
    assert made["api"]["operation"] == "read_file"


def test_a_failed_call_failed() -> None:
    assert event("outcome", status="failed")["status"] == "Failure"


@pytest.mark.parametrize(
    ("at", "time"), [("2026-11-24T11:00:00.500000Z", 1795518000500), ("soon", 0)]
)
def test_time_is_in_milliseconds(at: str, time: int) -> None:
    assert event("note", at=at)["time"] == time


def test_a_body_of_another_shape_is_no_crash() -> None:
    assert event_of({"kind": "note", "body": 3}, host="", version="")["message"] == "note"
