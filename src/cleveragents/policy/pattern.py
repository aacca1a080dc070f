"""Which tools do the names of a profile mean, now that the tools are known?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cleveragents.errors import ConfigurationError
from cleveragents.policy.suggestion import closest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cleveragents.policy.profile import SafetyProfile
    from cleveragents.terms.tool import ToolSpec


@dataclass(frozen=True, slots=True)
class Resolved:
    """A profile of exact names, and what the operator should hear about it."""

    profile: SafetyProfile
    warnings: tuple[str, ...]
    """One sentence for each name or pattern that matches no tool."""


def resolve(profile: SafetyProfile, tool_names: Iterable[str]) -> Resolved:
    """Turn names that end in ``*`` into exact ones.

    A name that matches no tool stays where it is, and is told; a pattern that
    matches none leaves nothing behind, so that an allow-list of it admits
    nothing.

    Args:
        profile: As it was loaded.
        tool_names: Every tool of the plan that starts.

    Raises:
        ConfigurationError: ``where`` has a condition for a tool that does not
            exist but for one letter or two: it would not bind the tool meant.
    """
    known = sorted(tool_names)
    warnings: list[str] = []

    def explicit(field: str, names: tuple[str, ...]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for name in names:
            matches = _matches(name, known)
            if not matches:
                warnings.append(f"profile {profile.name!r}: {field} has {name!r}, no tool's name")
            kept = (name,) if not matches and not name.endswith("*") else matches
            found.update(dict.fromkeys(kept))
        return tuple(found)

    allowed = profile.allowed_tools
    if allowed is not None:
        allowed = explicit("allowed_tools", allowed)
    denied = explicit("denied_tools", profile.denied_tools)
    warnings += _unbound_conditions(profile, known)
    return Resolved(
        profile=replace(profile, allowed_tools=allowed, denied_tools=denied),
        warnings=tuple(warnings),
    )


def for_tool(profile: SafetyProfile, tool: ToolSpec) -> SafetyProfile:
    """The profile as it binds one tool, when no catalogue of the others is at hand."""
    condition = profile.where.get(tool.name)
    alone = replace(profile, where={} if condition is None else {tool.name: condition})
    return resolve(alone, (tool.name,)).profile


def _matches(name: str, known: list[str]) -> tuple[str, ...]:
    if name.endswith("*"):
        return tuple(tool for tool in known if tool.startswith(name[:-1]))
    return (name,) if name in known else ()


def _unbound_conditions(profile: SafetyProfile, known: list[str]) -> list[str]:
    warnings = []
    for tool in profile.where:
        if tool in known:
            continue
        if meant := closest(tool, known, likeness=0.8):
            raise ConfigurationError(
                problem=f"no tool is named {tool!r}, so its condition would bind nothing",
                where=f"safety profile {profile.name!r}: where",
                hint=f"did you mean {meant!r}?",
            )
        warnings.append(f"profile {profile.name!r}: where has {tool!r}, no tool's name")
    return warnings
