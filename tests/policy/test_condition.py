"""Conditions on arguments: read strictly, compiled offline, told without values."""

from __future__ import annotations

import pytest

from cleveragents.errors import ConfigurationError
from cleveragents.policy.condition import (
    compile_condition,
    compile_output,
    compile_parameters,
    compile_schema,
)
from cleveragents.terms.tool import ToolSpec
from cleveragents.tools.catalog import BUILT_IN

WRITE = BUILT_IN["write_file"]


def failure(schema: dict[str, object], arguments: object, tool: ToolSpec = WRITE) -> str | None:
    return compile_condition(schema, tool=tool, where="p: where").failure(arguments)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"content": {"maxLength": 5}}},
        {"properties": {"path": {"pattern": "^docs/"}}, "required": ["path"]},
        {"allOf": [{"properties": {"path": {"enum": ["docs/a"]}}}]},
        {"if": {"properties": {"path": {"const": "docs/a"}}}, "then": {"required": ["content"]}},
        {"$defs": {"p": {"maxLength": 10}}, "properties": {"path": {"$ref": "#/$defs/p"}}},
        {"dependentRequired": {"path": ["content"]}},
        {"dependentSchemas": {"path": {"required": ["content"]}}},
        {"not": {"required": ["path", "content"], "properties": {"path": {"const": "x"}}}},
        {"description": "said", "$comment": "why", "title": "t"},
        {"properties": {"path": True}},
        {},
    ],
)
def test_a_condition_that_can_be_enforced_is_compiled(schema: dict[str, object]) -> None:
    assert failure(schema, {"path": "docs/a", "content": "x"}) is None


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"maxLenght": 3}, "unknown JSON Schema keyword 'maxLenght'; did you mean 'maxLength'?"),
        ({"properties": {"content": {"maxLenght": 3}}}, "p: where.properties.content: unknown"),
        ({"properties": {"contents": {}}}, "the tool 'write_file' has no argument 'contents'"),
        ({"required": ["pth"]}, "has no argument 'pth'; did you mean 'path'?"),
        ({"anyOf": [{"required": ["pth"]}]}, "has no argument 'pth'"),
        ({"if": {"properties": {"pth": {}}}}, "has no argument 'pth'"),
        ({"dependentRequired": {"path": ["pth"]}}, "has no argument 'pth'"),
        ({"dependentRequired": {"pth": ["path"]}}, "has no argument 'pth'"),
        ({"dependentSchemas": {"pth": {}}}, "has no argument 'pth'"),
        ({"dependentSchemas": {"path": {"required": ["pth"]}}}, "has no argument 'pth'"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"required": ["pth"]}}}, "no argument 'pth'"),
        ({"patternProperties": {"^p": {}}}, "'patternProperties' cannot be checked"),
        ({"propertyNames": {"maxLength": 3}}, "'propertyNames' cannot be checked"),
        ({"properties": {"path": {"$ref": "http://x.org/s"}}}, "leads out of the schema"),
        ({"$ref": "file:///etc/passwd"}, "leads out of the schema"),
        ({"$ref": "#"}, "leads out of the schema"),
        ({"$ref": 3}, "the reference 3 leads out of the schema"),
        ({"$ref": "#/$defs/b", "$defs": {"a": {}}}, "nothing is defined as 'b'"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "refers to itself"),
        ({"$id": "http://x.org/s"}, "unknown JSON Schema keyword '$id'"),
        ({"properties": {"path": {"format": "email"}}}, "unknown JSON Schema keyword 'format'"),
        ({"properties": {"path": {"type": "strng"}}}, "no valid JSON Schema"),
        ({"properties": {"path": {"pattern": "(?=a)b"}}}, "no valid JSON Schema"),
        ({"properties": {"path": {"maxLength": -1}}}, "no valid JSON Schema"),
        ({"properties": ["path"]}, "where.properties: expected a mapping of schemas"),
        ({"properties": {"path": 3}}, "where.properties.path: expected a JSON Schema"),
        ({"allOf": {}}, "where.allOf: expected a list of schemas"),
        ({"$defs": []}, "where.$defs: expected a mapping"),
        ({"required": 3}, "where.required: has the wrong shape"),
    ],
)
def test_a_condition_that_would_not_bind_is_an_error_when_loaded(
    schema: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        failure(schema, {})
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_a_failure_names_the_argument_and_the_rule_and_never_the_value() -> None:
    reason = failure({"properties": {"content": {"maxLength": 3}}}, {"content": "hunter2"})
    assert reason == "content: the value is longer than 3 characters"
    assert failure({"required": ["path"]}, {}) == '"path" is a required property'


def test_an_absent_argument_satisfies_properties_but_not_required() -> None:
    schema: dict[str, object] = {"properties": {"path": {"pattern": "^docs/"}}}
    assert failure(schema, {"content": ""}) is None
    assert failure({**schema, "required": ["path"]}, {"content": ""}) is not None


@pytest.mark.parametrize("broken", [{"path": object()}, {1: 2}, {"path": {1}}])
def test_a_check_that_breaks_is_a_failure(broken: object) -> None:
    reason = failure({"properties": {"path": {"type": "string"}}}, broken)
    assert reason is not None
    assert reason.startswith("the condition cannot be evaluated")


def test_a_pattern_that_would_backtrack_is_linear() -> None:
    schema: dict[str, object] = {"properties": {"path": {"pattern": "^(a+)+$"}}}
    assert failure(schema, {"path": "a" * 5000 + "b"}) is not None


def test_the_schema_of_every_built_in_tool_is_one_that_is_enforced() -> None:
    for spec in BUILT_IN.values():
        assert compile_parameters(spec).failure({"unheard_of": 1}) is not None


def test_a_tools_own_schema_may_carry_remarks_and_a_servers_its_own_words() -> None:
    remarks = {"$schema": "https://json-schema.org/draft/2020-12/schema", "format": "uri"}
    assert compile_parameters(ToolSpec("t", "", remarks, origin="own")).failure({}) is None
    foreign = ToolSpec("s__t", "", {"x-order": 1}, origin="mcp")
    assert compile_parameters(foreign).failure({}) is None
    with pytest.raises(ConfigurationError, match=r"tools.py: tool 't': unknown JSON Schema"):
        compile_parameters(ToolSpec("t", "", {"x-order": 1}, origin="own", source="tools.py"))


def test_a_servers_schema_never_fetches_either() -> None:
    remote = ToolSpec("s__t", "", {"$ref": "http://127.0.0.1:9/schema"}, origin="mcp")
    with pytest.raises(ConfigurationError, match="no valid JSON Schema"):
        compile_parameters(remote)


def test_a_declared_output_is_checked_by_its_schema() -> None:
    condition = compile_output({"type": "string", "maxLength": 3}, where="outputs.title")
    assert condition.failure("abc") is None
    assert condition.failure("abcd") == "the value is longer than 3 characters"
    with pytest.raises(ConfigurationError, match=r"outputs.title: unknown JSON Schema keyword"):
        compile_output({"maxLenght": 3}, where="outputs.title")


def test_a_schema_in_the_wrong_shape_is_no_schema() -> None:
    with pytest.raises(ConfigurationError, match="x: no valid JSON Schema"):
        compile_schema({"type": 3}, where="x")
