"""What does a grant say about one tool? Compiled once a plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cleveragents.policy import refusal
from cleveragents.policy.condition import Condition, compile_condition
from cleveragents.policy.host_rule import HostRules
from cleveragents.policy.tool_rule import Bounds, under_ceiling
from cleveragents.terms.resource import is_outside

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cleveragents.policy.grant import Grant
    from cleveragents.terms.decision import Refusal, ViolationKind
    from cleveragents.terms.resource import Resource
    from cleveragents.terms.tool import Effect, ToolSpec


@dataclass(frozen=True, slots=True)
class GrantRule:
    """One grant on one tool."""

    tool: str
    kind: ViolationKind
    """``security_boundary`` in a subplan, ``tool_access_denied`` in a root plan."""
    fixed: tuple[Refusal, ...]
    imposed: frozenset[Effect]
    bounds: Bounds
    credentials: frozenset[str]
    conditions: tuple[Condition, ...]

    def refusals(
        self, arguments: Mapping[str, object], resources: Iterable[Resource]
    ) -> list[Refusal]:
        """Everything that the call needs and the grant does not hold, in order."""
        found = list(self.fixed)
        for resource in resources:
            field = _missing_field(self.bounds, self.credentials, resource)
            # In a root plan the rule `workspace` tells of a path outside.
            if field and not (self.kind != "security_boundary" and _is_outside_file(resource)):
                found.append(refusal.by_grant(field, kind=self.kind, resource_name=resource.name))
        failures = [condition.failure(arguments) for condition in self.conditions]
        found += [
            refusal.by_grant(
                "where", kind=self.kind, resource_name=f"tool:{self.tool}", detail=failure
            )
            for failure in failures
            if failure
        ]
        return found


def grant_rule_of(grant: Grant, *, profile_hosts: HostRules, in_subplan: bool) -> GrantRule:
    """What a grant says of resources, whatever tool asks for them.

    Args:
        grant: The plan's.
        profile_hosts: What its profiles admit. A root plan's ``*`` is the
            absence of a list of its own: its profiles say which hosts, private
            ones included. In a subplan it is any public host.
        in_subplan: Whether a refusal is a boundary violation.
    """
    hosts = HostRules.of_normal(grant.hosts)
    if hosts.is_any and not in_subplan:
        hosts = profile_hosts
    return GrantRule(
        tool="",
        kind="security_boundary" if in_subplan else "tool_access_denied",
        fixed=(),
        imposed=frozenset(),
        bounds=Bounds(readable=grant.readable, writable=grant.writable, hosts=hosts),
        credentials=grant.credentials,
        conditions=(),
    )


def for_tool(rule: GrantRule, grant: Grant, spec: ToolSpec) -> GrantRule:
    """Work out everything about a tool that no argument can change.

    Raises:
        ConfigurationError: A condition cannot be enforced.
    """
    kind, tool = rule.kind, f"tool:{spec.name}"
    fixed = []
    if spec.name not in grant.tools:
        fixed.append(refusal.by_grant("tools", kind=kind, resource_name=tool))
    effects = under_ceiling(spec, grant.effects, is_named=spec.name in grant.tools)
    if effects.refused and not fixed:
        detail = f"it {refusal.verbs(effects.refused)}"
        fixed.append(refusal.by_grant("effects", kind=kind, resource_name=tool, detail=detail))
    return replace(
        rule,
        tool=spec.name,
        fixed=tuple(fixed),
        imposed=effects.imposed,
        conditions=tuple(
            compile_condition(schema, tool=spec, where=f"grant: where.{spec.name}[{n}]")
            for n, schema in enumerate(grant.where.get(spec.name, ()))
        ),
    )


def _is_outside_file(resource: Resource) -> bool:
    return resource.kind == "file" and is_outside(resource.value)


def _missing_field(bounds: Bounds, credentials: frozenset[str], resource: Resource) -> str | None:
    match resource.kind:
        case "file" if not bounds.paths_for(resource).admits(resource.value):
            return "read" if resource.access == "read" else "write"
        case "host" if not bounds.hosts.admits(resource.value):
            return "hosts"
        case "credential" if resource.value not in credentials:
            return "credentials"
        case _:
            return None
