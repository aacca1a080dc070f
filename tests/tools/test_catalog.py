from __future__ import annotations

import pytest

from cleveragents.errors import UnknownToolError
from cleveragents.policy.argument import prepare
from cleveragents.policy.condition import compile_parameters
from cleveragents.terms.tool import TOOL_NAME, Effect, ToolSpec
from cleveragents.tools.body import command, file, search
from cleveragents.tools.catalog import BUILT_IN, PREPARED_TOOLS, tool_spec

EFFECTS = {
    "read_file": "read",
    "list_directory": "read",
    "search_files": "read",
    "write_file": "read write",
    "edit_file": "read write",
    "move_file": "read write",
    "delete_file": "delete",
    "run_command": "delete execute network read write",
    "fetch_url": "network read",
    "send_request": "network write",
    "spawn_subplan": "spawn",
}
ARGUMENTS = {
    "read_file": "path offset? limit?",
    "list_directory": "path depth?",
    "search_files": "pattern path? glob?",
    "write_file": "path content",
    "edit_file": "path old new count?",
    "move_file": "source destination",
    "delete_file": "path",
    "run_command": "command timeout_s?",
    "fetch_url": "url",
    "send_request": "url method headers? body?",
}


def _signature(spec: ToolSpec) -> str:
    properties, required = spec.parameters["properties"], spec.parameters["required"]
    assert isinstance(properties, dict)
    assert isinstance(required, list)
    return " ".join(name if name in required else name + "?" for name in properties)


def test_effects_and_arguments_are_those_of_the_contract() -> None:
    found = {name: " ".join(sorted(spec.effects)) for name, spec in BUILT_IN.items()}
    assert found == EFFECTS
    signatures = {name: _signature(BUILT_IN[name]) for name in ARGUMENTS}
    assert signatures == ARGUMENTS


@pytest.mark.parametrize("spec", BUILT_IN.values(), ids=list(BUILT_IN))
def test_a_specification_is_whole(spec: ToolSpec) -> None:
    assert TOOL_NAME.fullmatch(spec.name)
    assert len(spec.description) > 40
    assert spec.parameters["additionalProperties"] is False
    compile_parameters(spec)
    needed = {"read": Effect.READ, "write": Effect.WRITE, "delete": Effect.DELETE}
    for resource in spec.resources:
        assert needed.get(resource.access, Effect.NETWORK) in spec.effects


def test_every_cell_tool_has_a_body_and_every_body_a_tool() -> None:
    bodies = {**file.IMMEDIATE, **search.IMMEDIATE, **command.IMMEDIATE, **file.PREPARED}
    in_cell = {name for name, spec in BUILT_IN.items() if spec.place == "cell"}
    assert set(bodies) - {"digest_files"} == in_cell
    assert set(file.PREPARED) == PREPARED_TOOLS


def test_defaults_are_filled_in_before_anything_is_decided() -> None:
    prepared = prepare(tool_spec("edit_file"), {"path": "./a", "old": "x", "new": "y"})
    assert not prepared.problem
    assert prepared.arguments["count"] == 1
    assert {resource.access for resource in prepared.resources} == {"read", "write"}


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("read_file", {}),
        ("read_file", {"path": "a", "offset": 0}),
        ("read_file", {"path": "a", "surprise": 1}),
        ("edit_file", {"path": "a", "old": "", "new": "b"}),
        ("run_command", {"command": []}),
        ("run_command", {"command": "true", "timeout_s": 0}),
        ("send_request", {"url": "http://a.org/", "method": "BREW"}),
        ("list_directory", {"path": ".", "depth": 1000}),
    ],
)
def test_a_malformed_call_has_a_problem(tool: str, arguments: dict[str, object]) -> None:
    assert prepare(tool_spec(tool), arguments).problem


def test_an_unknown_name_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(UnknownToolError, match="read_file"):
        tool_spec("Read_file")
