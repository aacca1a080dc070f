"""Outputs of a script: set by ``result``, checked, read by the parent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cleveragents.config.plan_file import (
    parse_plan,
    plan_from_stored,
    subplan_from_stored,
    subplan_to_mapping,
)
from cleveragents.errors import ConfigurationError
from cleveragents.plans.actor import output
from cleveragents.plans.actor.output import output_problem
from tests.subplans.scene import child_of, data, group, subplan, write

if TYPE_CHECKING:
    from tests.subplans.scene import Scene

READ = {"id": "a", "tool": "read_file", "args": {"path": "a"}}
COUNT = {"id": "n", "tool": "run_command", "args": {"command": "exit 3"}}


def loaded(subplan: str) -> Any:
    raw = {"name": "p", "steps": [{"id": "s", "subplan": yaml.safe_load(subplan)}]}
    return parse_plan(raw, name="p", base=Path())


def test_the_parent_reads_what_the_script_set(stage: Scene) -> None:
    stage.file("a", "hello")
    child = subplan(
        "child",
        READ,
        COUNT,
        inputs={"word": "given"},
        outputs={
            "text": {"type": "string", "maxLength": 20},
            "code": {"type": "integer"},
            "list": {},
        },
        result={
            "text": "<${{ steps.a.text }}>",
            "code": "${{ steps.n.exit_code }}",
            "list": ["${{ inputs.word }}", {"name": "${{ plan.name }}"}, 1],
        },
    )
    read = "${{ steps.child.outputs.text }} ${{ steps.child.outputs.code }}"
    answer = stage.run(
        child, write("said", read), write("list", "${{ steps.child.outputs.list }}!")
    )
    assert answer.exit_code == 0, answer.messages
    made = stage.made(data(answer)["plan_id"])
    assert made["said"] == b"<hello> 3"
    assert made["list"] == b'["given", {"name": "child"}, 1]!'
    assert stage.proposal(child_of(answer, "child")["plan_id"])["outputs"]["code"] == 3


def test_what_is_put_in_is_data(stage: Scene) -> None:
    stage.file("a", "${{ inputs.secret }}")
    child = subplan("child", READ, outputs={"o": {}}, result={"o": "${{ steps.a.text }}"})
    answer = stage.run(child, write("said", "${{ steps.child.outputs.o }}"))
    assert stage.made(data(answer)["plan_id"])["said"] == b"${{ inputs.secret }}"


def test_what_does_not_fit_its_schema_fails_the_child(stage: Scene) -> None:
    stage.file("a", "too long")
    child = subplan(
        "child", READ, write("w", "w"), outputs={"o": {"type": "string", "maxLength": 3}},
        result={"o": "${{ steps.a.text }}"},
    )  # fmt: skip
    answer = stage.run(child)
    assert answer.exit_code == 1
    error = data(answer)["error"]["message"]
    assert "the output 'o' does not fit its schema" in error
    assert child_of(answer, "child")["state"] == "errored"
    # All or nothing: what it wrote is not merged.
    assert "w" not in stage.made(data(answer)["plan_id"])


def test_what_is_not_there_fails_the_child(stage: Scene) -> None:
    child = subplan(
        "child", {**READ, "on_error": "continue"}, outputs={"o": {}},
        result={"o": "${{ steps.a.text }}"}, on_error="continue",
    )  # fmt: skip
    answer = stage.run(child, write("x", "x"))
    assert answer.exit_code == 0
    (spawned,) = [
        c for c in stage.status(data(answer)["plan_id"])["calls"] if c["call_id"] == "child"
    ]
    assert spawned["status"] == "failed"


def test_members_of_a_group_and_programs_do_it_the_same_way(stage: Scene) -> None:
    stage.file("a", "hello")
    spawn = """\
        client.ask("spawn_subplan", name="inner", delegate={"tools": ["read_file"], "read": ["."]},
                   outputs={"o": {"type": "string"}}, result={"o": "${{ steps.step1.text }}"},
                   steps=[{"tool": "read_file", "args": {"path": "a"}}])
    """
    body = f"""\
        value = {spawn.strip()}
        client.submit({{"o": value["outputs"]["o"]}})
    """
    outer = subplan(
        "outer", actor=stage.program("outer", body), outputs={"o": {"type": "string"}},
        delegate={"tools": ["spawn_subplan", "read_file"], "depth": 1},
    )  # fmt: skip
    member = subplan("member", READ, outputs={"o": {}}, result={"o": "${{ steps.a.text }}"})
    answer = stage.run(
        group(member, outer),
        write("x", "${{ steps.member.outputs.o }} ${{ steps.outer.outputs.o }}"),
    )
    assert answer.exit_code == 0, answer.messages
    assert stage.made(data(answer)["plan_id"])["x"] == b"hello hello"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("result: {b: 1}", "result.b: this output is not declared; known: a"),
        ("result: {}", "result: the output 'a' is declared and not set here"),
        ("result: {a: '${{ steps.y.text }}'}", "result.a: 'steps.y.text' reads a step that does"),
        ("result: {a: '${{ steps.x.stdout }}'}", "reads a field that a call of read_file does not"),
        ("result: {a: '${{ inputs.i }}'}", "reads an input that is not declared"),
        ("result: {a: '${{ steps.x'}", "is not closed"),
        ("result: 3", "result: expected a mapping"),
        ("result: {'a b': 1, a: 1}", "this output is not declared"),
        ("result: {a: {'${{ steps.x.text }}': 1}}", "a reference is not read in a key"),
    ],
)  # fmt: skip
def test_a_malformed_result_is_one_sentence(text: str, sentence: str) -> None:
    steps = "steps: [{id: x, tool: read_file, args: {path: a}}]"
    with pytest.raises(ConfigurationError) as caught:
        loaded(f"{{delegate: {{}}, outputs: {{a: {{}}}}, {steps}, {text}}}")
    assert sentence in str(caught.value)
    assert "steps[0].subplan.result" in str(caught.value)


def test_only_a_script_has_a_result() -> None:
    with pytest.raises(ConfigurationError, match="of kind 'program' hands its outputs in itself"):
        loaded(
            "{delegate: {}, actor: {kind: program, command: [x]}, outputs: {a: {}}, result: {a: 1}}"
        )


def test_outputs_that_nothing_sets_are_worth_a_word() -> None:
    step = "steps: [{tool: read_file, args: {path: a}}]"
    inner = f"{{delegate: {{}}, outputs: {{a: {{}}}}, {step}}}"
    plan = loaded(
        f"{{delegate: {{}}, steps: [{{parallel: [{{subplan: {inner}}}]}}, {{subplan: {inner}}}]}}"
    )
    assert [message.partition(": a script")[0] for message in plan.messages] == [
        "p: steps[0].subplan.steps[0].parallel[0].subplan.outputs",
        "p: steps[0].subplan.steps[1].subplan.outputs",
    ]
    quiet = loaded(f"{{delegate: {{}}, outputs: {{a: {{}}}}, result: {{a: 1}}, {step}}}")
    assert quiet.messages == ()
    assert plan_from_stored(quiet.raw) == quiet.definition
    (only,) = quiet.definition.steps
    assert subplan_from_stored(subplan_to_mapping(only.subplan)) == only.subplan


def test_one_check_for_every_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = {"a": {"type": "string"}, "bad": {"typ": "string"}}
    assert output_problem({"a": "x"}, declared) == ""
    assert output_problem({"b": 1}, declared) == "the output 'b' is not declared"
    assert "does not fit its schema" in output_problem({"a": 1}, declared)
    assert "does not fit its schema" in output_problem({"bad": 1}, declared)
    monkeypatch.setattr(output, "MAX_OUTPUTS", 1)
    assert output_problem({"a": "x", "b": 1}, declared) == "more than 1 outputs"
