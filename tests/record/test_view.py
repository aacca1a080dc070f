from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.errors import ConfigurationError, RecordError, UnknownPlanError
from cleveragents.record.audit_view import PAGE, audit_export, audit_list, audit_show
from cleveragents.record.call_view import explain_plan
from cleveragents.record.chain_head import TRUNK
from cleveragents.record.status_view import plan_list, plan_status
from cleveragents.terms.cost import Amount, Limits
from tests.record.desk import CHILD, GRANDCHILD, OTHER, ROOT, Desk

if TYPE_CHECKING:
    from pathlib import Path


def _status(desk: Desk, plan_id: str = ROOT, now: str = "") -> dict[str, Any]:
    return plan_status(desk.store, plan_id, locks_dir=desk.locks, now=now)


def _family(desk: Desk) -> None:
    desk.own()
    desk.plan(state="processing")
    desk.plan(CHILD, parent_plan_id=ROOT, depth=1, name="docs", state="complete", outcome="merged")
    desk.plan(GRANDCHILD, parent_plan_id=CHILD, depth=2, name="deep", state="processing")


def test_the_status_is_the_contracts_object(any_desk: Desk) -> None:
    _family(any_desk)
    any_desk.plans.update(
        ROOT, isolation_tier="bwrap", isolation_verified=True, automation_profile="careful"
    )
    any_desk.call("readme")
    any_desk.refuse("note")
    data = _status(any_desk)
    assert set(data) == {
        *("plan_id", "parent_plan_id", "name", "phase", "state", "outcome", "safety_profile"),
        *("automation_profile", "isolation", "steps", "violations", "subplans", "conflicts"),
        *("waiting", "interrupted", "cost", "timing", "session_id"),
    }
    assert data["steps"] == [
        {"id": "readme", "tool": "read_file", "status": "done"},
        {"id": "note", "tool": "write_file", "status": "denied"},
    ]
    assert data["isolation"] == {"tier": "bwrap", "verified": True}
    assert data["automation_profile"] == "careful"
    assert data["safety_profile"]["name"] == "read-only"
    assert data["safety_profile"]["digest"].startswith("sha256:")
    (violation,) = data["violations"]
    assert violation["timestamp"].startswith("2026-01-01T")
    assert {key: violation[key] for key in ("kind", "plan_id", "subplan_id", "tool")} == {
        "kind": "tool_access_denied",
        "plan_id": ROOT,
        "subplan_id": None,
        "tool": "write_file",
    }
    assert violation["resource_name"] == "tool:write_file"
    assert violation["profile"] == "read-only"
    assert violation["rule"] == "effects"
    assert data["timing"] == {"started": "2026-01-01T00:00:00Z", "elapsed_s": 0.0}
    assert not data["interrupted"]
    assert json.loads(json.dumps(data)) == data


def test_a_parent_shows_what_its_descendants_were_refused(any_desk: Desk) -> None:
    _family(any_desk)
    any_desk.refuse("a", plan_id=GRANDCHILD, kind="security_boundary")
    any_desk.refuse("b", plan_id=CHILD)
    any_desk.refuse("c")
    seen = [(one["plan_id"], one["subplan_id"]) for one in _status(any_desk)["violations"]]
    assert seen == [(GRANDCHILD, GRANDCHILD), (CHILD, CHILD), (ROOT, None)]
    assert _status(any_desk)["subplans"] == [
        {
            "plan_id": CHILD,
            "name": "docs",
            "state": "complete",
            "outcome": "merged",
            "violations": 2,
        }
    ]
    child = _status(any_desk, CHILD)
    assert [one["plan_id"] for one in child["violations"]] == [GRANDCHILD, CHILD]
    assert child["parent_plan_id"] == ROOT
    assert [one["violations"] for one in child["subplans"]] == [1]
    assert len(_status(any_desk, GRANDCHILD)["violations"]) == 1


