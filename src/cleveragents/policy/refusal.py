"""In which words is a call refused? One sentence for each kind of rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.policy.host_rule import is_private
from cleveragents.terms.decision import Refusal
from cleveragents.terms.tool import Effect

if TYPE_CHECKING:
    from cleveragents.terms.decision import ViolationKind
    from cleveragents.terms.resource import Resource

_VERBS: Final = {
    Effect.READ: "reads",
    Effect.WRITE: "writes",
    Effect.DELETE: "deletes",
    Effect.NETWORK: "uses the network",
    Effect.EXECUTE: "executes programs",
    Effect.SPAWN: "spawns subplans",
}


def verbs(effects: frozenset[Effect]) -> str:
    """Effects in words, in their declared order.

    >>> verbs(frozenset({Effect.DELETE, Effect.WRITE}))
    'writes or deletes'
    """
    words = [_VERBS[effect] for effect in Effect if effect in effects]
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def by_profile(rule: str, *, profile: str, reason: str, resource_name: str) -> Refusal:
    """A profile's rule does not admit the call."""
    return Refusal(
        kind="tool_access_denied",
        rule=rule,
        profile=profile,
        reason=reason,
        resource_name=resource_name,
    )


def of_path(profile: str, resource: Resource) -> Refusal:
    """A path is not among a profile's."""
    rule = "read" if resource.access == "read" else "write"
    return by_profile(
        rule,
        profile=profile,
        reason=f"{resource.value!r} is not among the {rule} paths of profile {profile!r}",
        resource_name=resource.name,
    )


def of_host(profile: str, resource: Resource) -> Refusal:
    """A host is not among a profile's."""
    reason = (
        f"{resource.value!r} is a private host, and profile {profile!r} does not name it exactly"
        if is_private(resource.value)
        else f"{resource.value!r} is not among the hosts of profile {profile!r}"
    )
    return by_profile("hosts", profile=profile, reason=reason, resource_name=resource.name)


def of_offline(caller: str, resource: Resource) -> Refusal:
    """Something in a cell reaches for a host, and may not, or does not say that it does."""
    return by_profile(
        "effects",
        profile="",
        reason=f"{caller} has no 'network' among its effects here, and reached for a host",
        resource_name=resource.name,
    )


def of_server_host(server: str, resource: Resource) -> Refusal:
    """A host is not among those that an MCP server's definition names."""
    return by_profile(
        "server.hosts",
        profile="",
        reason=f"{resource.value!r} is not among the hosts of MCP server {server!r}",
        resource_name=resource.name,
    )


def of_workspace(profile: str, resource: Resource) -> Refusal:
    """A path leaves the workspace."""
    return by_profile(
        "workspace",
        profile=profile,
        reason=f"{resource.value!r} is outside the workspace",
        resource_name=resource.name,
    )


def of_arguments(resource: Resource, reason: str) -> Refusal:
    """The call is malformed; no rule forbids it."""
    return by_profile("arguments", profile="", reason=reason, resource_name=resource.name)


def of_unknown_tool(tool: str) -> Refusal:
    """The scope was not compiled for such a tool."""
    return by_profile(
        "registry",
        profile="",
        reason=f"the plan has no such tool as {tool!r}",
        resource_name=f"tool:{tool}",
    )


def of_broken_rule(tool: str, error: str) -> Refusal:
    """A rule broke: nobody can say, so the answer is no."""
    return by_profile(
        "gate",
        profile="",
        reason=f"a rule on {tool} broke ({error}), and a rule that breaks denies",
        resource_name=f"tool:{tool}",
    )


def by_grant(field: str, *, kind: ViolationKind, resource_name: str, detail: str = "") -> Refusal:
    """The grant does not hold what the call needs; its lists are not told."""
    whose = "was not handed to this subplan"
    if kind != "security_boundary":
        whose = "is not granted to this plan"
    return Refusal(
        kind=kind,
        rule=f"grant.{field}",
        profile="",
        reason=f"{resource_name} {whose}{': ' + detail if detail else ''}",
        resource_name=resource_name,
    )
