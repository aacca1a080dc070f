"""One decision, with every reason against it, in the documented order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import ConfigurationError
from cleveragents.policy.cell_right import reachable_hosts
from cleveragents.policy.gate import (
    compile_scope,
    decide,
    decide_resources,
    prepare,
    public_decide,
)
from cleveragents.policy.grant import Grant
from cleveragents.policy.profile import BUILT_IN as PROFILES
from cleveragents.policy.profile import SafetyProfile
from cleveragents.terms.decision import Allowed, Denied
from cleveragents.terms.resource import Resource
from cleveragents.terms.tool import Effect, ToolSpec
from cleveragents.tools.catalog import BUILT_IN

from . import generated as g

if TYPE_CHECKING:
    from cleveragents.policy.scope import Scope
    from cleveragents.terms.decision import Decision

ARGUMENTS: dict[str, dict[str, object]] = {
    "read_file": {"path": "a"},
    "list_directory": {"path": "."},
    "search_files": {"pattern": "x"},
    "write_file": {"path": "a", "content": ""},
    "edit_file": {"path": "a", "old": "x", "new": "y"},
    "move_file": {"source": "a", "destination": "b"},
    "delete_file": {"path": "a"},
    "run_command": {"command": "true"},
    "fetch_url": {"url": "https://example.com/"},
    "send_request": {"url": "https://example.com/", "method": "GET"},
    "spawn_subplan": {"name": "x", "delegate": {}},
}
READERS = {"read_file", "list_directory", "search_files"}
FILE_TOOLS = READERS | {"write_file", "edit_file", "move_file", "delete_file"}


def scope_of(
    *profiles: SafetyProfile, grant: Grant | None = None, in_subplan: bool = False
) -> Scope:
    return compile_scope(
        profiles=profiles, grant=grant, in_subplan=in_subplan, tools=g.TOOLS, plan_id="P1"
    )


def ask(scope: Scope, tool: str, **arguments: object) -> Decision:
    spec = g.TOOLS[tool]
    prepared = prepare(spec, arguments or ARGUMENTS[tool])
    return decide(scope, spec, prepared.arguments, prepared.resources)


def rules(decision: Decision) -> list[str]:
    assert isinstance(decision, Denied), decision
    return [one.rule for one in decision.refusals]


@pytest.mark.parametrize(
    ("profile", "admitted"),
    [
        ("unrestricted", set(BUILT_IN)),
        ("read-only", READERS | {"fetch_url", "spawn_subplan"}),
        ("no-network", FILE_TOOLS | {"run_command", "spawn_subplan"}),
        ("sandboxed", READERS | {"spawn_subplan"}),
    ],
)
def test_a_built_in_profile_admits_exactly_what_it_says(profile: str, admitted: set[str]) -> None:
    scope = scope_of(PROFILES[profile])
    found = {tool for tool in BUILT_IN if isinstance(ask(scope, tool), Allowed)}
    assert found == admitted


@pytest.mark.parametrize(
    ("profile", "own_runs", "server_runs"),
    [
        ("unrestricted", True, True),
        ("read-only", False, False),
        ("no-network", True, False),
        ("sandboxed", False, False),
    ],
)
def test_what_declares_nothing_has_all_effects(
    profile: str, own_runs: bool, server_runs: bool
) -> None:
    scope = scope_of(PROFILES[profile])
    own = decide(scope, g.OWN, {}, ())
    assert isinstance(own, Allowed) is own_runs
    server = ask(scope, "web__query", host="example.com")
    assert isinstance(server, Allowed) is server_runs


def test_a_command_under_no_network_runs_without_it() -> None:
    decision = ask(scope_of(PROFILES["no-network"]), "run_command")
    assert decision == Allowed("no-network: no list", imposed=frozenset({Effect.NETWORK}))


def test_a_command_that_is_listed_runs_under_the_imposed_ceiling() -> None:
    ceiling = frozenset({Effect.READ, Effect.EXECUTE})
    listed = SafetyProfile("p", allowed_tools=("run_command",), effects=ceiling)
    decision = ask(scope_of(listed), "run_command")
    assert isinstance(decision, Allowed)
    assert decision.imposed == {Effect.WRITE, Effect.DELETE, Effect.NETWORK}
    assert rules(ask(scope_of(SafetyProfile("p", effects=ceiling)), "run_command")) == ["effects"]


@pytest.mark.parametrize(
    ("tool", "effects", "reason"),
    [
        # Runs in the host, where nothing is imposed.
        ("send_request", {Effect.WRITE}, "profile 'p' admits no tool that uses the network"),
        # A tool that declares what it writes cannot do its work without writing.
        ("write_file", {Effect.READ}, "profile 'p' admits no tool that writes"),
        ("delete_file", {Effect.READ, Effect.WRITE}, "profile 'p' admits no tool that deletes"),
        # The cell starts programs and shows files: neither can be taken away.
        ("run_command", {Effect.READ}, "admits no tool that writes, deletes, uses the network or"),
        ("read_file", set(), "profile 'p' admits no tool that reads"),
        ("spawn_subplan", set(), "profile 'p' admits no tool that spawns subplans"),
    ],
)
def test_the_ceiling_is_above_the_allow_list(tool: str, effects: set[Effect], reason: str) -> None:
    profile = SafetyProfile("p", allowed_tools=(tool,), effects=frozenset(effects))
    decision = ask(scope_of(profile), tool)
    assert rules(decision) == ["effects"]
    assert isinstance(decision, Denied)
    assert reason in decision.reason


def test_every_refusal_is_told_and_the_first_is_the_documented_one() -> None:
    strict = SafetyProfile(
        "strict",
        allowed_tools=("read_file",),
        effects=frozenset({Effect.READ}),
        read=("docs/",),
        where={"write_file": {"properties": {"content": {"maxLength": 1}}}},
    )
    decision = ask(
        scope_of(PROFILES["read-only"], strict), "write_file", path="src/a", content="long"
    )
    assert isinstance(decision, Denied)
    assert [(one.profile, one.rule) for one in decision.refusals] == [
        ("read-only", "effects"),
        ("strict", "allowed_tools"),
        ("strict", "effects"),
        ("strict", "write"),
        ("strict", "where"),
    ]
    assert decision.rule == "effects"
    assert decision.refusals[1].reason == (
        "profile 'strict' does not list 'write_file' in allowed_tools"
    )
    assert decision.refusals[3].reason == (
        "'src/a' is not among the write paths of profile 'strict'"
    )
    assert decision.refusals[3].resource_name == "file:src/a"
    assert decision.refusals[4].reason == (
        "profile 'strict' sets a condition on write_file: content: the value is longer than"
        " 1 character"
    )


def test_an_allowed_call_says_which_rules_let_it_in() -> None:
    listed = SafetyProfile("listed", allowed_tools=("read_file",))
    denying = SafetyProfile("denying", denied_tools=("write_file",))
    scope = scope_of(PROFILES["unrestricted"], listed, denying, grant=Grant.root(tools=BUILT_IN))
    decision = ask(scope, "read_file")
    assert isinstance(decision, Allowed)
    assert decision.rule == (
        "unrestricted: no list; listed: allowed_tools; denying: not in denied_tools"
    )
    assert ask(scope, "read_file", path="other") is decision


def test_a_path_outside_is_refused_by_the_workspace_in_a_root_plan() -> None:
    scope = scope_of(PROFILES["unrestricted"], grant=Grant.root(tools=BUILT_IN))
    for path in ("/etc/passwd", "../x", "a/../../x", "/workspace/../etc/shadow", ".."):
        decision = ask(scope, "read_file", path=path)
        assert isinstance(decision, Denied)
        assert rules(decision) == ["workspace"]
        assert decision.refusals[0].kind == "tool_access_denied"
        assert decision.reason.endswith("is outside the workspace")


def test_in_a_subplan_the_grant_is_asked_first() -> None:
    grant = Grant.root(tools=["read_file", "write_file"], read=["src/"], write=["docs/"])
    scope = scope_of(PROFILES["read-only"], grant=grant, in_subplan=True)
    for tool, arguments, resource in (
        ("run_command", {}, "tool:run_command"),
        ("read_file", {"path": "tests/a"}, "file:tests/a"),
        ("read_file", {"path": "/etc/passwd"}, "file:/etc/passwd"),
        ("write_file", {"path": "src/a", "content": ""}, "file:src/a"),
    ):
        decision = ask(scope, tool, **arguments)
        assert isinstance(decision, Denied)
        first = decision.refusals[0]
        assert (first.kind, first.resource_name) == ("security_boundary", resource)
        assert first.reason == f"{resource} was not handed to this subplan"
        assert first.profile == ""
    # Within the grant, the profile still has its say, under its own name.
    decision = ask(scope, "write_file", path="docs/a", content="")
    assert isinstance(decision, Denied)
    assert [one.kind for one in decision.refusals] == ["tool_access_denied"]
    assert isinstance(ask(scope, "read_file", path="docs/a"), Allowed)


def test_in_a_root_plan_the_grant_is_asked_last_and_is_no_boundary() -> None:
    grant = Grant.root(tools=["read_file"], write=[])
    decision = ask(scope_of(PROFILES["read-only"], grant=grant), "write_file")
    assert isinstance(decision, Denied)
    assert rules(decision) == ["effects", "grant.tools", "grant.write"]
    assert {one.kind for one in decision.refusals} == {"tool_access_denied"}
    assert decision.refusals[1].reason == "tool:write_file is not granted to this plan"


def test_effects_of_a_grant_are_imposed_or_refused() -> None:
    ceiling = [Effect.READ, Effect.EXECUTE]
    grant = Grant.root(tools=BUILT_IN, effects=ceiling)
    scope = scope_of(PROFILES["unrestricted"], grant=grant, in_subplan=True)
    decision = ask(scope, "run_command")
    assert isinstance(decision, Allowed)
    assert Effect.WRITE in decision.imposed
    refused = ask(scope, "delete_file")
    assert rules(refused)[0] == "grant.effects"
    assert isinstance(refused, Denied)
    assert refused.reason == "tool:delete_file was not handed to this subplan: it deletes"


def test_conditions_of_a_grant_are_all_asked() -> None:
    grant = Grant.root(
        tools=BUILT_IN,
        where={
            "write_file": (
                {"properties": {"content": {"maxLength": 3}}},
                {"properties": {"path": {"pattern": "^docs/"}}},
            )
        },
    )
    scope = scope_of(PROFILES["unrestricted"], grant=grant, in_subplan=True)
    assert isinstance(ask(scope, "write_file", path="docs/a", content="abc"), Allowed)
    assert rules(ask(scope, "write_file", path="a", content="abcd")) == ["grant.where"] * 2
    assert rules(ask(scope, "write_file", path="a", content="abc")) == ["grant.where"]


def test_hosts_and_credentials_are_asked_of_the_grant() -> None:
    grant = Grant.root(tools=BUILT_IN, hosts=["api.example.com"], credentials=["KEY"])
    scope = scope_of(PROFILES["unrestricted"], grant=grant, in_subplan=True)
    call = {"url": "https://api.example.com/", "method": "GET"}
    assert isinstance(
        ask(scope, "send_request", **call, headers={"A": "${credential:KEY}"}), Allowed
    )
    decision = ask(scope, "send_request", **call, headers={"A": "${credential:OTHER}"})
    assert isinstance(decision, Denied)
    assert decision.refusals[0].resource_name == "credential:OTHER"
    decision = ask(scope, "fetch_url", url="https://evil.example.org/")
    assert isinstance(decision, Denied)
    assert decision.refusals[0].resource_name == "host:evil.example.org"


def test_a_private_host_needs_every_profile_to_name_it() -> None:
    naming = SafetyProfile("naming", hosts=("127.0.0.1", "example.com"))
    url = "http://127.0.0.1:8080/"
    grant = Grant.root(tools=BUILT_IN)
    assert isinstance(ask(scope_of(naming, grant=grant), "fetch_url", url=url), Allowed)
    decision = ask(scope_of(naming, PROFILES["unrestricted"]), "fetch_url", url=url)
    assert isinstance(decision, Denied)
    assert decision.reason == (
        "'127.0.0.1' is a private host, and profile 'unrestricted' does not name it exactly"
    )
    assert rules(ask(scope_of(naming), "fetch_url", url="https://example.org/")) == ["hosts"]
    in_subplan = scope_of(naming, grant=grant, in_subplan=True)
    assert rules(ask(in_subplan, "fetch_url", url=url)) == ["grant.hosts"]
    assert reachable_hosts([naming]).entries == ("127.0.0.1", "example.com")
    assert reachable_hosts([]).entries == ("*",)


def test_paths_are_asked_of_every_profile() -> None:
    one = SafetyProfile("one", read=("docs/", "src/"), write=("docs/",))
    two = SafetyProfile("two", read=("docs/api/",))
    scope = scope_of(one, two)
    assert isinstance(ask(scope, "read_file", path="docs/api/a"), Allowed)
    assert isinstance(ask(scope, "write_file", path="docs/api/a", content=""), Allowed)
    assert rules(ask(scope, "read_file", path="src/a")) == ["read"]
    assert rules(ask(scope, "write_file", path="src/a", content="")) == ["write", "write"]


def test_what_may_not_be_read_cannot_be_written_unless_it_is_named() -> None:
    left_out = scope_of(SafetyProfile("p", read=("docs/",)))
    assert isinstance(ask(left_out, "write_file", path="docs/a", content=""), Allowed)
    assert rules(ask(left_out, "write_file", path="src/a", content="")) == ["write"]
    named = scope_of(SafetyProfile("p", read=("docs/",), write=("out/",)))
    assert isinstance(ask(named, "write_file", path="out/a", content=""), Allowed)
    assert isinstance(ask(named, "read_file", path="out/a"), Allowed)
    assert rules(ask(named, "write_file", path="docs/a", content="")) == ["write"]
    nothing = scope_of(SafetyProfile("p", read=(), write=()))
    assert rules(ask(nothing, "read_file")) == ["read"]


def test_a_malformed_call_is_refused_last_of_all() -> None:
    scope = scope_of(PROFILES["unrestricted"])
    decision = ask(scope, "read_file", path="a\0")
    assert rules(decision) == ["arguments"]
    decision = ask(scope_of(PROFILES["read-only"]), "write_file", path=3)
    assert rules(decision)[0] == "effects"
    assert rules(decision)[-1] == "arguments"


def test_a_plan_names_its_own_parts_only() -> None:
    scope = scope_of(PROFILES["unrestricted"])
    own = (Resource("plan", "P1/context", "read"),)
    assert isinstance(decide(scope, g.OWN, {}, own), Allowed)
    for foreign in ("P2/context", "P1", "P11/context", ""):
        decision = decide(scope, g.OWN, {}, (Resource("plan", foreign, "read"),))
        assert isinstance(decision, Denied)
        assert decision.refusals[0].resource_name == f"plan:{foreign}"
        assert decision.refusals[0].kind == "security_boundary"


def test_a_resource_is_decided_by_the_grant_alone() -> None:
    grant = Grant.root(tools=[], hosts=["api.example.com"], credentials=["KEY"], read=["docs/"])
    scope = scope_of(PROFILES["sandboxed"], grant=grant, in_subplan=True)
    held = (
        Resource("host", "api.example.com", "use"),
        Resource("credential", "KEY", "use"),
        Resource("file", "docs/a", "read"),
        Resource("plan", "P1/decisions", "read"),
    )
    assert decide_resources(scope, held, call="model request") == Allowed("grant: model request")
    for kind, value in (
        ("host", "example.org"),
        ("credential", "OTHER"),
        ("file", "/etc/passwd"),
        ("plan", "P0/context"),
    ):
        asked = Resource(kind, value, "read")  # type: ignore[arg-type]  # four of the literals
        decision = decide_resources(scope, (*held, asked), call="open")
        assert isinstance(decision, Denied)
        assert [one.resource_name for one in decision.refusals] == [f"{kind}:{value}"]
        assert decision.refusals[0].kind == "security_boundary"
    without = scope_of(PROFILES["unrestricted"])
    assert isinstance(decide_resources(without, held, call="open"), Allowed)


def test_a_tool_that_the_scope_does_not_know_is_refused() -> None:
    scope = scope_of(PROFILES["unrestricted"])
    unknown = ToolSpec("unheard_of", "", {})
    assert rules(decide(scope, unknown, {}, ())) == ["registry"]
    disguised = replace(BUILT_IN["read_file"], effects=frozenset())
    assert rules(decide(scope, disguised, {}, ())) == ["registry"]
    copy = replace(BUILT_IN["read_file"])
    assert isinstance(decide(scope, copy, {"path": "a"}, ()), Allowed)


def test_a_rule_that_breaks_denies() -> None:
    conditional = SafetyProfile(
        "p", where={"read_file": {"properties": {"path": {"type": "string"}}}}
    )
    spec = BUILT_IN["read_file"]
    scope = scope_of(conditional)
    decision = decide(scope, spec, {"path": object()}, ())
    assert isinstance(decision, Denied)
    assert "a rule that breaks denies" in decision.reason
    broken = Resource("file", 3, "read")  # type: ignore[arg-type]  # the point of the test
    assert isinstance(decide(scope_of(PROFILES["sandboxed"]), spec, {}, (broken,)), Denied)
    # A short form that says no where the long form has no objection still means no.
    rule = replace(scope.rules["read_file"], conditions=(lambda _: False,))
    bent = replace(scope, rules={"read_file": rule})
    assert rules(decide(bent, spec, {"path": "a"}, ())) == ["gate"]


def test_a_scope_without_a_rule_is_no_scope() -> None:
    with pytest.raises(ConfigurationError, match="no safety profile is in force"):
        scope_of()
    with pytest.raises(ConfigurationError, match="a subplan has no grant"):
        scope_of(PROFILES["unrestricted"], in_subplan=True)
    with pytest.raises(ConfigurationError, match=r"the pattern 'write_\*' was not resolved"):
        scope_of(SafetyProfile("p", denied_tools=("write_*",)))
    with pytest.raises(ConfigurationError, match="has no argument 'pth'"):
        scope_of(SafetyProfile("p", where={"read_file": {"required": ["pth"]}}))
    schema: dict[str, object] = {"required": ["pth"]}
    with pytest.raises(ConfigurationError, match=r"grant: where.read_file\[0\]"):
        scope_of(
            PROFILES["unrestricted"], grant=Grant.root(tools=[], where={"read_file": (schema,)})
        )


def test_the_public_decision_needs_nothing_but_a_tool_and_a_profile() -> None:
    tool = BUILT_IN["write_file"]
    call: dict[str, object] = {"path": "./docs/a.md", "content": ""}
    decision = public_decide(tool, call, profile=PROFILES["read-only"])
    assert isinstance(decision, Denied)
    assert decision.rule == "effects"
    assert isinstance(public_decide(tool, call, profile=PROFILES["unrestricted"]), Allowed)
    pattern = SafetyProfile("p", denied_tools=("write_*",), where={"raed_file": {}})
    assert rules(public_decide(tool, call, profile=pattern)) == ["denied_tools"]
    grant = Grant.root(tools=["write_file"], write=["docs/"])
    unrestricted = PROFILES["unrestricted"]
    assert isinstance(public_decide(tool, call, profile=unrestricted, grant=grant), Allowed)
    decision = public_decide(tool, {**call, "path": "src/a"}, profile=unrestricted, grant=grant)
    assert isinstance(decision, Denied)
    assert decision.refusals[0].kind == "security_boundary"
