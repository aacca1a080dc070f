"""What a safety profile says, and how it is read from what a person wrote."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.errors import ConfigurationError, UnknownSafetyProfileError
from cleveragents.policy.pattern import resolve
from cleveragents.policy.profile import (
    BUILT_IN,
    KEYS,
    SafetyProfile,
    find_profile,
    overlap,
    profile_digest,
    profile_from_mapping,
    to_mapping,
)
from cleveragents.terms.tool import ALL_EFFECTS, Effect

from . import generated as g

WHERE = "careful.yaml: safety_profiles[0]"


def test_the_four_built_in_profiles_have_the_documented_ceilings() -> None:
    assert {name: set(profile.effects) for name, profile in BUILT_IN.items()} == {
        "unrestricted": set(ALL_EFFECTS),
        "read-only": {Effect.READ, Effect.NETWORK, Effect.SPAWN},
        "no-network": set(ALL_EFFECTS) - {Effect.NETWORK},
        "sandboxed": {Effect.READ, Effect.SPAWN},
    }
    for profile in BUILT_IN.values():
        assert profile.allowed_tools is None
        assert profile.denied_tools == ()


def test_lists_and_names_of_effects_are_taken_as_they_come_from_yaml() -> None:
    profile = profile_from_mapping(
        {
            "name": "docs-writer",
            "allowed_tools": ["read_file", "write_file"],
            "effects": ["write", "read"],
            "read": ["."],
            "write": ["./docs//"],
            "hosts": ["API.example.com."],
            "where": {"write_file": {"properties": {"content": {"maxLength": 100}}}},
            "examples": {"allows": [{"tool": "read_file", "args": {"path": "a"}}]},
            "held_files": ["Makefile"],
            "description": "Writes the documentation.",
        },
        where=WHERE,
    )
    assert profile.allowed_tools == ("read_file", "write_file")
    assert profile.effects == {Effect.READ, Effect.WRITE}
    assert profile.write == ("docs/",)
    assert profile.hosts == ("api.example.com",)
    assert profile.examples.allows[0].args == {"path": "a"}
    assert profile_from_mapping(to_mapping(profile), where="") == profile


@given(g.profiles())
def test_a_profile_reads_back_equal_from_its_mapping(profile: SafetyProfile) -> None:
    again = profile_from_mapping(to_mapping(profile), where="record")
    assert again == profile
    assert profile_digest(again) == profile_digest(profile)
    assert pickle.loads(pickle.dumps(profile)) == profile  # noqa: S301  # made one line above
    assert set(to_mapping(profile)) <= set(KEYS)


@given(g.profiles(), g.profiles())
def test_profiles_with_one_digest_are_one_profile(one: SafetyProfile, other: SafetyProfile) -> None:
    assert (profile_digest(one) == profile_digest(other)) is (one == other)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, f"{WHERE}: a safety profile needs a name"),
        ([], f"{WHERE}: expected a mapping, found a list"),
        (
            {"name": "x", "alowed_tools": []},
            f"{WHERE}.alowed_tools: unknown key, did you mean 'allowed_tools'?",
        ),
        ({"name": "x", "zzz": 1}, f"{WHERE}.zzz: unknown key, known: "),
        ({"name": "x", "read": None}, f"{WHERE}.read: the key has no value; "),
        ({"name": "x", "allowed_tools": None}, f"{WHERE}.allowed_tools: the key has no value"),
        ({"name": "x", "allowed_tools": "read_file"}, "expected a list, found a string"),
        ({"name": "x", "allowed_tools": {"a": 1}}, "expected a list, found a mapping"),
        ({"name": "x", "denied_tools": [3]}, "denied_tools[0]: expected a string, found a number"),
        ({"name": "x", "denied_tools": ["Read_File"]}, "'Read_File' cannot be the name of a tool"),
        ({"name": "x", "denied_tools": ["a*b"]}, "'a*b' cannot be the name of a tool"),
        ({"name": "x", "denied_tools": ["re\u0430d"]}, "cannot be the name of a tool"),
        ({"name": "x", "effects": ["raed"]}, "no effect is named 'raed'; did you mean 'read'?"),
        ({"name": "x", "effects": "read"}, "effects: expected a list, found a string"),
        ({"name": "x", "read": ["docs/*"]}, "read[0]: 'docs/*' looks like a pattern"),
        ({"name": "x", "read": ["../x"]}, "read[0]: '../x' is outside the workspace"),
        ({"name": "x", "write": ["/etc/"]}, "write[0]: '/etc/' is outside the workspace"),
        ({"name": "x", "write": [""]}, "write[0]: a path is empty"),
        ({"name": "x", "hosts": ["127.1"]}, "hosts[0]: '127.1' is not an address in four decimal"),
        ({"name": "x", "hosts": ["a:80"]}, "hosts[0]: 'a:80' is not an IPv6 address"),
        ({"name": "x", "where": []}, "where: expected a mapping, found a list"),
        ({"name": "x", "where": {"write_*": {}}}, "where.write_*: conditions are given for one"),
        ({"name": "x", "where": {"a": True}}, "where.a: expected a mapping, found a truth value"),
        ({"name": "x", "where": {"a": {"const": float("nan")}}}, "nan is no JSON value"),
        ({"name": "x", "where": {"a": {"const": {1, 2}}}}, "something else is no JSON value"),
        ({"name": "x", "where": {"a": {1: 2}}}, "the key 1 is not a string"),
        ({"name": "x", "examples": {"allow": []}}, "examples.allow: unknown key, did you mean"),
        ({"name": "x", "a\nb\x1b[2J": []}, r"'a\nb\x1b[2J': unknown key"),
        ({"name": "x", "examples": {"denies": {}}}, "denies: expected a list of {tool, args}"),
        ({"name": "x", "examples": {"denies": [{}]}}, "denies[0]: an example names its tool"),
        ({"name": "x", "held_files": [None]}, "held_files[0]: expected a string, found nothing"),
        ({"name": "x", "description": ["y"]}, "description: expected a string, found a list"),
        ({"name": "x y"}, "'x y' cannot be the name of a safety profile"),
        ({"name": "../x"}, "'../x' cannot be the name of a safety profile"),
        ({"name": ["x"]}, "['x'] cannot be the name of a safety profile"),
    ],
)
def test_what_cannot_be_understood_is_one_sentence_with_its_place(
    raw: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        profile_from_mapping(raw, where=WHERE)
    assert message in caught.value.message
    assert caught.value.message.startswith(WHERE)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("", "raed: unknown key, did you mean 'read'?"),
        ("a.yaml", "a.yaml: raed: unknown key, did you mean 'read'?"),
        ("a.yaml:", "a.yaml: raed: unknown key, did you mean 'read'?"),
        ("a.yaml: inline", "a.yaml: inline.raed: unknown key, did you mean 'read'?"),
    ],
)
def test_the_place_is_a_file_and_a_key_path(where: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        profile_from_mapping({"name": "x", "raed": []}, where=where)
    assert caught.value.message == message


def test_a_schema_that_nests_without_end_is_refused() -> None:
    schema: dict[str, object] = {}
    for _ in range(100):
        schema = {"not": schema}
    with pytest.raises(ConfigurationError, match="nests too deep"):
        SafetyProfile("x", where={"a": schema})


def test_a_profile_does_not_change_with_the_mapping_that_it_came_from() -> None:
    schema: dict[str, object] = {"properties": {"path": {"maxLength": 3}}}
    profile = SafetyProfile("x", where={"read_file": schema})
    digest = profile_digest(profile)
    schema.clear()
    assert profile_digest(profile) == digest


def test_a_name_on_both_lists_is_reported() -> None:
    profile = SafetyProfile("x", allowed_tools=("a", "b", "a"), denied_tools=("a", "c"))
    assert overlap(profile) == ("a",)
    assert overlap(SafetyProfile("x", denied_tools=("a",))) == ()


def test_a_pattern_becomes_names_and_what_matches_nothing_is_told() -> None:
    profile = SafetyProfile(
        "x", allowed_tools=("read_*", "write_file", "web__*", "raed_file"), denied_tools=("*",)
    )
    found = resolve(profile, ["read_file", "read_all", "write_file"])
    assert found.profile.allowed_tools == ("read_all", "read_file", "write_file", "raed_file")
    assert found.profile.denied_tools == ("read_all", "read_file", "write_file")
    assert found.warnings == (
        "profile 'x': allowed_tools has 'web__*', no tool's name",
        "profile 'x': allowed_tools has 'raed_file', no tool's name",
    )


def test_an_allow_list_of_a_pattern_that_matches_nothing_admits_nothing() -> None:
    found = resolve(SafetyProfile("x", allowed_tools=("web__*",)), ["read_file"])
    assert found.profile.allowed_tools == ()


def test_a_condition_on_a_misspelt_tool_is_an_error_and_on_an_absent_one_a_warning() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'write_file'"):
        resolve(SafetyProfile("x", where={"writ_file": {}}), ["write_file"])
    found = resolve(SafetyProfile("x", where={"tracker__create": {}}), ["write_file"])
    assert found.warnings == ("profile 'x': where has 'tracker__create', no tool's name",)


@given(g.profiles(), st.frozensets(g.tool_names))
def test_resolving_twice_is_resolving_once(profile: SafetyProfile, names: frozenset[str]) -> None:
    once = resolve(profile, [*names, "read_file", "write_file"])
    assert resolve(once.profile, [*names, "read_file", "write_file"]).profile == once.profile


def test_a_profile_is_found_by_its_exact_name_or_not_at_all() -> None:
    assert find_profile("read-only") is BUILT_IN["read-only"]
    for name in ("readonly", "Read-Only", "", "read-only "):
        with pytest.raises(UnknownSafetyProfileError) as caught:
            find_profile(name, where="careful.yaml: safety_profile")
        assert caught.value.known == tuple(BUILT_IN)
        assert caught.value.message.startswith("careful.yaml: safety_profile: no safety profile")
