"""The choices that every plan makes, in words."""

from __future__ import annotations

import pytest

from cleveragents.errors import (
    ApprovalPendingError,
    BudgetExceededError,
    CleverAgentsError,
    DelegationError,
    MergeConflictError,
    MergeRefusedError,
    PlanCancelledError,
    RecordError,
    SubplanRefusedError,
    ToolFailedError,
)
from cleveragents.plans.plan_choice import conflict_choice, first_choice, spawn_choice, word_of
from cleveragents.record.planned_step import planned_steps
from cleveragents.terms.call import ToolCall
from cleveragents.terms.digest import digest_bytes
from cleveragents.terms.plan import (
    ActorDefinition,
    DelegationRequest,
    PlanDefinition,
    SubplanDefinition,
)
from tests.record.desk import ROOT, Desk


@pytest.mark.parametrize(
    ("actor", "way"),
    [
        (ActorDefinition(), "the 0 steps of its script"),
        (ActorDefinition(kind="program", command=("a b", "c")), "the program: 'a b' c"),
        (ActorDefinition(kind="llm"), "a model, call by call"),
        (ActorDefinition(kind="llm", model="x:y"), "a model, call by call: x:y"),
        (ActorDefinition(kind="gateway"), "what an MCP client asks for, call by call"),
    ],
)
def test_every_actor_has_a_way(actor: ActorDefinition, way: str) -> None:
    root = first_choice(PlanDefinition("p", goal="get there", actor=actor), is_root=True)
    assert (root.question, root.choice, root.by) == ("get there", way, "person")
    child = first_choice(PlanDefinition("p", actor=actor), is_root=False)
    assert (child.question, child.by) == ("how is p done?", "actor")


def test_what_is_handed_on_is_one_line() -> None:
    call = ToolCall(step="docs", tool="spawn_subplan", arguments={}, attempt=2)

    def handed(delegate: DelegationRequest) -> str:
        return spawn_choice(call, SubplanDefinition("d", delegate)).choice

    assert handed(DelegationRequest()) == "the subplan d, with nothing"
    many = DelegationRequest(
        tools=tuple(f"t{n}" for n in range(10)),
        read=(".",),
        hosts=("h",),
        credentials=("KEY",),
        depth=2,
    )
    assert handed(many) == (
        "the subplan d, with t0, t1, t2, t3, t4, t5, t6, t7 and 2 more; read .; hosts h;"
        " credentials KEY; depth 2"
    )


def test_a_conflict_of_many_paths_is_one_sentence() -> None:
    paths = tuple(f"f{n}" for n in range(9))
    choice = conflict_choice(paths, take="ours", call_id="c", parent="d2", key="k")
    assert "f7 and 1 more: which" in choice.question
    assert choice.alternatives == ("theirs", "base")


BUDGET = BudgetExceededError(
    whose="plan P", dimension="cost", limit="1", spent="1", reserved="0", asked="9.99"
)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (BUDGET, "over budget"),
        (SubplanRefusedError(subplan_id="S", name="n", reason="9.99", exit_code=4), "over budget"),
        (SubplanRefusedError(subplan_id="S", name="n", reason="9.99", exit_code=3), "refused"),
        (DelegationError(excesses=("9.99",)), "refused"),
        (MergeRefusedError(plan_id="P", problems=("9.99",)), "its changes were refused"),
        (MergeConflictError(plan_id="P", paths=("9.99",)), "conflicted"),
        (PlanCancelledError(plan_id="9.99"), "cancelled"),
        (ToolFailedError(tool_name="t", reason="9.99"), "failed"),
        (ApprovalPendingError(plan_id="P", call_id="9.99", tool_name="t"), ""),
        (RecordError(problem="9.99"), ""),
    ],
)
def test_an_ending_is_a_word_and_no_detail(error: CleverAgentsError, word: str) -> None:
    assert word_of(error) == word


def test_a_start_that_says_nothing_has_no_steps_to_come(desk: Desk) -> None:
    assert planned_steps(desk.store, "nobody", desk.locks) == []
    desk.own()
    desk.plan(steps=["no step", {"id": "a", "tool": "t"}])
    assert planned_steps(desk.store, ROOT, desk.locks) == [("a", "t")]


def test_a_definition_that_looks_like_a_reference_is_none(desk: Desk) -> None:
    desk.own()
    desk.plan(steps=[{"id": "a", "tool": "t", "$object": "sha256:" + "0" * 64}])
    assert planned_steps(desk.store, ROOT, desk.locks) == [("a", "t")]


def test_what_is_kept_and_no_json_is_one_sentence(desk: Desk) -> None:
    data = b"["
    digest = digest_bytes(data)
    name = digest.removeprefix("sha256:")
    place = desk.home / "objects" / name[:2]
    place.mkdir(parents=True)
    (place / name).write_bytes(data)
    desk.own()
    desk.append("plan_started", plan_id="other", body={"definition": {"steps": []}})
    assert planned_steps(desk.store, "other", desk.locks) == []
    body = f'{{"definition": {{"$object": "{digest}", "size": 1}}}}'
    desk.store.execute("UPDATE record SET body = ? WHERE plan_id = 'other'", (body,))
    with pytest.raises(RecordError, match="is no JSON"):
        planned_steps(desk.store, "other", desk.locks)
