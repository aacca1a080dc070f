"""From a server's words to our tools: names, effects, schemas, results."""

from __future__ import annotations

from typing import Any

import pytest

from cleveragents.config.mcp_server import ServerDefinition, ToolRule
from cleveragents.errors import ConfigurationError
from cleveragents.policy.argument import prepare
from cleveragents.terms.resource import is_outside
from cleveragents.terms.tool import Effect
from cleveragents.tools.mcp_failure import ServerFailedError
from cleveragents.tools.mcp_result import MAX_TEXT_BYTES, value_of
from cleveragents.tools.mcp_schema import UnfitError, fit_schema
from cleveragents.tools.mcp_spec import (
    WORST,
    list_digest,
    pin,
    pinned_from_mapping,
    specs_of,
    to_mapping,
)
from cleveragents.tools.mcp_text import is_plain, plain_text

R, W, D, N, X = Effect.READ, Effect.WRITE, Effect.DELETE, Effect.NETWORK, Effect.EXECUTE
STDIO = ServerDefinition(name="s", kind="stdio", command="x", file="f.json")


def listed(name: str = "t", **facts: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **facts}


def effects(definition: ServerDefinition, **annotations: bool) -> frozenset[Effect]:
    pinned = pin(definition, [listed(annotations=annotations)])
    return specs_of(definition, pinned, root="")[0].effects


def with_facts(**facts: Any) -> ServerDefinition:
    return ServerDefinition(**{"name": "s", "kind": "stdio", "command": "x", "file": "f", **facts})


# -- effects ------------------------------------------------------------------------


def test_nobody_trusts_an_annotation_unless_the_operator_says_so() -> None:
    assert effects(STDIO, readOnlyHint=True, openWorldHint=False) == WORST - {N}
    assert effects(with_facts(is_trusted=True), readOnlyHint=True, openWorldHint=False) == {R}


def test_a_missing_hint_is_the_worst_case_of_it() -> None:
    trusted = with_facts(is_trusted=True, hosts=("*",))
    assert effects(trusted) == WORST
    assert effects(trusted, readOnlyHint=True) == {R, N}
    assert effects(trusted, readOnlyHint=False) == {R, W, D, N}
    assert effects(trusted, readOnlyHint=False, destructiveHint=False, openWorldHint=False) == {
        R,
        W,
    }


def test_a_cell_without_hosts_takes_the_network_away() -> None:
    assert N not in effects(STDIO)
    assert N in effects(with_facts(hosts=("example.com",)))


def test_the_operators_words_come_first() -> None:
    rule = ToolRule(effects=frozenset({R}), cost_microusd=5)
    definition = with_facts(tools={"t": rule}, effects=frozenset({W}))
    pinned = pin(definition, [listed(), listed("u")])
    first, second = specs_of(definition, pinned, root="")
    assert (first.effects, first.cost_microusd) == (frozenset({R}), 5)
    assert second.effects == {W}


def test_a_remote_tool_always_uses_the_network_its_host_and_its_credentials() -> None:
    definition = ServerDefinition(
        name="s",
        kind="http",
        url="https://mcp.example.com/x",
        headers={"Authorization": "Bearer ${credential:T}"},
        effects=frozenset({R}),
        file="f",
    )
    (spec,) = specs_of(definition, pin(definition, [listed()]), root="")
    assert spec.place == "host"
    assert spec.effects == {R, N}
    named = {resource.name for resource in prepare(spec, {}).resources}
    assert named == {"credential:T", "host:mcp.example.com"}


def test_the_users_own_path_is_decided_on_as_the_workspace() -> None:
    definition = with_facts(
        tools={"t": ToolRule(effects=frozenset({R}), resources={"path": "file"})}
    )
    schema = {"type": "object", "properties": {"path": {"type": "string"}}}
    pinned = pin(definition, [listed(inputSchema=schema)])
    (spec,) = specs_of(definition, pinned, root="/home/u/p")
    for path in ("/home/u/p/a/b.md", "/workspace/a/b.md", "a/./b.md"):
        assert prepare(spec, {"path": path}).arguments == {"path": "a/b.md"}
    assert prepare(spec, {"path": "/home/u/p"}).arguments == {"path": "."}
    for path in ("/home/u/p2/a", "/home/u/p/../q"):
        assert is_outside(prepare(spec, {"path": path}).resources[0].value)


def test_a_classification_of_a_tool_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="has no tool 'tt'"):
        pin(with_facts(tools={"tt": ToolRule()}), [listed()])


