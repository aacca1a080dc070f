"""Which plan files load, what they become, and how each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from cleveragents.config.plan_file import (
    LoadedPlan,
    check_tools,
    load_plan,
    parse_plan,
    plan_from_stored,
    plan_to_mapping,
    subplan_from_stored,
    subplan_to_mapping,
)
from cleveragents.config.yaml_file import load_text
from cleveragents.errors import ConfigurationError, UnknownToolError
from cleveragents.terms.cost import Limits
from cleveragents.terms.plan import (
    ActorDefinition,
    DelegationRequest,
    ParallelStep,
    SubplanStep,
    ToolStep,
)

DESIGN = """\
name: changelog
automation_profile: careful.yaml
safety_profile: read-only
steps:
  - {id: readme, tool: read_file, args: {path: README.md}}
  - {id: note, tool: write_file, args: {path: NOTES.md, content: "${{ steps.readme.text }}"}, on_denied: continue}
  - id: docs
    subplan:
      name: docs
      delegate: {tools: [read_file, write_file], read: ["."], write: [docs/], budget: {max_cost_usd: 0.20}}
      inputs: {title: "${{ steps.readme.text }}"}
      outputs: {title: {type: string, maxLength: 200}}
      steps: [{tool: write_file, args: {path: docs/a.md, content: "${{ inputs.title }}"}}]
  - parallel:
      - {subplan: {delegate: {}, actor: {kind: program, command: [python3, worker.py]}}}
      - {id: second, subplan: {delegate: {}, goal: look, actor: {kind: llm, model: "openai:m"}}}
