"""What a plan asks for, and what it is given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cleveragents.config.plan_file import parse_plan, plan_from_stored
from cleveragents.config.plan_input import bind_inputs
from cleveragents.config.yaml_file import load_text
from cleveragents.errors import ConfigurationError

if TYPE_CHECKING:
    from cleveragents.terms.plan import PlanDefinition


def plan(inputs: str) -> PlanDefinition:
    raw = load_text(f"name: p\ninputs: {inputs}\nsteps: [{{tool: a}}]\n", "p.yaml").value
    assert isinstance(raw, dict)
    loaded = parse_plan(raw, name="p.yaml", base=Path())
    assert plan_from_stored(loaded.raw) == loaded.definition
    return loaded.definition


@pytest.mark.parametrize(
    ("inputs", "types", "defaults"),
    [
        ("{a: x}", {"a": "string"}, {"a": "x"}),
        ("{a: 1}", {"a": "integer"}, {"a": 1}),
        ("{a: 1.5}", {"a": "number"}, {"a": 1.5}),
        ("{a: true}", {"a": "boolean"}, {"a": True}),
        ("{a: [1]}", {"a": "array"}, {"a": [1]}),
        ("{a: {b: 1}}", {"a": "object"}, {"a": {"b": 1}}),
        ("{a: {}}", {"a": "object"}, {"a": {}}),
        ("{a: {type: string}}", {"a": "string"}, {}),
        ("{a: {type: number, default: 1}}", {"a": "number"}, {"a": 1}),
        ("{a: {default: 1}}", {"a": "integer"}, {"a": 1}),
        ("{a: {default: null}}", {"a": ""}, {"a": None}),
        ("{a: {default: {type: x}}}", {"a": "object"}, {"a": {"type": "x"}}),
        ("{a: {type: string, description: what it is}}", {"a": "string"}, {}),
    ],
)
def test_an_input_is_declared(
    inputs: str, types: dict[str, str], defaults: dict[str, object]
) -> None:
    definition = plan(inputs)
    assert definition.input_types == types
    assert definition.inputs == defaults


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ("[a]", "inputs: expected a mapping, found a list"),
        ("{a b: 1}", "inputs.'a b': cannot be the name of an input"),
        ("{a: }", "inputs.a: the input has no default; write {type: string} to ask for a value"),
        ("{a: {type: text}}", "inputs.a.type: 'text' is not one of string, integer, number"),
        (
            "{a: {type: string, defualt: x}}",
            "inputs.a.defualt: unknown key, did you mean 'default'?",
        ),
        ("{a: {type: string, x: 1}}", "for a mapping as the default write {default: {...}}"),
        ("{a: {type: integer, default: x}}", "inputs.a.default: 'x' is not of type 'integer'"),
        ("{a: {type: integer, default: true}}", "True is not of type 'integer'"),
        ("{a: {type: string, description: 1}}", "description: expected a string"),
    ],
)
def test_a_malformed_declaration_is_one_sentence(inputs: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plan(inputs)
    assert sentence in caught.value.message


@pytest.mark.parametrize(
    ("inputs", "given", "bound"),
    [
        ("{a: x}", [], {"a": "x"}),
        ("{a: x}", [("a", "12")], {"a": "12"}),
        ("{a: x}", [("a", "")], {"a": ""}),
        ("{a: 1}", [("a", "12")], {"a": 12}),
        ("{a: 1.5}", [("a", "2")], {"a": 2}),
        ("{a: true}", [("a", "false")], {"a": False}),
        ("{a: []}", [("a", '["x"]')], {"a": ["x"]}),
        ("{a: {}}", [("a", '{"b": null}')], {"a": {"b": None}}),
        ("{a: {default: null}}", [("a", "{")], {"a": "{"}),
        ("{a: 1, b: 2}", [("b", 3)], {"a": 1, "b": 3}),
        ("{a: {type: string}}", [("a", "${{ inputs.a }}")], {"a": "${{ inputs.a }}"}),
    ],
)
def test_given_values_replace_defaults(
    inputs: str, given: list[tuple[str, object]], bound: dict[str, object]
) -> None:
    assert bind_inputs(plan(inputs), given) == bound


@pytest.mark.parametrize(
    ("inputs", "given", "sentence"),
    [
        (
            "{title: x}",
            [("titel", "y")],
            "--input: the plan declares no input 'titel'; did you mean",
        ),
        ("{}", [("a", "y")], "--input: the plan declares no input 'a'; known: none"),
        ("{a: x}", [("a", "1"), ("a", "2")], "--input: the input 'a' is given twice"),
        ("{a: {type: string}}", [], "the plan needs a value for its input 'a'; add --input a=..."),
        ("{a: 1}", [("a", "x")], "--input a: 'x' is not of type 'integer'; write it as JSON"),
        ("{a: 1}", [("a", "1.5")], "is not of type 'integer'"),
        ("{a: 1}", [("a", "true")], "is not of type 'integer'"),
        ("{a: 1.5}", [("a", "NaN")], "is not of type 'number'"),
        ("{a: []}", [("a", "[" * 100_000)], "is not of type 'array'"),
        ("{a: x}", [("a", 5)], "5 is not of type 'string'"),
        ("{a: {}}", [("a", {1: 2})], "--input a: the key 1 is not a string"),
        ("{a: 1.5}", [("a", float("nan"))], "--input a: nan is no JSON value"),
    ],
)
def test_a_value_that_does_not_fit_is_one_sentence(
    inputs: str, given: list[tuple[str, object]], sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        bind_inputs(plan(inputs), given)
    assert sentence in caught.value.message
    assert "\n" not in caught.value.message