def test_a_classification_that_contradicts_itself_is_an_error() -> None:
    rule = ToolRule(effects=frozenset({N}), resources={"p": "file"})
    definition = with_facts(tools={"t": rule})
    pinned = pin(definition, [listed()])
    assert pinned.tools == ()
    assert "effects lack" in pinned.refused[0]


# -- pinning ------------------------------------------------------------------------


def test_a_pin_survives_storage() -> None:
    hints = {"readOnlyHint": True, "idempotentHint": True, "title": "x"}
    facts = listed(description="d", annotations=hints, outputSchema={"type": "object"})
    pinned = pin(STDIO, [facts])
    again = pinned_from_mapping(to_mapping(pinned))
    assert again == pinned
    assert again.tools[0].shown == {
        "title": "x",
        "idempotentHint": True,
        "outputSchema": {"type": "object"},
    }
    assert again.digest == list_digest([facts])


@pytest.mark.parametrize(
    "change",
    [
        {"description": "other"},
        {"inputSchema": {"type": "object", "properties": {"a": {}}}},
        {"annotations": {"readOnlyHint": True}},
        {"name": "u"},
        {"title": "other"},
        {"outputSchema": {"type": "object"}},
    ],
)
def test_every_change_changes_the_digest(change: dict[str, Any]) -> None:
    assert list_digest([listed()]) != list_digest([{**listed(), **change}])


def test_the_order_of_a_list_says_nothing() -> None:
    one, two = listed("a"), listed("b")
    assert list_digest([one, two]) == list_digest([two, one])


def test_two_tools_that_become_one_are_both_refused() -> None:
    pinned = pin(STDIO, [listed("a.b"), listed("a_b"), listed("c")])
    assert [tool.name for tool in pinned.tools] == ["s__c"]
    assert len(pinned.refused) == 2


def test_a_name_is_made_plain_and_its_own_name_is_kept() -> None:
    (tool,) = pin(STDIO, [listed("Get-File.Info")]).tools
    assert (tool.name, tool.original) == ("s__get_file_info", "Get-File.Info")


@pytest.mark.parametrize("name", ["", "é", "a\u202eb", "a\x1b[2J", "x" * 70, None, 7])
def test_a_name_that_cannot_be_made_plain_is_refused(name: object) -> None:
    pinned = pin(STDIO, [{**listed(), "name": name}])
    assert pinned.tools == ()
    assert pinned.refused[0].isprintable()


def test_a_description_is_made_harmless_and_cut() -> None:
    (tool,) = pin(STDIO, [listed(description="\x1b[31mred\x1b[0m \u202ex" + "y" * 9000)]).tools
    assert tool.description.startswith("red \\u202ex")
    assert tool.description.endswith("[cut]")
    assert len(tool.description) < 4_100


def test_too_many_tools_refuse_the_server() -> None:
    with pytest.raises(ConfigurationError, match="more than 256"):
        pin(STDIO, [listed(f"t{n}") for n in range(257)])


# -- schemas ------------------------------------------------------------------------


def test_what_can_be_enforced_of_a_schema_is_kept() -> None:
    kept = fit_schema(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "$id": "http://x/",
            "type": "object",
            "x-own": 1,
            "title": "T\u202e",
            "properties": {
                "a": {"$ref": "#/definitions/A"},
                "b": {"type": "array", "items": [{"type": "string"}, True]},
                "c": {"not": False, "enum": ["x", None], "default": "line\n"},
            },
            "required": ["a"],
            "definitions": {"A": {"type": "string", "maxLength": 3}},
        }
    )
    assert kept == {
        "type": "object",
        "title": "T\\u202e",
        "properties": {
            "a": {"$ref": "#/$defs/A"},
            "b": {"type": "array", "prefixItems": [{"type": "string"}, {}]},
            "c": {"not": {"not": {}}, "enum": ["x", None], "default": "line\n"},
        },
        "required": ["a"],
        "$defs": {"A": {"type": "string", "maxLength": 3}},
    }


def test_what_a_client_relies_on_stays_word_for_word() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"type": "object"}},
        "$defs": {"A": {"$anchor": "here", "type": "string"}},
        "additionalProperties": False,
        "unevaluatedProperties": True,
    }
    assert fit_schema(schema) == schema