def test_costs_are_the_subtrees(any_desk: Desk) -> None:
    _family(any_desk)
    book = any_desk.accounts
    for number, plan in enumerate((ROOT, CHILD, GRANDCHILD)):
        any_desk.call(f"c{number}", plan_id=plan)
        any_desk.call("f", plan_id=plan, status="failed")
    # A budget of the child's own; the root has none.
    book.ensure(f"plan:{CHILD}", Limits(cost_microusd=2_000_000))
    used = Amount(cost_microusd=13_200, input_tokens=812, output_tokens=96, requests=2)
    book.reserve((f"plan:{CHILD}",), used, "x")
    book.settle("x", used)
    book.reserve((f"plan:{CHILD}",), Amount(cost_microusd=500_000), "y")
    expected: dict[str, object] = {
        "spent_usd": "0.0132",
        "reserved_usd": "0.50",
        "limit_usd": None,
        "share": None,
        "own_usd": "0",
        "input_tokens": 812,
        "output_tokens": 96,
        "requests": 2,
        "tool_calls": 6,
        "models": [],
    }
    assert _status(any_desk)["cost"] == expected
    of_child = {"limit_usd": "2.00", "share": 0.0066, "own_usd": "0.0132", "tool_calls": 4}
    assert _status(any_desk, CHILD)["cost"] == {**expected, **of_child}
    assert _status(any_desk, GRANDCHILD)["cost"]["spent_usd"] == "0"
    book.ensure(f"plan:{ROOT}", Limits(cost_microusd=5_000_000))
    # The root's own account holds its children's spending from then on.
    assert _status(any_desk)["cost"]["spent_usd"] == "0"
    assert _status(any_desk)["cost"]["limit_usd"] == "5.00"


def test_what_waits_is_shown_until_it_is_answered(any_desk: Desk) -> None:
    _family(any_desk)
    body = {
        "tool": "run_command",
        "arguments": {"command": "make"},
        "reason": "listed",
        "arguments_digest": "sha256:a",
        "tool_digest": "sha256:t",
    }
    any_desk.approvals.request(root_id=ROOT, plan_id=GRANDCHILD, call_id="build", body=body)
    expected: dict[str, object] = {
        "call_id": "build",
        "plan_id": GRANDCHILD,
        "tool": "run_command",
        "arguments": {"command": "make"},
        "digest": "sha256:a",
        "reason": "listed",
    }
    for plan in (ROOT, CHILD, GRANDCHILD):
        assert _status(any_desk, plan)["waiting"] == [expected]
    assert _status(any_desk, GRANDCHILD)["steps"] == [
        {"id": "build", "tool": "run_command", "status": "waiting"}
    ]
    any_desk.approvals.record_verdict(
        root_id=ROOT, plan_id=GRANDCHILD, call_id="build", digest="sha256:b", allow=True, who="ann"
    )
    assert _status(any_desk)["waiting"] == [expected]
    any_desk.approvals.record_verdict(
        root_id=ROOT, plan_id=GRANDCHILD, call_id="build", digest="sha256:a", allow=True, who="ann"
    )
    assert _status(any_desk)["waiting"] == []
    assert _status(any_desk, GRANDCHILD)["steps"][0]["status"] == "pending"


def test_a_plan_that_is_over_waits_for_nobody(any_desk: Desk) -> None:
    _family(any_desk)
    any_desk.approvals.request(
        root_id=ROOT, plan_id=ROOT, call_id="a", body={"arguments_digest": "d"}
    )
    assert len(_status(any_desk)["waiting"]) == 1
    any_desk.plans.update(ROOT, state="cancelled", outcome="cancelled")
    assert _status(any_desk)["waiting"] == []


def test_a_plan_whose_owner_is_gone_is_interrupted(any_desk: Desk) -> None:
    _family(any_desk)
    any_desk.decide("a")
    assert _status(any_desk)["steps"][0]["status"] == "running"
    later = any_desk.reopened()
    data = _status(later)
    assert data["interrupted"]
    assert data["steps"][0]["status"] == "interrupted"
    assert _status(later, GRANDCHILD)["interrupted"]
    assert not _status(later, CHILD)["interrupted"]
    later.own()
    assert not _status(later)["interrupted"]
    later.close()


def test_conflicts_errors_and_isolation_come_from_the_detail(any_desk: Desk) -> None:
    any_desk.own()
    any_desk.plan(
        state="processing",
        detail={
            "conflicts": [{"path": "a.txt"}],
            "error": "it broke",
            "isolation": {"overlay": True},
        },
    )
    data = _status(any_desk)
    assert data["conflicts"] == [{"path": "a.txt"}]
    assert data["error"] == "it broke"
    assert data["isolation"]["overlay"] is True


