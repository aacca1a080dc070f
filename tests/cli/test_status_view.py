"""``plan status`` for people: refusals stand out, and the next command is there to copy."""

from __future__ import annotations

from typing import Any

import pytest

from cleveragents.cli.plain_page import draw
from cleveragents.cli.status_view import next_commands, status_page

PLAN = "01J8ZQ3V5N0000000000000000"


def data(**changes: Any) -> dict[str, Any]:
    return {
        "plan_id": PLAN,
        "parent_plan_id": None,
        "name": "changelog",
        "phase": "execute",
        "state": "complete",
        "outcome": None,
        "safety_profile": {"name": "read-only", "digest": "sha256:0123456789abcdef"},
        "automation_profile": "careful",
        "isolation": {"tier": "bwrap", "verified": True},
        "steps": [{"id": "note", "tool": "write_file", "status": "denied"}],
        "violations": [],
        "subplans": [],
        "conflicts": [],
        "waiting": [],
        "cost": {
            "spent_usd": "0.0132",
            "reserved_usd": "0",
            "limit_usd": "2.00",
            "input_tokens": 0,
            "output_tokens": 0,
            "requests": 0,
            "tool_calls": 3,
        },
        "timing": {"started": "2026-11-24T11:00:00Z", "elapsed_s": 3.1},
        **changes,
    }


VIOLATION = {
    "kind": "tool_access_denied",
    "plan_id": PLAN,
    "subplan_id": None,
    "tool": "write_file",
    "resource_name": "tool:write_file",
    "rule": "effects",
    "profile": "read-only",
    "reason": "profile 'read-only' admits no tool that writes",
    "timestamp": "2026-11-24T11:00:01Z",
}


def shown(width: int | None = None, **changes: Any) -> str:
    return draw(status_page(data(**changes)), width)


def test_a_violation_stands_above_the_steps_with_rule_profile_and_reason() -> None:
    text = shown(outcome="constrained", violations=[VIOLATION])
    assert text.index("REFUSED: 1 call") < text.index("Steps")
    for part in ("effects", "read-only", "admits no tool that writes", "tool:write_file"):
        assert part in text
    assert "write_file: refused by a safety profile" in text


def test_a_childs_violation_names_the_child() -> None:
    child = {**VIOLATION, "kind": "security_boundary", "subplan_id": "01J8CHILD"}
    text = shown(violations=[VIOLATION, child])
    assert "REFUSED: 2 calls" in text
    assert "01J8CHILD" in text
    assert "outside what the subplan was handed" in text


def test_an_unknown_kind_is_shown_as_it_is() -> None:
    assert "strange: strange" in shown(violations=[{"kind": "strange"}])


def test_head_says_profile_isolation_cost_and_time() -> None:
    text = shown()
    for part in (
        "changelog",
        PLAN,
        "read-only  (sha256:0123456789ab)",
        "careful",
        "bwrap, verified",
        "$0.0132 of $2.00, 3 tool calls",
        "2026-11-24T11:00:00Z, 3.1 s of work",
        "your directory is unchanged",
    ):
        assert part in text


def test_money_that_is_held_and_tokens_show_when_there_are_any() -> None:
    cost = {"spent_usd": "1", "reserved_usd": "0.5", "input_tokens": 8, "output_tokens": 2}
    assert "$1, $0.5 held, 0 tool calls, 8 tokens in, 2 out" in shown(cost=cost)


def test_no_isolation_cannot_be_overlooked() -> None:
    assert "OFF (off-unsafe)" in shown(isolation={"tier": "off-unsafe", "verified": False})
    assert "NOT VERIFIED" in shown(isolation={"tier": "bwrap", "verified": False})


def test_subplans_and_conflicts_are_listed() -> None:
    text = shown(
        subplans=[{"plan_id": "01J8C", "name": "docs", "state": "complete", "violations": 1}],
        conflicts=[{"path": "docs/a.md", "kind": "content"}],
    )
    assert "docs" in text
    assert "docs/a.md (content)" in text
    assert "b.md" in shown(conflicts=["b.md"])


