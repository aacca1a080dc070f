"""A connection in the door: decided by whose it is, written before, written after, never again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import (
    ApprovalPendingError,
    BudgetExceededError,
    SecurityBoundaryViolation,
    ToolAccessDeniedError,
    ToolFailedError,
)
from cleveragents.policy.connection import Caller, connecting_tools
from cleveragents.policy.gate import compile_scope, decide_connection
from cleveragents.policy.grant import Grant
from cleveragents.policy.host_rule import HostRules
from cleveragents.policy.profile import BUILT_IN, SafetyProfile
from cleveragents.terms.connection import Connection, Traffic
from cleveragents.terms.cost import Limits
from cleveragents.terms.decision import Allowed, Denied
from cleveragents.terms.resource import Resource
from cleveragents.terms.tool import ALL_EFFECTS, Effect, ToolSpec
from cleveragents.tools.catalog import BUILT_IN as TOOLS
from tests.runtime.world import PLAN, Person, Setting, World

if TYPE_CHECKING:
    from pathlib import Path

    from cleveragents.policy.scope import Scope
    from cleveragents.terms.decision import Decision

COMMAND = Caller("run_command")
READER = ToolSpec("reader", "", {"type": "object"}, effects=frozenset({Effect.READ}), origin="own")
ONLINE = ToolSpec(
    "online", "", {"type": "object"}, effects=frozenset({Effect.READ, Effect.NETWORK}), origin="own"
)
MCP = ToolSpec(
    "git__push", "", {"type": "object"}, effects=frozenset({Effect.NETWORK}), origin="mcp"
)


def scope_of(
    *profiles: SafetyProfile, grant: Grant | None = None, in_subplan: bool = False
) -> Scope:
    tools = {**TOOLS, "reader": READER, "online": ONLINE, "git__push": MCP}
    return compile_scope(
        profiles=profiles, grant=grant, in_subplan=in_subplan, tools=tools, plan_id=PLAN
    )


def decide(
    scope: Scope,
    host: str,
    caller: Caller = COMMAND,
    effects: frozenset[Effect] = ALL_EFFECTS,
) -> Decision:
    return decide_connection(scope, Resource("host", host, "use"), caller, effects=effects)


def profile(name: str = "p", **facts: object) -> SafetyProfile:
    return SafetyProfile(name=name, **facts)  # type: ignore[arg-type]  # the test's own


# -- the rule -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "tools"),
    [
        ("unrestricted", {"run_command", "online"}),
        ("read-only", {"online"}),
        ("no-network", set()),
        ("sandboxed", set()),
    ],
)
def test_which_tools_of_a_cell_reach_hosts_under_the_built_in_profiles(
    name: str, tools: set[str]
) -> None:
    assert connecting_tools(scope_of(BUILT_IN[name])) == tools


def test_without_a_host_no_tool_reaches_any() -> None:
    assert connecting_tools(scope_of(profile(hosts=[]))) == frozenset()
    grant = Grant.root(tools=frozenset(TOOLS), hosts=())
    assert connecting_tools(scope_of(profile(), grant=grant, in_subplan=True)) == frozenset()


def test_a_public_host_is_reached_and_a_private_one_only_by_its_name() -> None:
    scope = scope_of(BUILT_IN["unrestricted"])
    assert decide(scope, "example.com") == Allowed("unrestricted: hosts")
    for host in ("127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "::1", "db"):
        assert isinstance(decide(scope, host), Denied), host
    assert decide(scope_of(profile(hosts=["127.0.0.1"])), "127.0.0.1") == Allowed("p: hosts")


def test_every_profile_must_admit_and_the_first_that_does_not_is_told() -> None:
    scope = scope_of(profile("a", hosts=["*.org"]), profile("b", hosts=["a.org", "b.com"]))
    assert decide(scope, "a.org") == Allowed("a: hosts; b: hosts")
    first = decide(scope, "b.com")
    assert isinstance(first, Denied)
    assert (first.refusals[0].profile, first.rule) == ("a", "hosts")
    assert first.refusals[0].resource_name == "host:b.com"
    second = decide(scope, "c.org")
    assert isinstance(second, Denied)
    assert second.refusals[0].profile == "b"


def test_in_a_subplan_the_grant_is_asked_first() -> None:
    grant = Grant.root(tools=frozenset(TOOLS), hosts=("a.org",))
    scope = scope_of(profile(hosts=["*"]), grant=grant, in_subplan=True)
    assert decide(scope, "a.org") == Allowed("grant.hosts; p: hosts")
    found = decide(scope, "b.org")
    assert isinstance(found, Denied)
    assert found.refusals[0].kind == "security_boundary"
    assert found.refusals[0].resource_name == "host:b.org"


@pytest.mark.parametrize(
    "caller", [Caller("reader"), Caller("read_file"), Caller("unknown"), Caller("fetch_url")]
)
def test_a_tool_that_does_not_say_that_it_uses_the_network_reaches_nothing(caller: Caller) -> None:
    found = decide(scope_of(profile()), "example.com", caller)
    assert isinstance(found, Denied)
    assert found.rule == "effects"
    assert caller.tool in found.reason


def test_a_tool_whose_network_is_taken_away_reaches_nothing() -> None:
    assert isinstance(decide(scope_of(BUILT_IN["no-network"]), "example.com"), Denied)


def test_a_program_is_held_to_the_ceiling_and_a_server_to_its_hosts_too() -> None:
    scope = scope_of(profile())
    assert isinstance(decide(scope, "a.org", Caller()), Allowed)
    offline = decide(scope, "a.org", Caller(), ALL_EFFECTS - {Effect.NETWORK})
    assert isinstance(offline, Denied)
    assert offline.reason.startswith("program has no 'network'")
    server = Caller(server="git", hosts=HostRules.parse(["a.org"]))
    assert isinstance(decide(scope, "a.org", server), Allowed)
    found = decide(scope, "b.org", server)
    assert isinstance(found, Denied)
    assert found.reason == "'b.org' is not among the hosts of MCP server 'git'"


def test_a_rule_that_breaks_denies() -> None:
    scope = scope_of(profile())
    silent = decide(replace(scope, hosts=()), "127.0.0.1")
    assert isinstance(silent, Denied)
    assert silent.rule == "gate"
    broken = decide(scope, 5)  # type: ignore[arg-type]  # the test's own
    assert isinstance(broken, Denied)
    assert broken.rule == "gate"


# -- the door -------------------------------------------------------------------


def connect(world: World, host: str = "example.com", caller: Caller = COMMAND) -> Traffic:
    carried = Traffic(sent=5, received=7, address="93.184.216.34")
    return world.door.connect(
        Connection(host, 443), caller, world.context, effects=ALL_EFFECTS, carry=lambda: carried
    )


def test_the_decision_is_written_before_and_the_outcome_after(tmp_path: Path) -> None:
    world = World(tmp_path)
    seen: list[list[str]] = []

    def carry() -> Traffic:
        seen.append(world.kinds())
        return Traffic(sent=5, received=7, address="192.0.2.1", error="it was silent for 300 s")

    world.door.connect(
        Connection("example.com", 443), COMMAND, world.context, effects=ALL_EFFECTS, carry=carry
    )
    assert seen == [["decision"]]
    decision, outcome = world.entries()
    assert decision.call_id == outcome.call_id == "net:1"
    assert decision.body["arguments"] == {
        "host": "example.com",
        "port": 443,
        "form": "tunnel",
        "caller": "run_command",
    }
    assert outcome.body["status"] == "failed"
    assert outcome.body["error"] == "it was silent for 300 s"
    assert outcome.body["value"] == {
        "host": "example.com",
        "port": 443,
        "address": "192.0.2.1",
        "sent_bytes": 5,
        "received_bytes": 7,
    }


def test_a_refused_one_is_not_made(tmp_path: Path) -> None:
    world = World(tmp_path, Setting(profiles=(profile(hosts=["a.org"]),)))
    with pytest.raises(ToolAccessDeniedError, match="is not among the hosts of profile 'p'"):
        connect(world)
    (violation,) = world.entries()
    assert (violation.kind, violation.body["resource_name"]) == ("violation", "host:example.com")
    assert (violation.body["tool"], violation.body["profile"]) == ("connect", "p")


def test_in_a_subplan_it_is_a_boundary(tmp_path: Path) -> None:
    grant = Grant.root(tools=frozenset(TOOLS), hosts=("a.org",))
    world = World(tmp_path, Setting(grant=grant, is_subplan=True))
    with pytest.raises(SecurityBoundaryViolation, match=r"host:example\.com"):
        connect(world)
    assert world.entries()[0].body["kind"] == "security_boundary"


def test_a_malformed_one_is_a_failed_call(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(ToolFailedError, match="no host"):
        world.door.connect(
            Connection("", 0, problem="no host"),
            COMMAND,
            world.context,
            effects=ALL_EFFECTS,
            carry=lambda: pytest.fail("it was made"),
        )
    assert [e.body.get("rule") for e in world.entries()] == ["arguments", None]


def test_each_counts_as_a_call_and_a_used_up_budget_lets_none_out(tmp_path: Path) -> None:
    world = World(tmp_path, Setting(accounts=(f"plan:{PLAN}",)))
    world.accounts.ensure(f"plan:{PLAN}", Limits(tool_calls=1))
    connect(world)
    with pytest.raises(BudgetExceededError):
        connect(world)
    assert world.entries()[-1].body["kind"] == "budget_exceeded"


def test_no_connection_ever_has_the_identity_of_an_earlier_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    connect(world)
    connect(world)
    again = world.reopened()
    connect(again, "other.example")
    ids = [e.call_id for e in again.entries() if e.kind == "decision"]
    assert ids == ["net:1", "net:2", "net:3"]


def cut_off(world: World, *, connects: bool) -> World:
    """Start a command whose host ends in the middle of it."""

    class EndedError(BaseException):
        pass

    def call(*_: object, **__: object) -> dict[str, object]:
        if connects:
            connect(world)
        raise EndedError

    real, world.hands.call = world.hands.call, call  # type: ignore[method-assign]  # the test's own
    with pytest.raises(EndedError):
        world.call("run_command", command="x")
    world.hands.call = real  # type: ignore[method-assign]  # the test's own
    return world.reopened()


def test_a_command_that_was_cut_off_and_had_connected_is_not_run_again_unasked(
    tmp_path: Path,
) -> None:
    again = cut_off(World(tmp_path), connects=True)
    with pytest.raises(ApprovalPendingError):
        again.call("run_command", command="x")
    answered = World(tmp_path, Setting(interaction=Person(True)), hands=again.hands, is_fresh=False)
    answered.call("run_command", command="x")
    assert answered.kinds()[-2:] == ["decision", "outcome"]


def test_a_command_that_was_cut_off_and_had_not_connected_is(tmp_path: Path) -> None:
    cut_off(World(tmp_path), connects=False).call("run_command", command="x")


def test_nor_is_a_program(tmp_path: Path) -> None:
    world = World(tmp_path)

    def start(world: World) -> str:
        return world.door.start_program(
            ("x",), world.context, effects=ALL_EFFECTS, start=lambda: "started"
        )

    start(world)
    again = world.reopened()
    assert start(again) == "started"
    connect(again, caller=Caller())
    last = again.reopened()
    with pytest.raises(ApprovalPendingError):
        start(last)