SCRIPT: list[dict[str, Any]] = [
    {"id": "a", "tool": "read_file"},
    {"tool": "write_file"},
    {"id": "c", "subplan": {"name": "c"}},
    {"id": "g", "parallel": [{"id": "one", "subplan": {}}, {"subplan": {}}]},
]


@pytest.mark.parametrize("size", [1, 40_000])
def test_steps_to_come_stand_after_those_made(any_desk: Desk, size: int) -> None:
    any_desk.own()
    # A long script is kept beside the record, and read from there.
    steps = [{**step, "args": {"text": "x" * size}} for step in SCRIPT]
    any_desk.plan(state="processing", steps=steps)
    any_desk.call("a~2")
    assert _status(any_desk)["steps"] == [
        {"id": "a~2", "tool": "read_file", "status": "done"},
        {"id": "step2", "tool": "write_file", "status": "pending"},
        {"id": "c", "tool": "spawn_subplan", "status": "pending"},
        {"id": "g.one", "tool": "spawn_subplan", "status": "pending"},
        {"id": "g.g_2", "tool": "spawn_subplan", "status": "pending"},
    ]
    any_desk.plans.update(ROOT, state="complete")
    # What a plan that is over did not do is not to come.
    assert [step["id"] for step in _status(any_desk)["steps"]] == ["a~2"]


def test_a_script_of_many_steps_is_read_whole(any_desk: Desk) -> None:
    any_desk.own()
    steps = [{"id": f"s{number}", "tool": "read_file"} for number in range(2_000)]
    any_desk.plan(state="queued", steps=steps)
    pending = _status(any_desk)["steps"]
    assert [step["id"] for step in pending] == [step["id"] for step in steps]
    for path in any_desk.home.joinpath("objects").rglob("*"):
        if path.is_file():
            path.write_text("[]")
    with pytest.raises(RecordError, match="was changed"):
        _status(any_desk)


def test_the_time_of_a_running_plan_goes_on(any_desk: Desk) -> None:
    any_desk.own()
    any_desk.plan(state="processing", elapsed_ms=2500)
    assert _status(any_desk)["timing"]["elapsed_s"] == 2.5
    assert _status(any_desk, now="2026-01-01T00:00:10Z")["timing"]["elapsed_s"] == 12.5
    assert _status(any_desk, now="nonsense")["timing"]["elapsed_s"] == 2.5
    assert _status(any_desk, now="2020-01-01T00:00:10Z")["timing"]["elapsed_s"] == 2.5
    any_desk.plans.update(ROOT, state="complete")
    assert _status(any_desk, now="2026-01-01T00:00:10Z")["timing"]["elapsed_s"] == 2.5


def test_an_unknown_plan_is_an_error(any_desk: Desk) -> None:
    with pytest.raises(UnknownPlanError):
        _status(any_desk, "nobody")
    with pytest.raises(UnknownPlanError):
        explain_plan(any_desk.store, "nobody")


def test_a_damaged_body_is_one_sentence(desk: Desk) -> None:
    _family(desk)
    desk.refuse("a")
    desk.store.change("UPDATE record SET body = '[]' WHERE kind = 'violation'")
    with pytest.raises(RecordError, match=f"a record of plan {ROOT} cannot be read"):
        _status(desk)
    desk.store.change("UPDATE record SET body = '{' WHERE kind = 'violation'")
    with pytest.raises(RecordError):
        _status(desk)


def test_the_list_has_the_contracts_keys(any_desk: Desk) -> None:
    _family(any_desk)
    (row,) = plan_list(any_desk.store, limit=1)["plans"]
    assert row == {
        "plan_id": GRANDCHILD,
        "parent_plan_id": CHILD,
        "name": "deep",
        "phase": "execute",
        "state": "processing",
        "outcome": None,
        "started": "2026-01-01T00:00:00Z",
    }
    assert len(plan_list(any_desk.store, state="processing")["plans"]) == 2


