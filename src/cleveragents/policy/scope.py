"""Everything that decides the calls of one plan, compiled when the plan starts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError
from cleveragents.policy import refusal
from cleveragents.policy.enforcer import (
    allowed_by,
    argument_refusals,
    outside_refusals,
    profile_refusals,
)
from cleveragents.policy.grant_rule import for_tool, grant_rule_of
from cleveragents.policy.tool_rule import (
    Bounds,
    bounds_of,
    check_is_resolved,
    compile_profile_rule,
)
from cleveragents.terms.decision import Allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cleveragents.policy.grant import Grant
    from cleveragents.policy.grant_rule import GrantRule
    from cleveragents.policy.host_rule import HostRules
    from cleveragents.policy.path_rule import PathRules
    from cleveragents.policy.profile import SafetyProfile
    from cleveragents.policy.tool_rule import ProfileRule
    from cleveragents.terms.decision import Refusal
    from cleveragents.terms.resource import Resource
    from cleveragents.terms.tool import ToolSpec

_BOUNDARY: Final = "security_boundary"


@dataclass(frozen=True, slots=True)
class ToolRule:
    """One tool under everything in force: a short form to say yes, a long one to say why not."""

    spec: ToolSpec
    allowed: Allowed | None
    """The one answer for every admitted call; ``None`` when no call can be."""
    read: PathRules
    """What all profiles and the grant admit together, as are the next two."""
    write: PathRules
    hosts: HostRules
    credentials: frozenset[str] | None
    """The grant's; ``None`` without a grant, when policy has no say in it."""
    conditions: tuple[Callable[[object], bool], ...]
    profiles: tuple[ProfileRule, ...]
    grant: GrantRule | None


@dataclass(frozen=True, slots=True)
class Scope:
    """The compiled policy of one plan; never changes while the plan lives."""

    plan_id: str
    in_subplan: bool
    rules: Mapping[str, ToolRule]
    bounds: Bounds
    """What may be read, written and reached, by all profiles and the grant together."""
    granted: GrantRule | None
    """What the grant alone says, of no tool in particular."""
    hosts: tuple[tuple[str, HostRules], ...] = ()
    """What each profile lets be reached, by its name, in the documented order."""


def compile_scope(
    *,
    profiles: tuple[SafetyProfile, ...],
    grant: Grant | None,
    in_subplan: bool,
    tools: Mapping[str, ToolSpec],
    plan_id: str,
) -> Scope:
    """Compile the policy of one plan.

    Args:
        profiles: Resolved, in the documented order: settings, automation
            profile, plan file, option. Every one must admit.
        grant: The plan's own.
        in_subplan: Then the grant is asked before the profiles, and what it
            does not hold is a boundary violation.
        tools: Every tool that the plan may name.
        plan_id: For resources of the kind ``plan``.

    Raises:
        ConfigurationError: No profile is in force, a subplan has no grant, a
            name is still a pattern, or a condition cannot be enforced.
    """
    if not profiles:
        raise ConfigurationError(problem="no safety profile is in force")
    if in_subplan and grant is None:
        raise ConfigurationError(problem="a subplan has no grant")
    for profile in profiles:
        check_is_resolved(profile)
    parts = [bounds_of(profile) for profile in profiles]
    bounds = reduce(_meet, parts)
    granted = None
    if grant is not None:
        granted = grant_rule_of(grant, profile_hosts=bounds.hosts, in_subplan=in_subplan)
        bounds = _meet(bounds, granted.bounds)
    rules = {}
    for name, spec in tools.items():
        profile_rules = tuple(
            compile_profile_rule(profile, part, spec)
            for profile, part in zip(profiles, parts, strict=True)
        )
        grant_rule = None if grant is None or granted is None else for_tool(granted, grant, spec)
        rules[name] = _combined(spec, bounds, profile_rules, grant_rule)
    hosts = tuple((one.name, part.hosts) for one, part in zip(profiles, parts, strict=True))
    return Scope(plan_id, in_subplan, MappingProxyType(rules), bounds, granted, hosts)


def _meet(one: Bounds, other: Bounds) -> Bounds:
    return Bounds(
        readable=one.readable.meet(other.readable),
        writable=one.writable.meet(other.writable),
        hosts=one.hosts.meet(other.hosts),
    )


def _combined(
    spec: ToolSpec, bounds: Bounds, profiles: tuple[ProfileRule, ...], grant: GrantRule | None
) -> ToolRule:
    is_refused = any(rule.fixed for rule in profiles) or (grant is not None and bool(grant.fixed))
    allowed = allowed_by(profiles)
    if grant is not None:
        # A root plan's grant holds every tool: to name it would explain nothing.
        told = f"grant.tools; {allowed.rule}" if grant.kind == _BOUNDARY else allowed.rule
        allowed = Allowed(told, allowed.imposed | grant.imposed)
    conditions = [rule.condition for rule in profiles if rule.condition]
    conditions += grant.conditions if grant else ()
    return ToolRule(
        spec=spec,
        allowed=None if is_refused else allowed,
        read=bounds.readable,
        write=bounds.writable,
        hosts=bounds.hosts,
        credentials=grant.credentials if grant else None,
        conditions=tuple(condition.admits for condition in conditions),
        profiles=profiles,
        grant=grant,
    )


def refusals_of(
    scope: Scope, rule: ToolRule, arguments: Mapping[str, object], resources: tuple[Resource, ...]
) -> tuple[Refusal, ...]:
    """Every refusal of a call, the first in the documented order first.

    In a subplan: grant, profiles. In a root plan: profiles, ``workspace``,
    grant. What is wrong with the arguments themselves comes last.
    """
    by_grant = rule.grant.refusals(arguments, resources) if rule.grant else []
    by_profiles = profile_refusals(rule.profiles, arguments, resources)
    if scope.in_subplan:
        found = by_grant + by_profiles
    else:
        found = by_profiles + outside_refusals(rule.profiles, resources) + by_grant
    found += _foreign_plans(scope, resources)
    return tuple(found + argument_refusals(resources))


def _foreign_plans(scope: Scope, resources: Iterable[Resource]) -> list[Refusal]:
    own = f"{scope.plan_id}/"
    return [
        refusal.by_grant("resources", kind=_BOUNDARY, resource_name=resource.name)
        for resource in resources
        if resource.kind == "plan" and not (scope.plan_id and resource.value.startswith(own))
    ]


def resource_refusals(scope: Scope, resources: tuple[Resource, ...]) -> tuple[Refusal, ...]:
    """What the grant refuses of resources that no tool asks for; in a root plan its profiles."""
    found = scope.granted.refusals({}, resources) if scope.granted else []
    if not scope.in_subplan:
        # A root plan's grant holds what its profiles admit: they can say why not.
        found = [
            refusal.of_host(name, resource)
            for name, hosts in scope.hosts
            for resource in resources
            if resource.kind == "host" and not hosts.admits(resource.value)
        ] + found
    found += _foreign_plans(scope, resources)
    return tuple(found + argument_refusals(resources))
