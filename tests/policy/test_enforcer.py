"""One profile's rules on one call, and the promises that a profile makes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from cleveragents.errors import ConfigurationError
from cleveragents.policy.enforcer import SafetyProfileEnforcer, verify_examples
from cleveragents.policy.gate import public_decide
from cleveragents.policy.profile import BUILT_IN as PROFILES
from cleveragents.policy.profile import SafetyProfile, profile_from_mapping
from cleveragents.terms.decision import Allowed, Denied
from cleveragents.tools.catalog import BUILT_IN

from . import generated as g

if TYPE_CHECKING:
    from cleveragents.terms.tool import ToolSpec


@given(g.lenient_profiles(), g.calls())
def test_the_enforcer_and_the_gate_give_one_answer(
    profile: SafetyProfile, call: tuple[ToolSpec, dict[str, object]]
) -> None:
    assert SafetyProfileEnforcer(profile).check(*call) == public_decide(*call, profile=profile)


def test_several_profiles_must_all_admit() -> None:
    enforcer = SafetyProfileEnforcer([PROFILES["unrestricted"], PROFILES["sandboxed"]])
    assert [one.name for one in enforcer.profiles] == ["unrestricted", "sandboxed"]
    assert isinstance(enforcer.check(BUILT_IN["read_file"], {"path": "a"}), Allowed)
    denied = enforcer.check(BUILT_IN["write_file"], {"path": "a", "content": ""})
    assert isinstance(denied, Denied)
    assert denied.refusals[0].profile == "sandboxed"


def test_an_enforcer_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one safety profile"):
        SafetyProfileEnforcer([])


def test_a_pattern_is_resolved_against_the_tool_that_is_asked_about() -> None:
    enforcer = SafetyProfileEnforcer(
        SafetyProfile("p", allowed_tools=("read_*",), read=("docs/",), held_files=("x",))
    )
    assert isinstance(enforcer.check(BUILT_IN["read_file"], {"path": "docs/a"}), Allowed)
    assert isinstance(enforcer.check(BUILT_IN["read_file"], {"path": "a"}), Denied)
    assert isinstance(enforcer.check(BUILT_IN["list_directory"], {"path": "docs"}), Denied)


def test_another_tool_of_the_same_name_gets_its_own_rule() -> None:
    enforcer = SafetyProfileEnforcer(PROFILES["read-only"])
    spec = BUILT_IN["read_file"]
    assert isinstance(enforcer.check(spec, {"path": "a"}), Allowed)
    undeclared = replace(spec, effects=BUILT_IN["run_command"].effects)
    assert isinstance(enforcer.check(undeclared, {"path": "a"}), Denied)
    assert isinstance(enforcer.check(spec, {"path": "a"}), Allowed)


def test_a_path_outside_the_workspace_is_refused() -> None:
    denied = SafetyProfileEnforcer(PROFILES["unrestricted"]).check(
        BUILT_IN["read_file"], {"path": "/etc/passwd"}
    )
    assert isinstance(denied, Denied)
    assert denied.rule == "workspace"


def with_examples(**examples: object) -> SafetyProfile:
    return profile_from_mapping(
        {
            "name": "p",
            "allowed_tools": ["read_*", "write_file"],
            "write": ["docs/"],
            "examples": examples,
        },
        where="p.yaml",
    )


READS = {"tool": "read_file", "args": {"path": "a"}}
WRITES_DOCS = {"tool": "write_file", "args": {"path": "docs/a", "content": ""}}
WRITES = {"tool": "write_file", "args": {"path": "a", "content": ""}}


def test_promises_that_are_kept_pass() -> None:
    verify_examples(with_examples(allows=[READS, WRITES_DOCS], denies=[WRITES]), BUILT_IN)
    for profile in PROFILES.values():
        verify_examples(profile, BUILT_IN)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ({"allows": [READS, WRITES]}, r"examples.allows\[1\]: write_file is denied: 'a' is not"),
        ({"denies": [READS]}, r"examples.denies\[0\]: read_file is allowed \(p: allowed_tools\)"),
        ({"denies": [{"tool": "writ_file"}]}, "no tool is named 'writ_file'; did you mean"),
        ({"denies": [{"tool": "write_file"}]}, r"examples.denies\[0\]: \"path\" is a required"),
    ],
)
def test_a_promise_that_is_not_kept_is_an_error_when_loaded(
    examples: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        verify_examples(with_examples(**examples), BUILT_IN)


def test_conditions_are_compiled_when_a_profile_is_verified() -> None:
    profile = SafetyProfile("p", where={"write_file": {"required": ["pth"]}})
    with pytest.raises(ConfigurationError, match=r"'p': where.write_file.required: the tool"):
        verify_examples(profile, BUILT_IN)
    verify_examples(SafetyProfile("p", where={"tracker__create": {}}), BUILT_IN)