def test_only_headers_that_a_client_takes_are_kept() -> None:
    argument = {"type": "string", "x-mcp-header": "Region"}
    raw = {
        "x-mcp-header": "Root",
        "properties": {
            "a": argument,
            "same": {"type": "integer", "x-mcp-header": "REGION"},
            "number": {"type": "number", "x-mcp-header": "Number"},
            "blank": {"type": "string", "x-mcp-header": "a b\r\nc"},
            "list": {"type": "string", "x-mcp-header": ["x"]},
            "both": {"type": ["string", "null"], "x-mcp-header": "Both"},
            "deep": {"type": "object", "properties": {"b": argument}},
            "any": True,
        },
    }
    kept = fit_schema(raw)["properties"]
    assert isinstance(kept, dict)
    assert kept.pop("a") == argument
    assert "x-mcp-header" not in str(kept)


def test_a_tree_that_refers_to_itself_admits_anything_below_the_first_round() -> None:
    node = {"type": "object", "properties": {"children": {"items": {"$ref": "#/$defs/N"}}}}
    kept = fit_schema({"properties": {"n": {"$ref": "#/$defs/N"}}, "$defs": {"N": node}})
    definition = kept["$defs"]
    assert isinstance(definition, dict)
    assert definition["N"]["properties"] == {"children": {"items": {}}}


def test_a_reference_in_a_circle_is_cut() -> None:
    kept = fit_schema({"allOf": [{"$ref": "#"}], "$defs": {"U": {"$ref": "#/$defs/U"}}})
    assert kept == {"type": "object", "allOf": [{}], "$defs": {"U": {}}}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (None, "no object"),
        ({"type": "array"}, "not that of an object"),
        ({"properties": {"a": {"$ref": "http://x/"}}}, "leads out"),
        ({"properties": {"a": {"$ref": "#/$defs/None"}}}, "cannot be checked"),
        ({"properties": {"a": {"$id": "http://x/"}}}, "moves"),
        ({"properties": {"a": {"$anchor": "x y"}}}, "moves"),
        ({"properties": {"a": {"$ref": "#x"}}, "$defs": {"b": {"$anchor": "x"}}}, "checked"),
        ({"properties": {"a\u202e": {}}}, "cannot see"),
        ({"properties": {"a": {"enum": ["\x1b"]}}}, "cannot see"),
        ({"properties": {"a": {"default": {"\u202e": ["x"]}}}}, "cannot see"),
        ({"properties": []}, "no mapping"),
        ({"properties": {"a": 7}}, "no schema"),
        ({"allOf": {}}, "no list"),
        ({"description": "x" * 70_000}, "larger than"),
        ({"properties": {"a": {"const": {1, 2}}}}, "no JSON"),
    ],
)
def test_a_schema_that_cannot_be_kept_refuses_the_tool(schema: object, told: str) -> None:
    with pytest.raises(UnfitError, match=told):
        fit_schema(schema)


def test_a_schema_that_nests_too_deep_refuses_the_tool() -> None:
    schema: dict[str, Any] = {}
    for _ in range(40):
        schema = {"properties": {"a": schema}}
    with pytest.raises(UnfitError, match="too deep"):
        fit_schema(schema)


# -- text and results ------------------------------------------------------------------


def test_text_without_a_trick_stays_as_it_is() -> None:
    assert plain_text("two\nlines\tof naïve text", 99) == "two\nlines\tof naïve text"
    assert plain_text("a\r\nb", 9) == "a\nb"
    assert is_plain("a\r\nb")
    assert not is_plain("a\x07")


def test_a_huge_text_is_cut_before_it_is_looked_at() -> None:
    assert len(plain_text("\x1b[1m" * 10_000_000, 50)) < 70


def test_a_result_is_cut_and_says_so() -> None:
    value = value_of({"content": [{"type": "text", "text": "x" * 700_000}]})
    assert value["truncated"] is True
    assert len(str(value["text"])) < MAX_TEXT_BYTES


@pytest.mark.parametrize("structured", ["y" * 300_000, float("inf"), "\ud800"])
def test_a_structure_that_cannot_be_kept_is_left_out_and_says_so(structured: object) -> None:
    value = value_of({"content": [], "structuredContent": structured})
    assert value == {"text": "", "truncated": True}


def test_content_that_is_no_list_gives_no_text() -> None:
    assert value_of({"content": "x"}) == {"text": ""}
    assert value_of({"content": [7, {"type": "text", "text": "a\ud800"}]}) == {"text": "\na?"}


def test_an_error_without_words_says_so() -> None:
    with pytest.raises(ServerFailedError, match="does not say why"):
        value_of({"isError": True})
