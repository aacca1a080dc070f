"""What does one profile, or one grant, say about one tool? Compiled once a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError
from cleveragents.policy import refusal
from cleveragents.policy.condition import Condition, compile_condition
from cleveragents.policy.host_rule import PUBLIC, HostRules
from cleveragents.policy.path_rule import EVERYWHERE, PathRules
from cleveragents.policy.profile import admits
from cleveragents.terms.resource import is_outside
from cleveragents.terms.tool import Effect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cleveragents.policy.profile import SafetyProfile
    from cleveragents.terms.decision import Refusal
    from cleveragents.terms.resource import Resource
    from cleveragents.terms.tool import ToolSpec

IMPOSABLE: Final = frozenset({Effect.WRITE, Effect.DELETE, Effect.NETWORK, Effect.SPAWN})
"""What a cell really takes away: mounts are read-only, there is no network, and
no tool body reaches the door. It starts programs and shows files, so ``execute``
and ``read`` cannot be imposed."""
_EFFECT_OF_ACCESS: Final = {
    "read": Effect.READ,
    "write": Effect.WRITE,
    "delete": Effect.DELETE,
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Paths and hosts of one profile or grant: the same for all its tools."""

    readable: PathRules
    writable: PathRules
    hosts: HostRules

    def paths_for(self, resource: Resource) -> PathRules:
        """The paths that a file resource is compared with."""
        return self.readable if resource.access == "read" else self.writable


def bounds_of(profile: SafetyProfile) -> Bounds:
    """What a profile lets be read, written and reached.

    A written path may be read. What may not be read cannot be written, since
    no mount could keep it so: ``write`` left out reaches as far as ``read``.
    """
    if profile.read is None:
        readable = EVERYWHERE
        writable = (".",) if profile.write is None else profile.write
    else:
        readable = PathRules.of_normal(profile.read + (profile.write or ()))
        writable = profile.read if profile.write is None else profile.write
    return Bounds(
        readable=readable,
        writable=PathRules.of_normal(writable, with_directories=False),
        hosts=PUBLIC if profile.hosts is None else HostRules.of_normal(profile.hosts),
    )


@dataclass(frozen=True, slots=True)
class Ceilinged:
    """A tool's effects under a ceiling."""

    refused: frozenset[Effect]
    """One effect too many; empty when the tool may run."""
    imposed: frozenset[Effect]
    """What the cell takes away from it."""


def under_ceiling(spec: ToolSpec, ceiling: frozenset[Effect], *, is_named: bool) -> Ceilinged:
    """Decide between running under an imposed ceiling and refusing.

    Imposed when the tool runs in a cell, only what a cell takes away is
    missing, its declared resources do not need what is missing (a
    ``write_file`` that cannot write is refused here, not by the mount), and
    it is named, or nothing but the network is missing.

    Source:
        Design, section 11, "Effects".
    """
    missing = spec.effects - ceiling
    if not missing:
        return Ceilinged(frozenset(), frozenset())
    needed = {
        _EFFECT_OF_ACCESS[one.access] for one in spec.resources if one.access in _EFFECT_OF_ACCESS
    }
    may_impose = (
        spec.place == "cell"
        and missing <= IMPOSABLE
        and not missing & needed
        and (is_named or missing == {Effect.NETWORK})
    )
    return Ceilinged(frozenset(), missing) if may_impose else Ceilinged(missing, frozenset())


@dataclass(frozen=True, slots=True)
class ProfileRule:
    """One profile on one tool."""

    profile: str
    tool: str
    admitted_by: str
    """``careful: allowed_tools``, ``unrestricted: no list``."""
    fixed: tuple[Refusal, ...]
    """What refuses every call of the tool: its name, its effects."""
    imposed: frozenset[Effect]
    bounds: Bounds
    condition: Condition | None

    def refusals(
        self, arguments: Mapping[str, object], resources: Iterable[Resource]
    ) -> list[Refusal]:
        """Every rule of the profile that does not admit the call, in order."""
        found = list(self.fixed)
        for resource in resources:
            if resource.kind == "file" and not is_outside(resource.value):
                if not self.bounds.paths_for(resource).admits(resource.value):
                    found.append(refusal.of_path(self.profile, resource))
            elif resource.kind == "host" and not self.bounds.hosts.admits(resource.value):
                found.append(refusal.of_host(self.profile, resource))
        if self.condition and (failure := self.condition.failure(arguments)):
            found.append(
                refusal.by_profile(
                    "where",
                    profile=self.profile,
                    reason=f"profile {self.profile!r} sets a condition on {self.tool}: {failure}",
                    resource_name=f"tool:{self.tool}",
                )
            )
        return found


def compile_profile_rule(profile: SafetyProfile, bounds: Bounds, spec: ToolSpec) -> ProfileRule:
    """Work out everything about a tool that no argument can change.

    Raises:
        ConfigurationError: The profile's condition on the tool cannot be
            enforced, or a pattern was not resolved.
    """
    name, tool = profile.name, f"tool:{spec.name}"
    listed = None if profile.allowed_tools is None else frozenset(profile.allowed_tools)
    fixed = []
    if not admits(listed, frozenset(profile.denied_tools), spec.name):
        rule = "denied_tools" if listed is None else "allowed_tools"
        verb = "lists" if listed is None else "does not list"
        reason = f"profile {name!r} {verb} {spec.name!r} in {rule}"
        fixed.append(refusal.by_profile(rule, profile=name, reason=reason, resource_name=tool))
    effects = under_ceiling(spec, profile.effects, is_named=spec.name in (listed or ()))
    if effects.refused:
        reason = f"profile {name!r} admits no tool that {refusal.verbs(effects.refused)}"
        fixed.append(refusal.by_profile("effects", profile=name, reason=reason, resource_name=tool))
    return ProfileRule(
        profile=name,
        tool=spec.name,
        admitted_by=f"{name}: {_list_name(profile)}",
        fixed=tuple(fixed),
        imposed=effects.imposed,
        bounds=bounds,
        condition=_condition(profile, spec),
    )


def check_is_resolved(profile: SafetyProfile) -> None:
    """Refuse a profile that still holds a pattern: it would deny nothing.

    Raises:
        ConfigurationError: A name ends in ``*``.
    """
    for name in (*(profile.allowed_tools or ()), *profile.denied_tools):
        if name.endswith("*"):
            raise ConfigurationError(
                problem=f"the pattern {name!r} was not resolved to the names of tools",
                where=f"safety profile {profile.name!r}",
            )


def _list_name(profile: SafetyProfile) -> str:
    if profile.allowed_tools is not None:
        return "allowed_tools"
    return "not in denied_tools" if profile.denied_tools else "no list"


def _condition(profile: SafetyProfile, spec: ToolSpec) -> Condition | None:
    schema = profile.where.get(spec.name)
    if schema is None:
        return None
    where = f"safety profile {profile.name!r}: where.{spec.name}"
    return compile_condition(schema, tool=spec, where=where)
