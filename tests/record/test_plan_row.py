from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cleveragents.errors import RecordError, UnknownPlanError
from cleveragents.record import plan_row
from cleveragents.record.plan_row import PlanRow
from cleveragents.record.plan_table import row_digest
from tests.record.desk import CHILD, GRANDCHILD, OTHER, ROOT, Desk


def test_a_row_reads_back_as_it_was_written(any_desk: Desk) -> None:
    any_desk.own()
    row = any_desk.plan(
        detail={"grant": {"tools": ["read_file"], "ü": None}, "n": 1},
        isolation_tier="bwrap",
        isolation_verified=True,
        workspace_dir="/somewhere",
        session_id="s",
        elapsed_ms=3,
    )
    assert plan_row.get(any_desk.store, ROOT) == row
    assert plan_row.find(any_desk.store, "nobody") is None
    with pytest.raises(UnknownPlanError):
        plan_row.get(any_desk.store, "nobody")


def test_an_update_changes_row_and_record_together(any_desk: Desk) -> None:
    any_desk.own()
    row = any_desk.plan()
    changed = any_desk.plans.update(ROOT, state="complete", outcome="applied", phase="apply")
    assert changed == replace(row, state="complete", outcome="applied", phase="apply")
    entry = any_desk.log.last(ROOT, "plan_state")
    assert entry is not None
    assert entry.body == {
        "phase": "apply",
        "state": "complete",
        "outcome": "applied",
        "changed": ["outcome", "phase", "state"],
        "row": row_digest(changed),
    }
    assert any_desk.verify().problems == ()


@pytest.mark.parametrize("columns", [{"plan_id": "x"}, {"root_id": "x"}, {"nothing": 1}])
def test_what_is_fixed_stays(desk: Desk, columns: dict[str, Any]) -> None:
    desk.own()
    desk.plan()
    with pytest.raises(RecordError, match="can be changed"):
        desk.plans.update(ROOT, **columns)


def test_only_the_owner_changes_a_row(any_desk: Desk) -> None:
    any_desk.own()
    row = any_desk.plan()
    visitor = Desk(any_desk.home, any_desk.url)
    with pytest.raises(RecordError, match="not run by this process"):
        visitor.plans.update(ROOT, state="complete")
    with pytest.raises(RecordError, match="not run by this process"):
        visitor.plans.create(replace(row, plan_id=OTHER))
    any_desk.store.change("UPDATE owner SET epoch = 9 WHERE root_id = ?", (ROOT,))
    with pytest.raises(RecordError, match="superseded"):
        any_desk.plans.update(ROOT, state="complete")
    assert plan_row.get(visitor.store, ROOT) == row
    visitor.close()


def test_a_plan_is_made_once(any_desk: Desk) -> None:
    any_desk.own()
    row = any_desk.plan()
    with pytest.raises(RecordError, match="exists already"):
        any_desk.plans.create(replace(row, name="other"))
    assert plan_row.get(any_desk.store, ROOT) == row
    with pytest.raises(UnknownPlanError):
        any_desk.plans.update("nobody", state="complete")


def test_anybody_may_ask_for_a_cancel(any_desk: Desk) -> None:
    any_desk.own()
    any_desk.plan()
    visitor = Desk(any_desk.home, any_desk.url)
    assert not plan_row.is_cancel_requested(any_desk.store, ROOT)
    assert visitor.plans.request_cancel(ROOT)
    assert visitor.plans.request_cancel(ROOT)
    assert plan_row.is_cancel_requested(any_desk.store, ROOT)
    assert any_desk.plans.update(ROOT, state="cancelled", outcome="cancelled").cancel_requested
    assert not visitor.plans.request_cancel(ROOT)
    with pytest.raises(UnknownPlanError):
        visitor.plans.request_cancel("nobody")
    assert not plan_row.is_cancel_requested(any_desk.store, "nobody")
    assert visitor.verify().problems == ()
    visitor.close()


def test_lists_are_newest_first_filtered_and_paged(any_desk: Desk) -> None:
    for number in range(4):
        root_id = f"01J{number}"
        any_desk.own(root_id)
        state = "complete" if number % 2 else "waiting"
        any_desk.plan(root_id, root_id=root_id, state=state, session_id="s" if number else "")
    store = any_desk.store
    assert [row.plan_id for row in plan_row.list_plans(store)] == ["01J3", "01J2", "01J1", "01J0"]
    assert [row.plan_id for row in plan_row.list_plans(store, state="waiting")] == ["01J2", "01J0"]
    page = plan_row.list_plans(store, limit=2, before="01J3", session_id="s")
    assert [row.plan_id for row in page] == ["01J2", "01J1"]
    assert plan_row.newest_root(store) == "01J3"


def test_an_empty_store_has_no_newest_plan(any_desk: Desk) -> None:
    assert plan_row.newest_root(any_desk.store) is None
    assert plan_row.list_plans(any_desk.store) == ()


def test_a_family_is_a_plan_and_what_is_below_it(any_desk: Desk) -> None:
    any_desk.own()
    any_desk.plan()
    any_desk.plan(CHILD, parent_plan_id=ROOT, depth=1)
    # An id that sorts before its parent's.
    early = "01A"
    any_desk.plan(early, parent_plan_id=CHILD, depth=2)
    any_desk.plan(GRANDCHILD, parent_plan_id=ROOT, depth=1)
    store = any_desk.store
    assert {row.plan_id for row in plan_row.family(store, ROOT)} == {ROOT, CHILD, early, GRANDCHILD}
    assert [row.plan_id for row in plan_row.family(store, CHILD)] == [early, CHILD]
    assert [row.plan_id for row in plan_row.family(store, early)] == [early]
    assert [row.plan_id for row in plan_row.children(store, ROOT)] == [CHILD, GRANDCHILD]
    assert plan_row.newest_root(store) == ROOT


@pytest.mark.parametrize("detail", ["{", "[]", "null", "[" * 100_000])
def test_a_detail_that_is_no_object_is_one_sentence(desk: Desk, detail: str) -> None:
    desk.own()
    desk.plan()
    desk.store.change("UPDATE plan SET detail = ?", (detail,))
    with pytest.raises(RecordError, match=f"row of plan {ROOT} cannot be read"):
        plan_row.get(desk.store, ROOT)


def test_a_detail_that_is_no_json_is_not_written(desk: Desk) -> None:
    desk.own()
    with pytest.raises(RecordError, match="is no JSON"):
        desk.plans.create(PlanRow(ROOT, ROOT, "x", detail={"a": object()}))
    assert plan_row.find(desk.store, ROOT) is None
