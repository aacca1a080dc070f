"""Which arguments the tool gets, and which resources they name."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.policy.argument import UnusableArgument, prepare, resources_of
from cleveragents.terms.resource import Resource
from cleveragents.terms.tool import ResourceArgument, ToolSpec
from cleveragents.tools.catalog import BUILT_IN

from . import generated as g


def own(*resources: ResourceArgument) -> ToolSpec:
    return ToolSpec("own", "", {"type": "object"}, resources=resources, origin="own")


def test_defaults_are_filled_in_and_paths_brought_to_one_spelling() -> None:
    found = prepare(BUILT_IN["search_files"], {"pattern": "x"})
    assert found.arguments == {"path": ".", "pattern": "x"}
    assert found.resources == (Resource("file", ".", "read"),)
    found = prepare(BUILT_IN["read_file"], {"path": "/workspace/./docs//a"})
    assert found.arguments["path"] == "docs/a"
    assert found.problem == ""


def test_a_path_is_named_once_for_each_way_it_is_used() -> None:
    found = resources_of(BUILT_IN["edit_file"], {"path": "./a", "old": "x", "new": "y"})
    assert found == (Resource("file", "a", "read"), Resource("file", "a", "write"))


def test_a_list_of_paths_names_each() -> None:
    found = prepare(g.COUNTER, {"paths": ["a", "./b", "a"]})
    assert found.arguments == {"paths": ["a", "b", "a"]}
    assert [one.value for one in found.resources] == ["a", "b"]


def test_a_url_names_its_host_and_is_sent_in_the_spelling_that_was_decided() -> None:
    found = prepare(BUILT_IN["fetch_url"], {"url": "HTTPS://Example.COM./a"})
    assert found.arguments == {"url": "https://example.com/a"}
    assert found.resources == (Resource("host", "example.com", "use"),)
    assert prepare(g.REMOTE, {"host": "Example.COM"}).arguments == {"host": "example.com"}


def test_credentials_are_found_in_url_and_headers_of_what_the_host_sends() -> None:
    found = resources_of(
        BUILT_IN["send_request"],
        {
            "url": "https://a.org/?k=${credential:QUERY_KEY}",
            "method": "POST",
            "headers": {"Authorization": "Bearer ${credential:API_KEY}${credential:B}"},
            "body": "${credential:NOT_REPLACED}",
        },
    )
    names = [one.value for one in found if one.kind == "credential"]
    assert names == ["QUERY_KEY", "API_KEY", "B"]


def test_a_template_that_names_no_credential_is_refused() -> None:
    call = {"url": "https://a.org/", "method": "GET", "headers": {"A": "${credential:a b}"}}
    assert prepare(BUILT_IN["send_request"], call).problem == "'a b' is no credential's name"


def test_an_own_tool_names_a_credential_by_its_handle_or_by_templates() -> None:
    spec = own(ResourceArgument("token", "credential", "use"))
    assert [one.name for one in resources_of(spec, {"token": "KEY"})] == ["credential:KEY"]
    found = resources_of(spec, {"token": {"a": ["${credential:A}"], "b": 3}})
    assert [one.name for one in found] == ["credential:A"]
    assert resources_of(spec, {"token": "x-${credential:B}"})[0].name == "credential:B"


def test_resources_of_plans_and_tools_are_named_as_they_are() -> None:
    spec = own(ResourceArgument("of", "plan", "read"), ResourceArgument("by", "tool", "use"))
    found = resources_of(spec, {"of": "01J/context", "by": "read_file"})
    assert [one.name for one in found] == ["plan:01J/context", "tool:read_file"]


def test_an_optional_argument_that_is_absent_names_nothing() -> None:
    spec = own(ResourceArgument("path", "file", "read"))
    assert resources_of(spec, {}) == ()
    assert resources_of(spec, {"path": None}) == ()


@pytest.mark.parametrize(
    ("tool", "arguments", "problem"),
    [
        ("read_file", {"path": "a\0b"}, "path: the path 'a\\x00b' holds a control character"),
        ("read_file", {"path": ""}, "path: a path is empty"),
        ("read_file", {"path": 3}, "path: names no file"),
        ("read_file", {}, '"path" is a required property'),
        ("read_file", {"path": "a", "pth": 1}, "('pth' was unexpected)"),
        ("read_file", {"path": "a", "limit": "x"}, 'limit: the value is not of type "integer"'),
        ("fetch_url", {"url": "http://u@h/"}, "url: the URL holds user information"),
        ("fetch_url", {"url": "http://0x7f.1/"}, "url: '0x7f.1' is not an address"),
        ("fetch_url", {"url": "example.com:80"}, "url: 'example.com:80' is not an IPv6 address"),
        ("read_file", [], "the arguments are no object"),
        ("read_file", "path", "the arguments are no object"),
        ("read_file", {1: 2}, "cannot be evaluated"),
        ("read_file", {"path": "a", "limit": object()}, "cannot be evaluated"),
    ],
)
def test_what_cannot_be_used_travels_with_the_resources(
    tool: str, arguments: object, problem: str
) -> None:
    found = prepare(BUILT_IN[tool], arguments)
    assert problem in found.problem
    assert any(isinstance(one, UnusableArgument) for one in found.resources)


def test_a_tool_whose_schema_cannot_be_checked_takes_no_arguments() -> None:
    spec = ToolSpec("t", "", {"maxLenght": 3}, origin="own")
    assert "unknown JSON Schema keyword" in prepare(spec, {}).problem


def test_any_mapping_is_taken() -> None:
    assert prepare(BUILT_IN["read_file"], MappingProxyType({"path": "./a"})).problem == ""


def test_many_tools_are_remembered_without_bound_on_none() -> None:
    for number in range(5000):
        spec = ToolSpec("t", "", {"maxProperties": number % 2}, origin="own")
        assert bool(prepare(spec, {"a": 1}).problem) is (number % 2 == 0)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.sampled_from(sorted(g.TOOLS)),
    st.dictionaries(
        st.sampled_from(["path", "url", "headers", "content", "source", "paths", "host", "x"]),
        json_values,
        max_size=4,
    ),
)
def test_preparing_raises_nothing_and_is_stable(tool: str, arguments: dict[str, object]) -> None:
    found = prepare(g.TOOLS[tool], arguments)
    if not found.problem:
        again = prepare(g.TOOLS[tool], found.arguments)
        assert again.resources == found.resources
        assert repr(again.arguments) == repr(found.arguments)
