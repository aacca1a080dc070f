"""May something in a cell reach a host by itself? For each connection, whoever asks.

A tool's call must declare the network and be let in with it; a program is held
to the ceiling of its plan, an MCP server also to the hosts that its definition
names. Then the host must be admitted: in a subplan by the grant first, then by
each profile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cleveragents.policy import refusal
from cleveragents.terms.decision import Allowed, Denied
from cleveragents.terms.tool import Effect

if TYPE_CHECKING:
    from cleveragents.policy.host_rule import HostRules
    from cleveragents.policy.scope import Scope, ToolRule
    from cleveragents.terms.decision import Decision, Refusal
    from cleveragents.terms.resource import Resource


PROGRAM: Final = "program"
"""What a plan's own program is called, as one who connects."""
SERVER: Final = "MCP server "
"""How an MCP server's name begins there; no tool has a space in its name."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who in a cell asks, as the host knows it."""

    tool: str = ""
    """The tool whose call is under way; empty: none, it runs all the time."""
    call_id: str = ""
    """Which call of it, where several are under way side by side; empty: there is but one."""
    server: str = ""
    """The MCP server whose cell it is; both empty: the plan's own program."""
    hosts: HostRules | None = None
    """What the server's definition names."""

    @property
    def name(self) -> str:
        """For people."""
        return self.tool or (f"{SERVER}{self.server}" if self.server else PROGRAM)


def may_connect(rule: ToolRule | None) -> bool:
    """Say whether a tool that runs in a cell may reach hosts from there."""
    if rule is None or rule.allowed is None or rule.spec.place != "cell":
        return False
    return Effect.NETWORK in rule.spec.effects - rule.allowed.imposed


def connecting_tools(scope: Scope) -> frozenset[str]:
    """The tools of the plan's own cell that may reach hosts from there; none without a host."""
    if not scope.bounds.hosts.entries:
        return frozenset()
    return frozenset(
        name
        for name, rule in scope.rules.items()
        if rule.spec.origin != "mcp" and may_connect(rule)
    )


def decided(
    scope: Scope, resource: Resource, caller: Caller, effects: frozenset[Effect]
) -> Decision:
    """Decide a connection: what ``gate.decide_connection`` says where no rule breaks.

    Args:
        scope: The plan's compiled policy.
        resource: The host.
        caller: Who asks.
        effects: The meet of all ceilings: what holds for programs and servers.
    """
    refusals = connection_refusals(scope, resource, caller, effects)
    if refusals:
        return Denied(refusals)
    by_profiles = "; ".join(dict.fromkeys(f"{name}: hosts" for name, _ in scope.hosts))
    return Allowed(rule=f"grant.hosts; {by_profiles}" if scope.in_subplan else by_profiles)


def connection_refusals(
    scope: Scope, resource: Resource, caller: Caller, effects: frozenset[Effect]
) -> tuple[Refusal, ...]:
    """Everything that refuses a connection, the first in the documented order first.

    Args:
        scope: The plan's compiled policy.
        resource: The host.
        caller: Who asks.
        effects: The meet of all ceilings: what holds for programs and servers.
    """
    if caller.tool:
        is_online = may_connect(scope.rules.get(caller.tool))
    else:
        is_online = Effect.NETWORK in effects
    if not is_online:
        return (refusal.of_offline(caller.name, resource),)
    by_grant = list(scope.granted.refusals({}, (resource,))) if scope.granted else []
    by_profiles = [
        refusal.of_host(name, resource)
        for name, hosts in scope.hosts
        if not hosts.admits(resource.value)
    ]
    found = by_grant + by_profiles if scope.in_subplan else by_profiles + by_grant
    if caller.hosts is not None and not caller.hosts.admits(resource.value):
        found.append(refusal.of_server_host(caller.server, resource))
    if not found and not scope.bounds.hosts.admits(resource.value):
        found.append(refusal.of_broken_rule("connect", "it gives no reason"))
    return tuple(found)