"""


def load(tmp_path: Path, text: str) -> LoadedPlan:
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return load_plan(path)


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_plan(_mapping(text), name="plan.yaml", base=Path())
    assert "\n" not in caught.value.message
    return caught.value.message


def _mapping(text: str) -> dict[str, object]:
    raw = load_text(text, "plan.yaml").value
    assert isinstance(raw, dict)
    return raw


def steps(*lines: str, inputs: str = "{}") -> str:
    return f"name: p\ninputs: {inputs}\nsteps:\n" + "".join(f"  - {line}\n" for line in lines)


def test_the_plan_of_the_design_loads(tmp_path: Path) -> None:
    plan = load(tmp_path, DESIGN).definition
    assert (plan.name, plan.automation_profile, plan.safety_profile) == (
        "changelog",
        "careful.yaml",
        "read-only",
    )
    readme, note, docs, group = plan.steps
    assert readme == ToolStep("readme", "read_file", {"path": "README.md"})
    assert isinstance(note, ToolStep)
    assert (note.on_denied, note.on_error) == ("continue", "fail")
    assert isinstance(docs, SubplanStep)
    assert docs.subplan.delegate == DelegationRequest(
        tools=("read_file", "write_file"),
        read=(".",),
        write=("docs/",),
        budget=Limits(cost_microusd=200_000),
    )
    assert docs.subplan.steps[0].id == "step1"
    assert isinstance(group, ParallelStep)
    assert group.id == "step4"
    assert [member.id for member in group.members] == ["step4_1", "second"]
    assert [member.subplan.name for member in group.members] == ["step4_1", "second"]
    assert group.members[0].subplan.actor == ActorDefinition(
        kind="program", command=("python3", "worker.py")
    )


def test_a_plan_survives_being_stored(tmp_path: Path) -> None:
    loaded = load(tmp_path, DESIGN)
    assert plan_from_stored(loaded.raw) == loaded.definition
    assert plan_to_mapping(plan_from_stored(loaded.raw)) == loaded.raw


def test_a_loaded_plan_knows_its_places(tmp_path: Path) -> None:
    loaded = load(tmp_path, DESIGN)
    assert loaded.base == tmp_path
    assert loaded.name == str(tmp_path / "plan.yaml")
    assert loaded.where(("steps", 2, "subplan")) == f"{loaded.name}:8: steps[2].subplan"


def test_an_unknown_key_is_told_with_file_line_and_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, DESIGN.replace("delegate: {tools", "delegat: {tools"))
    assert caught.value.message == (
        f"{tmp_path}/plan.yaml:10: steps[2].subplan.delegat: unknown key, did you mean 'delegate'?"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "expected a mapping, found a list"),
        ("name: p", "needs 'steps', or an 'actor' of kind llm or program"),
        ("steps: [{tool: a}]", "the key 'name' is missing"),
        ("{name: p, steps: []}", "steps: there is no step"),
        ("{name: p, steps: }", "steps: the key has no value"),
        ("{name: p, steps: {}}", "steps: expected a list, found a mapping"),
        ("{name: p, step: []}", "step: unknown key, did you mean 'steps'?"),
        ("{name: '', steps: [{tool: a}]}", "name: is empty"),
        ("{name: 1, steps: [{tool: a}]}", "name: expected a string, found the number 1"),
        ('{name: "a\\nb", steps: [{tool: a}]}', "name: a name is printable text of 1 to 64"),
        ("{name: p, steps: [{tool: a}], goal: '${{ plan.id }}'}", "goal: a reference is not read"),
        ("{name: p, steps: [{tool: a}], automation_profile: ''}", "automation_profile: is empty"),
        (
            '{name: p, steps: [{tool: a}], automation_profile: "a\\nb"}',
            "an automation profile is a",
        ),
        ("{name: p, steps: [{tool: a}], safety_profile: [a]}", "safety_profile: expected a string"),
        (
            "{name: p, steps: [{tool: a}], safety_profile: {denied: []}}",
            "safety_profile.denied: unknown key, did you mean 'denied_tools'?",
        ),
        ("{name: p, steps: [{tool: a}], delegates: read-only}", "delegates: unknown key"),
    ],
)
def test_a_malformed_plan_is_one_sentence(text: str, sentence: str) -> None:
    if text == "[]":
        with pytest.raises(ConfigurationError, match=sentence):
            parse_plan(load_text(text, "x").value, name="x", base=Path())  # type: ignore[arg-type]  # bad input on purpose
    else:
        assert sentence in refusal(text)


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ("x", "steps[0]: expected a mapping, found the text 'x'"),
        ("{}", "steps[0]: a step is one of tool, subplan, parallel"),
        ("{tol: read_file}", "steps[0].tol: unknown key, did you mean 'tool'?"),
        ("{tool: a, subplan: {}}", "a step cannot be both 'tool' and 'subplan'"),
        ("{tool: a, fail_fast: true}", "steps[0].fail_fast: unknown key, known: "),
        ("{parallel: [], on_error: fail}", "steps[0].on_error: unknown key"),
        ("{subplan: {}, args: {}}", "steps[0].args: unknown key"),
        ("{tool: Read-File}", "'Read-File' cannot be the name of a tool"),
        ("{tool: 'web__*'}", "'web__*' cannot be the name of a tool"),
        ("{tool: a, args: [1]}", "steps[0].args: expected a mapping, found a list"),
        ("{tool: a, id: 'a b'}", "'a b' cannot be the id of a step"),
        ("{tool: a, id: a.b}", "'a.b' cannot be the id of a step"),
        (
            "{tool: a, id: 1}",
            "steps[0].id: expected a string, found the number 1; put it in quotes",
        ),
        ("{tool: a, on_denied: skip}", "'skip' is not one of fail, continue"),
        ("{tool: a, on_error: true}", "on_error: expected a string, found true"),
        ("{tool: a, args: {'${{ inputs.x }}': 1}}", "a reference is not read in a key"),
        ("{tool: a, args: {b: [{'${{': 1}]}}", "steps[0].args.b[0].'${{': a reference is not read"),
        ("{tool: a, args: {b: '${{ x'}}", "steps[0].args.b: '${{' is not closed"),
        ("{parallel: []}", "there is no member in the group"),
        ("{parallel: [{tool: a}]}", "parallel[0]: a member of a group is a subplan"),
        ("{parallel: [{parallel: []}]}", "parallel[0]: a member of a group is a subplan"),
        ("{parallel: [{subplan: {delegate: {}}}], fail_fast: 1}", "expected true or false"),
        ("{tool: spawn_subplan}", "a call of spawn_subplan needs 'args'"),
    ],
)
def test_a_malformed_step_is_one_sentence(step: str, sentence: str) -> None:
    # A group's members are read before its own flags.
    step = step.replace("{delegate: {}}", "{delegate: {}, steps: [{tool: a}]}")
    assert sentence in refusal(steps(step))


@pytest.mark.parametrize(
    ("subplan", "sentence"),
    [
        ("{steps: [{tool: a}]}", "subplan: the key 'delegate' is missing"),
        ("{delegate: {}}", "subplan: needs 'steps', or an 'actor'"),
        ("{delegate: {}, steps: []}", "subplan.steps: there is no step"),
        ("{delegate: {tool: [a]}, steps: [{tool: a}]}", "delegate.tool: unknown key, did you mean"),
        (
            "{delegate: {tools: a}, steps: [{tool: a}]}",
            "tools: expected a list, found the text 'a'",
        ),
        (
            "{delegate: {tools: ['*']}, steps: [{tool: a}]}",
            "tools[0]: '*' cannot be the exact name",
        ),
        ("{delegate: {read: [../x]}, steps: [{tool: a}]}", "read[0]: '../x' is outside"),
        (
            "{delegate: {read: ['*.md']}, steps: [{tool: a}]}",
            "read[0]: '*.md' looks like a pattern",
        ),
        ("{delegate: {hosts: ['a b']}, steps: [{tool: a}]}", "delegate.hosts[0]: "),
        (
            "{delegate: {credentials: [a-b]}, steps: [{tool: a}]}",
            "'a-b' cannot be the name of a cred",
        ),
        (
            "{delegate: {where: {'a*': {}}}, steps: [{tool: a}]}",
            "where.a*: conditions are given for",
        ),
        (
            "{delegate: {depth: -1}, steps: [{tool: a}]}",
            "delegate.depth: -1 is not between 0 and 64",
        ),
        ("{delegate: {budget: {max_cost: 1}}, steps: [{tool: a}]}", "did you mean 'max_cost_usd'?"),
        ("{delegate: {}, name: '', steps: [{tool: a}]}", "subplan.name: is empty"),
        ("{delegate: {}, inputs: {a.b: 1}, steps: [{tool: a}]}", "cannot be the name of an input"),
        (
            "{delegate: {}, outputs: {a: {typ: x}}, steps: [{tool: a}]}",
            "outputs.a: unknown JSON Schema keyword 'typ'; did you mean 'type'?",
        ),
        ("{delegate: {}, outputs: {a: 1}, steps: [{tool: a}]}", "outputs.a: expected a mapping"),
        (
            "{delegate: {}, outputs: {'a b': {}}, steps: [{tool: a}]}",
            "cannot be the name of an output",
        ),
        (
            "{delegate: {}, merge_strategy: best, steps: [{tool: a}]}",
            "'best' is not one of git_three",
        ),
        (
            "{delegate: {}, goal: '${{ inputs.a }}', steps: [{tool: a}]}",
            "a reference is not read here",
        ),
        (
            "{delegate: {}, actor: {kind: robot}}",
            "actor.kind: 'robot' is not one of script, llm, program",
        ),
        ("{delegate: {}, actor: {}}", "actor: the key 'kind' is missing"),
        (
            '{delegate: {}, actor: {kind: llm, model: "openai:m"}}',
            "an actor of kind 'llm' needs a 'goal'",
        ),
        (
            "{delegate: {}, goal: g, actor: {kind: llm, credential: K}}",
            "'base_url' and 'credential' belong to a 'model'",
        ),
        (
            "{delegate: {}, goal: g, actor: {kind: llm, model: gpt-5}}",
            "'gpt-5' cannot be a model",
        ),
        ("{delegate: {}, actor: {kind: llm, command: [a]}}", "actor.command: unknown key"),
        ("{delegate: {}, actor: {kind: program, model: m}}", "actor.model: unknown key"),
        ("{delegate: {}, actor: {kind: program}}", "actor: the key 'command' is missing"),
        ("{delegate: {}, actor: {kind: program, command: []}}", "the command is empty"),
        ("{delegate: {}, actor: {kind: program, command: a b}}", "expected a list, found the text"),
        ('{delegate: {}, actor: {kind: program, command: [a, "\\0"]}}', "the command holds a NUL"),
        (
            "{delegate: {}, actor: {kind: program, command: [a]}, steps: [{tool: a}]}",
            "subplan.steps: an actor of kind 'program' has no steps",
        ),
        (
            '{delegate: {}, goal: g, actor: {kind: llm, model: "openai:m", base_url: ftp://x}}',
            "'ftp://x' cannot be a base URL",
        ),
        (
            '{delegate: {}, goal: g, actor: {kind: llm, model: "openai:m", credential: a-b}}',
            "'a-b' cannot be the name of a credential",
        ),
    ],
)
def test_a_malformed_subplan_is_one_sentence(subplan: str, sentence: str) -> None:
    message = refusal(steps(f"{{subplan: {subplan}}}"))
    assert sentence in message
    assert message.startswith("plan.yaml: steps[0].subplan")


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            ["{tool: a, args: {x: '${{ steps.b.text }}'}}"],
            "'steps.b.text' reads a step that does not",
        ),
        (
            ["{id: b, tool: a, args: {x: '${{ steps.b.value }}'}}"],
            "reads a step that has not run by",
        ),
        (
            ["{id: b, tool: a, args: {x: '${{ steps.c.value }}'}}", "{id: c, tool: a}"],
            "steps[0].args.x: 'steps.c.value' reads a step that has not run by then",
        ),
        (
            ["{id: readme, tool: a}", "{tool: a, args: {x: ['${{ steps.redme.value }}']}}"],
            "steps[1].args.x[0]: 'steps.redme.value' reads a step that does not exist; did you mean",
        ),
        (
            ["{id: b, tool: read_file}", "{tool: a, args: {x: '${{ steps.b.txt }}'}}"],
            "reads a field that a call of read_file does not give; did you mean 'text'?",
        ),
        (
            ["{id: b, tool: write_file}", "{tool: a, args: {x: '${{ steps.b.text }}'}}"],
            "reads a field that a call of write_file does not give; known: none",
        ),
        (
            ["{id: b, tool: mine}", "{tool: a, args: {x: '${{ steps.b.text }}'}}"],
            "reads a field that a call of mine does not give; known: value",
        ),
        (
            [
                "{id: s, subplan: {delegate: {}, outputs: {one: {}}, steps: [{tool: a}]}}",
                "{tool: a, args: {x: '${{ steps.s.outputs.two }}'}}",
            ],
            "reads an output that subplan 's' does not declare; known: one",
        ),
        (
            [
                "{id: g, parallel: [{id: m, subplan: {delegate: {}, steps: [{tool: a}]}}]}",
                "{tool: a, args: {x: '${{ steps.g.summary }}'}}",
            ],
            "'steps.g.summary' reads a parallel group; read one of its members: m",
        ),
        (
            ["{tool: a, args: {x: '${{ inputs.b }}'}}"],
            "reads an input that is not declared; known: n",
        ),
        (["{tool: a, args: {x: '${{ plan.workspace }}'}}"], "of a plan: id, name, goal"),
        (["{id: b, tool: a}", "{id: b, tool: a}"], "steps[1]: the id 'b' is used twice"),
        (["{id: step2, tool: a}", "{tool: a}"], "the id 'step2' is used twice"),
        (
            [
                "{id: b, tool: a}",
                "{parallel: [{id: b, subplan: {delegate: {}, steps: [{tool: a}]}}]}",
            ],
            "steps[1]: the id 'b' is used twice",
        ),
        (
            [
                "{id: b, tool: a}",
                "{subplan: {delegate: {}, steps: [{tool: a, args: {x: '${{ steps.b.value }}'}}]}}",
            ],
            "subplan.steps[0].args.x: 'steps.b.value' reads a step that does not exist",
        ),
        (
            ["{subplan: {delegate: {}, steps: [{tool: a, args: {x: '${{ inputs.n }}'}}]}}"],
            "subplan.steps[0].args.x: 'inputs.n' reads an input that is not declared",
        ),
        (
            ["{subplan: {delegate: {}, inputs: {a: '${{ inputs.m }}'}, steps: [{tool: a}]}}"],
            "subplan.inputs.a: 'inputs.m' reads an input that is not declared; did you mean 'n'?",
        ),
    ],
)
def test_a_reference_to_what_is_not_there_is_one_sentence(lines: list[str], sentence: str) -> None:
    assert sentence.replace("; did you mean 'n'?", "") in refusal(steps(*lines, inputs="{n: 1}"))


@pytest.mark.parametrize(
    ("tool", "field"),
    [
        ("read_file", "text"),
        ("fetch_url", "text"),
        ("list_directory", "entries"),
        ("search_files", "matches"),
        ("run_command", "stdout"),
        ("run_command", "stderr"),
        ("run_command", "exit_code"),
        ("send_request", "status"),
        ("send_request", "text"),
        ("mine", "value"),
    ],
)
def test_every_field_of_the_contract_can_be_read(tool: str, field: str) -> None:
    text = steps(
        f"{{id: a, tool: {tool}}}", f"{{tool: x, args: {{y: '${{{{ steps.a.{field} }}}}'}}}}"
    )
    assert parse_plan(_mapping(text), name="p", base=Path()).definition.steps


def test_members_of_a_group_can_be_read_after_it() -> None:
    text = steps(
        "{id: g, parallel: [{subplan: {delegate: {}, outputs: {o: {}}, steps: [{tool: a}]}}]}",
        "{tool: x, args: {y: '${{ steps.g_1.outputs.o }} ${{ steps.g_1.summary }}'}}",
    )
    assert parse_plan(_mapping(text), name="p", base=Path()).definition.steps


def test_nested_subplans_see_their_own_world_only() -> None:
    text = steps(
        "{subplan: {delegate: {depth: 1}, inputs: {a: '${{ inputs.n }}'}, steps: ["
        "{id: r, tool: x, args: {y: '${{ inputs.a }} ${{ plan.goal }}'}},"
        "{subplan: {delegate: {}, inputs: {b: '${{ steps.r.value }}'},"
        " steps: [{tool: x, args: {y: '${{ inputs.b }}'}}]}}]}}",
        inputs="{n: 1}",
    )
    plan = parse_plan(_mapping(text), name="p", base=Path())
    assert plan_from_stored(plan.raw) == plan.definition


def test_a_spawn_call_is_a_subplan_step_written_another_way() -> None:
    body = "{name: s, delegate: {}, steps: [{tool: a, args: {x: '${{ plan.name }}'}}]}"
    one = parse_plan(_mapping(steps(f"{{subplan: {body}}}")), name="p", base=Path())
    other = parse_plan(
        _mapping(steps(f"{{tool: spawn_subplan, args: {body}}}")), name="p", base=Path()
    )
    assert one.definition == other.definition


def test_the_arguments_of_a_spawn_call_are_data() -> None:
    subplan = subplan_from_stored(
        {
            "name": "s",
            "goal": "explain ${{ secrets.X }}",
            "delegate": {"tools": ["read_file"], "where": {"read_file": {"maxProperties": 2}}},
            "inputs": {"code": "${{ steps.nothing.text }}", "n": None},
            "actor": {
                "kind": "llm",
                "model": "openai:m",
                "base_url": "http://x/v1",
                "credential": "K",
            },
            "outputs": {"o": {"type": "string"}},
            "merge_strategy": "last_wins",
        }
    )
    assert subplan.inputs == {"code": "${{ steps.nothing.text }}", "n": None}
    assert subplan_from_stored(subplan_to_mapping(subplan)) == subplan


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"delegate": {}, "steps": [{"tool": "a"}]}, "spawn_subplan: a subplan needs a name"),
        ({"name": "s", "delegate": {}, "x": 1}, "spawn_subplan: x: unknown key"),
        (
            {"name": "s", "delegate": {}, "inputs": {"a": float("inf")}},
            "spawn_subplan: inputs.a: inf",
        ),
        ({"name": "s", "delegate": {}, "steps": {1, 2}}, "spawn_subplan: steps: something else"),
    ],
)
def test_a_malformed_spawn_call_is_one_sentence(raw: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        subplan_from_stored(raw)
    assert sentence in caught.value.message


def test_a_deep_spawn_call_is_refused() -> None:
    raw: dict[str, object] = {}
    for _ in range(5000):
        raw = {"steps": [raw]}
    with pytest.raises(ConfigurationError, match="nests too deep"):
        subplan_from_stored(raw)


def test_an_inline_profile_is_stored_as_it_was_understood() -> None:
    text = steps("{tool: a}") + "safety_profile: {denied_tools: [run_command], write: [docs]}\n"
    plan = parse_plan(_mapping(text), name="p", base=Path())
    assert plan.definition.safety_profile == {
        "name": "inline",
        "denied_tools": ["run_command"],
        "write": ["docs"],
    }
    assert plan_from_stored(plan.raw) == plan.definition


def test_a_plan_of_a_model_is_read() -> None:
    text = '{name: p, goal: write it, actor: {kind: llm, model: "openai:m"}}'
    plan = parse_plan(_mapping(text), name="p", base=Path())
    assert plan.definition.actor.kind == "llm"
    assert plan_from_stored(plan.raw) == plan.definition
    lent = "{name: p, goal: write it, actor: {kind: llm}, outputs: {t: {type: string}}}"
    found = parse_plan(_mapping(lent), name="p", base=Path())
    assert (found.definition.actor.model, dict(found.definition.outputs["t"])) == (
        "",
        {"type": "string"},
    )
    assert plan_from_stored(found.raw) == found.definition
    script = "{name: p, actor: {kind: script}, steps: [{tool: a}]}"
    assert parse_plan(_mapping(script), name="p", base=Path()).definition.actor == ActorDefinition()


def test_a_default_that_looks_like_a_reference_is_told() -> None:
    text = steps(
        "{tool: a, args: {x: '${{ inputs.ci }}'}}", inputs="{ci: '${{ github.sha }}', n: 1}"
    )
    plan = parse_plan(_mapping(text), name="p.yaml", base=Path())
    assert plan.definition.inputs["ci"] == "${{ github.sha }}"
    (message,) = plan.messages
    assert message == "p.yaml: inputs.ci: the default holds '${{', which stays as it is"


def test_every_tool_must_be_known(tmp_path: Path) -> None:
    loaded = load(tmp_path, DESIGN)
    check_tools(loaded.definition, frozenset({"read_file", "write_file"}))
    for known, place in (
        ({"write_file"}, "steps[0].tool"),
        ({"read_file"}, "steps[1].tool"),
    ):
        with pytest.raises(UnknownToolError) as caught:
            check_tools(loaded.definition, frozenset(known), where=loaded.where)
        assert place in caught.value.message


@pytest.mark.parametrize(
    ("subplan", "place"),
    [
        ("{delegate: {tools: [x]}, steps: [{tool: a}]}", "steps[0].subplan.delegate.tools[0]"),
        ("{delegate: {where: {x: {}}}, steps: [{tool: a}]}", "steps[0].subplan.delegate.where.x"),
        ("{delegate: {}, steps: [{tool: x}]}", "steps[0].subplan.steps[0].tool"),
        (
            "{delegate: {}, steps: [{parallel: [{subplan: {delegate: {}, steps: [{tool: x}]}}]}]}",
            "steps[0].subplan.steps[0].parallel[0].subplan.steps[0].tool",
        ),
    ],
)
def test_tools_of_subplans_must_be_known_too(subplan: str, place: str) -> None:
    plan = parse_plan(_mapping(steps(f"{{subplan: {subplan}}}")), name="p", base=Path())
    with pytest.raises(UnknownToolError) as caught:
        check_tools(plan.definition, frozenset({"a"}))
    assert caught.value.message == f"{place}: no tool is named 'x'; known: a"


def test_there_is_a_most_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cleveragents.config.step_reader.MAX_STEPS", 2)
    assert "there are more than 2 steps" in refusal(steps(*["{tool: a}"] * 3))


def test_there_is_a_most_of_members_in_a_group() -> None:
    member = "{subplan: {delegate: {}, steps: [{tool: a}]}}"
    group = steps(f"{{parallel: [{', '.join([member] * 257)}]}}")
    assert "there are more than 256 members in the group" in refusal(group)