def test_connections_are_summed_up_when_there_were_any() -> None:
    line = {"host": "pypi.org", "port": 443, "connections": 3, "open": 1}
    text = shown(connections=[{**line, "sent_bytes": 1233, "received_bytes": 116465}])
    assert text.splitlines()[text.splitlines().index("Connections") + 2].split() == [
        *("pypi.org", "443", "3", "1", "1233", "116465")
    ]
    assert "Connections" not in shown()


def test_a_waiting_call_shows_its_arguments() -> None:
    waiting = [
        {
            "call_id": "build",
            "plan_id": PLAN,
            "tool": "run_command",
            "arguments": {"command": "make \x1b[2J"},
            "digest": "sha256:1",
            "reason": "the automation profile asks",
        }
    ]
    text = shown(state="waiting", waiting=waiting)
    assert "make \\x1b[2J" in text
    assert f"agents plan approve {PLAN} build" in text
    assert f"agents plan resume {PLAN}" in text


@pytest.mark.parametrize(
    ("changes", "commands"),
    [
        ({}, ["diff", "apply"]),
        ({"outcome": "applied"}, []),
        ({"outcome": "constrained"}, ["explain", "diff", "apply"]),
        ({"outcome": "conflicted", "state": "waiting"}, ["conflicts", "resolve"]),
        ({"outcome": "errored", "state": "errored"}, ["explain"]),
        ({"outcome": "cancelled", "state": "cancelled"}, []),
        ({"state": "processing"}, ["status"]),
        ({"state": "processing", "interrupted": True}, ["resume", "cancel"]),
        ({"state": "waiting"}, ["diff", "apply"]),
        ({"state": "waiting", "steps": [{"status": "pending"}]}, ["resume"]),
        ({"state": "strange"}, []),
        ({"parent_plan_id": "01J8P"}, ["status"]),
    ],
)
def test_says_what_to_type_next(changes: dict[str, Any], commands: list[str]) -> None:
    found = [command.split()[2] for _, command in next_commands(data(**changes))]
    assert found == commands


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"interrupted": True, "state": "processing"}, "interrupted"),
        ({"outcome": "applied"}, "in your directory"),
        ({"state": "queued"}, "queued"),
        ({"safety_profile": "plain-name"}, "plain-name"),
        ({"safety_profile": {"name": "x"}, "cost": {}, "isolation": {}, "timing": {}}, "x"),
        ({"error": "tool failed"}, "tool failed"),
        ({"error": {"code": "tool_failed", "message": "it failed"}}, "error           it failed"),
    ],
)
def test_says_how_it_stands(changes: dict[str, Any], part: str) -> None:
    assert part in shown(**changes)


def test_is_readable_in_40_columns() -> None:
    text = shown(40, violations=[VIOLATION], outcome="constrained")
    lines = [line for line in text.splitlines() if PLAN not in line]
    assert max(map(len, lines)) <= 40
    assert "admits no tool" in " ".join(text.split())


def test_data_of_another_shape_is_no_crash() -> None:
    assert shown(steps=None, violations="x", subplans=[1], cost=None, waiting={}, timing=3)
    assert draw(status_page({}), 40)


def test_what_is_waited_for_is_not_shown_as_an_error() -> None:
    assert "error" not in shown(state="waiting", error={"code": "approval_pending", "message": "m"})


@pytest.mark.parametrize("served", ["mcp_client", "program"])
def test_of_calls_that_come_from_outside_nothing_waits_for_an_apply(served: str) -> None:
    waiting = {"call_id": "call-2", "plan_id": PLAN, "tool": "wipe", "reason": "it waits"}
    asked = next_commands(data(served=served, state="processing", waiting=[waiting]))
    assert asked == (("allow (--deny refuses)", f"agents plan approve {PLAN} call-2"),)
    for outcome in (None, "constrained", "errored"):
        text = shown(served=served, outcome=outcome, violations=[VIOLATION])
        assert "agents plan explain" in text
        for word in ("apply them", "apply what there is", "plan diff", "plan resume", "unchanged"):
            assert word not in text
