"""Each view: the verdict first, nothing lost, no shape of data a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.cli import (
    audit_view,
    doctor_view,
    fact,
    invocation,
    plan_view,
    profile_view,
    tool_view,
)
from cleveragents.cli.plain_page import draw

if TYPE_CHECKING:
    from collections.abc import Callable

VIEWS: list[Callable[[Any], Any]] = [
    plan_view.status_page,
    plan_view.list_page,
    plan_view.tree_page,
    plan_view.diff_page,
    plan_view.conflicts_page,
    plan_view.explain_page,
    profile_view.safety_list_page,
    profile_view.safety_page,
    profile_view.check_page,
    profile_view.removed_page,
    profile_view.automation_list_page,
    profile_view.automation_page,
    tool_view.list_page,
    tool_view.tool_page,
    tool_view.removed_page,
    doctor_view.doctor_page,
    audit_view.list_page,
    audit_view.record_page,
    audit_view.verify_page,
    audit_view.replay_page,
    invocation.no_page,
]
KEYS = """
plans subplans decisions violations calls refusals arguments diff held refused ignored conflicts
profiles profile tools warnings overlap parameters resources layers fixes records body problems
tree cost waiting steps safety_profile
"""


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: f"{view.__module__}.{view.__name__}")
@pytest.mark.parametrize("value", [None, "x", 3, [], [1], [{}], {}, {"a": [{}]}, True])
def test_no_shape_of_data_is_a_crash(view: Callable[[Any], Any], value: Any) -> None:
    draw(view(dict.fromkeys(KEYS.split(), value)), 40)
    draw(view({}), None)


def shown(view: Callable[[Any], Any], **data: Any) -> str:
    return draw(view(data), None)


def test_a_list_of_plans() -> None:
    plans = [{"plan_id": "01J8", "name": "n", "state": "complete", "outcome": "applied"}]
    assert "01J8" in shown(plan_view.list_page, plans=plans)
    assert "no plans" in shown(plan_view.list_page, plans=[])


def test_a_tree_is_indented_and_shows_refusals_and_money() -> None:
    denied = {
        "call_id": "note",
        "tool": "write_file",
        "status": "denied",
        "verdict": "denied",
        "rule": "effects",
        "profile": "read-only",
        "reason": "no",
    }
    child = {
        "plan_id": "01J8B",
        "name": "child",
        "outcome": "merged",
        "calls": [{"call_id": "a", "tool": "t", "status": "failed", "verdict": "allowed"}],
        "violations": [{"plan_id": "01J8B", "resource_name": "host:x", "reason": "why"}],
    }
    text = shown(
        plan_view.tree_page,
        plan_id="01J8A",
        name="root",
        state="complete",
        cost={"spent_usd": "0.5"},
        calls=[denied],
        violations=[{**denied, "plan_id": "01J8A"}, *child["violations"]],
        subplans=[child],
    )
    assert text.splitlines() == [
        "root  01J8A  complete  $0.5",
        "  note  write_file  denied by effects of read-only: no",
        "  child  01J8B  merged",
        "    a  t  failed",
        "    refused host:x: why",
    ]


def test_a_diff_says_what_it_does_not_show() -> None:
    text = shown(
        plan_view.diff_page,
        diff="+a\n",
        held=[".gitattributes"],
        refused=[{"path": "x", "reason": "a link that leaves the workspace"}],
        ignored=3,
    )
    for part in ("+a", ".gitattributes", "x: a link that leaves", "3 ignored paths"):
        assert part in text
    assert "changes nothing" in shown(plan_view.diff_page, diff="")


def test_conflicts_say_how_to_settle_them() -> None:
    text = shown(
        plan_view.conflicts_page, plan_id="01J8", conflicts=[{"path": "a", "kind": "content"}]
    )
    assert "agents plan resolve 01J8 PATH --take ours|theirs|base|FILE" in text
    assert "content" in text
    assert "no conflicts" in shown(plan_view.conflicts_page, conflicts=[])


def test_explain_says_rule_and_profile_of_every_call() -> None:
    calls = [
        {
            "call_id": "note",
            "tool": "write_file",
            "verdict": "denied",
            "rule": "effects",
            "profile": "read-only",
            "reason": "admits no tool that writes",
            "arguments": {"path": "a", "content": "x" * 500},
            "refusals": [{"rule": "write", "profile": "narrow", "reason": "only docs/"}],
        },
        {"call_id": "cmd", "tool": "run_command", "verdict": "allowed", "imposed": ["network"]},
        {"call_id": "wait", "tool": "run_command", "verdict": None, "status": "waiting"},
    ]
    text = shown(plan_view.explain_page, calls=calls)
    for part in ("note  write_file  denied", "effects", "read-only", "network", "200 more"):
        assert part in text
    assert "also refused by write of narrow: only docs/" in text
    assert "nothing has been decided yet" in shown(plan_view.explain_page, calls=[])


def test_a_profile_shows_lists_warnings_and_tools() -> None:
    text = shown(
        profile_view.safety_page,
        name="p",
        origin="added",
        digest="sha256:1",
        profile={"name": "p", "description": "for docs", "allowed_tools": [], "write": ["docs/"]},
        overlap=["read_file"],
        warnings=["denied_tools has 'x', no tool's name"],
        tools=[{"tool": "read_file", "admitted": True, "effects": ["read"], "rule": "p: effects"}],
    )
    for part in (
        "for docs",
        "[] (nothing)",
        "docs/",
        "read_file is on both lists",
        "no tool's name",
    ):
        assert part in text
    assert "read_file  yes" in text


@pytest.mark.parametrize(("allowed", "word"), [(True, "ADMITTED"), (False, "DENIED")])
def test_a_check_begins_with_its_verdict(allowed: bool, word: str) -> None:
    refusals = [{"rule": "a", "reason": "r1"}, {"rule": "b", "reason": "r2"}]
    text = shown(
        profile_view.check_page, allowed=allowed, tool="t", profile="p", rule="a", refusals=refusals
    )
    assert text.startswith(f"{word}: t under p\n")
    assert "also by b: r2" in text


def test_a_tool_shows_arguments_with_what_may_be_left_out() -> None:
    text = shown(
        tool_view.tool_page,
        name="t",
        description="does",
        effects=[],
        parameters={
            "properties": {"path": {"type": "string", "description": "where"}, "n": True},
            "required": ["path"],
        },
        resources=[{"argument": "path", "kind": "file", "access": "read"}],
    )
    for part in ("  path  string: where", "  n?    anything", "none were declared", "file"):
        assert part in text


def test_the_doctor_says_how_to_mend() -> None:
    layers = [
        {
            "layer": "landlock",
            "ok": False,
            "result": "missing",
            "detail": "none",
            "fix": "a kernel",
        },
        {"layer": "seccomp", "ok": True, "result": "holds", "detail": "in force", "fix": ""},
    ]
    text = shown(doctor_view.doctor_page, verified=False, tier="bwrap", layers=layers)
    assert text.startswith("NO ISOLATION: plans will not run\n")
    assert "landlock: a kernel" in text
    assert "the wall holds" in shown(doctor_view.doctor_page, verified=True)


def test_the_record_in_rows_and_whole() -> None:
    record = {
        "id": 4,
        "kind": "violation",
        "plan_id": "01J8",
        "body": {"tool": "write_file", "rule": "effects", "$": 1},
        "resolved": {"tool": "write_file", "content": "all of it"},
    }
    assert "write_file effects" in shown(audit_view.list_page, records=[record])
    assert "no such entry" in shown(audit_view.list_page, records=[])
    assert "all of it" in shown(audit_view.record_page, **record)


def test_a_broken_record_cannot_be_overlooked() -> None:
    text = shown(
        audit_view.verify_page, ok=False, checked=7, problems=["record 3 was edited"], notes=["n"]
    )
    assert text.startswith("THE RECORD IS BROKEN: 1 problem\n7 entries checked\n")
    assert "record 3 was edited" in text
    assert "the record is whole" in shown(audit_view.verify_page, ok=True, checked=7)


def test_a_replay_shows_what_would_be_otherwise() -> None:
    calls = [
        {"call_id": "a", "tool": "t", "was": "allowed", "now": "allowed"},
        {
            "call_id": "b",
            "tool": "t",
            "was": "allowed",
            "now": "denied",
            "rule": "effects",
            "decided_by": "read-only",
            "reason": "why",
        },
        {"call_id": "c", "tool": "t", "was": "denied", "now": "allowed", "rule": "x: no list"},
    ]
    text = shown(audit_view.replay_page, profile="read-only", calls=calls)
    assert "2 calls decided otherwise" in text
    assert "by effects of read-only: why" in text
    assert "1 of 3 calls decided the same way" in text


def test_facts_of_a_wrong_shape_are_absent() -> None:
    assert fact.texts_at({"a": 3}, "a") == ()


def test_what_is_no_call_is_not_shown_as_one() -> None:
    calls = [{"call_id": "apply", "status": "running"}]
    assert "nothing has been decided yet" in shown(plan_view.explain_page, calls=calls)
    assert "apply" not in shown(plan_view.tree_page, name="n", calls=calls)