def test_explain_names_the_rule_of_every_call(any_desk: Desk) -> None:
    _family(any_desk)
    any_desk.call("a")
    any_desk.refuse("b")
    any_desk.append("approval_requested", call_id="c", body={"tool": "run_command"})
    any_desk.append("approval", call_id="c", body={"allow": False, "who": "ann"})
    any_desk.append("approval_requested", call_id="d", body={"tool": "run_command"})
    any_desk.append("approval", call_id="d", body={"allow": True, "who": "ann"})
    any_desk.decide("d")
    any_desk.append("note", call_id="d")
    data = explain_plan(any_desk.store, ROOT)
    calls = {call["call_id"]: call for call in data["calls"]}
    assert calls["a"]["verdict"] == "allowed"
    assert calls["a"]["rule"] == "unrestricted: no list"
    assert calls["a"]["profile"] == "unrestricted"
    assert calls["a"]["status"] == "done"
    assert calls["b"]["verdict"] == "denied"
    assert calls["b"]["reason"] == "profile 'read-only' admits no tool that writes"
    assert calls["c"]["status"] == "denied"
    assert (calls["d"]["approved_by"], calls["d"]["status"]) == ("ann", "running")
    (only,) = explain_plan(any_desk.store, ROOT, "b")["calls"]
    assert only == calls["b"]
    with pytest.raises(ConfigurationError, match="no decision and no call 'nothing'"):
        explain_plan(any_desk.store, ROOT, "nothing")


def test_the_audit_list_is_filtered_and_paged(any_desk: Desk) -> None:
    _family(any_desk)
    any_desk.call("a")
    any_desk.refuse("b", plan_id=CHILD)
    store = any_desk.store
    everything = audit_list(store)["records"]
    assert [one["kind"] for one in audit_list(store, kind="violation")["records"]] == ["violation"]
    assert {one["plan_id"] for one in audit_list(store, plan_id=CHILD)["records"]} == {CHILD}
    page = audit_list(store, limit=3)
    assert page["records"] == everything[:3]
    assert audit_list(store, after=page["next"])["records"] == everything[3:]
    assert audit_list(store, after=page["next"])["next"] is None
    assert list(audit_export(store)) == everything
    one = everything[-1]
    assert audit_show(store, one["id"]) == one
    assert one["body"]["kind"] == "tool_access_denied"
    with pytest.raises(ConfigurationError, match="no record has the id 7"):
        audit_show(store, 7)
    assert everything[0]["root_id"] == TRUNK


def test_an_export_goes_on_over_its_pages(desk: Desk) -> None:
    for _ in range(PAGE + 1):
        desk.append()
    assert len(list(audit_export(desk.store))) == PAGE + 2


def test_views_read_by_index(desk: Desk) -> None:
    """The read path may not grow with the store: no query of it walks a whole table."""
    _family(desk)
    desk.own(OTHER)
    desk.plan(OTHER, root_id=OTHER)
    desk.refuse("a")
    asked: list[str] = []
    real = desk.store._engine.query

    def note(sql: str, params: Any) -> Any:
        asked.append(sql)
        return real(sql, params)

    desk.store._engine.query = note  # type: ignore[method-assign]  # watches, changes nothing
    _status(desk)
    explain_plan(desk.store, ROOT)
    desk.log.entries(plan_id=ROOT, limit=3)
    desk.log.last(ROOT, "note")
    audit_list(desk.store, plan_id=ROOT)
    assert len(asked) > 8
    for sql in asked:
        if not sql.lstrip().startswith("SELECT"):
            continue
        plan = real(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))
        steps = [str(row[3]) for row in plan]
        assert not any(step.startswith("SCAN") for step in steps), (sql, steps)


READ_PATH = """
import sys
from cleveragents.record.store import Store
from cleveragents.record.status_view import plan_status, plan_list
from cleveragents.record.call_view import explain_plan
from cleveragents.record.audit_view import audit_list
from cleveragents.record.plan_row import newest_root
store = Store.open(sys.argv[1], read_only=True)
plan_status(store, newest_root(store), locks_dir=sys.argv[2])
plan_list(store)
store.close()
dear = {"msgspec", "pydantic", "click", "rich", "psycopg", "yaml", "pathlib", "subprocess",
        "urllib", "socket", "hashlib", "logging", "asyncio", "httpx", "platformdirs", "ulid"}
print(sorted(dear & {name.partition(".")[0] for name in sys.modules}))
"""


def test_the_read_path_imports_nothing_dear(desk: Desk, tmp_path: Path) -> None:
    _family(desk)
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            "import sys; sys.path[:0] = sys.argv[3:]\n" + READ_PATH,
            desk.url,
            str(desk.locks),
            *[part for part in sys.path if part],
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
