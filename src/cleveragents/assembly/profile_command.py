"""What ``agents safety-profile`` answers. Nothing is run; ``add`` and ``remove`` write a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cleveragents.assembly.profile_shelf import ProfileShelf
from cleveragents.config.yaml_file import load_file
from cleveragents.errors import ConfigurationError
from cleveragents.policy import profile as safety
from cleveragents.policy.enforcer import SafetyProfileEnforcer
from cleveragents.policy.pattern import resolve
from cleveragents.terms.answer import Answer
from cleveragents.terms.decision import Denied

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cleveragents.assembly.house import House
    from cleveragents.policy.profile import SafetyProfile
    from cleveragents.terms.decision import Decision
    from cleveragents.terms.tool import ToolSpec

DENIED = 3


def list_safety_profiles(house: House) -> Answer:
    """Give name, origin and description of every profile."""
    shelf = ProfileShelf(house)
    profiles = [
        {
            "name": name,
            "origin": _origin(house, name),
            "description": shelf.find(name).description,
        }
        for name in shelf.names
    ]
    return Answer({"profiles": profiles})


def show_safety_profile(house: House, name: str) -> Answer:
    """Give a profile, what its names resolve to, and what is odd about it.

    Raises:
        UnknownSafetyProfileError: There is no such profile.
    """
    return _shown(house, ProfileShelf(house).find(name))


def check_safety_profile(house: House, name: str, tool: str, arguments: str) -> Answer:
    """Decide one call under one profile.

    Args:
        house: Where profiles and tools are.
        name: The profile.
        tool: The tool.
        arguments: A JSON object.

    Returns:
        Exit code 3 when the call is denied.

    Raises:
        UnknownSafetyProfileError: There is no such profile.
        UnknownToolError: There is no such tool.
        ConfigurationError: The arguments are no JSON object.
    """
    enforcer = enforcer_for(house, name)
    decision = enforcer.check(house.registry().get(tool), _arguments(arguments))
    data: dict[str, object] = {"profile": name, "tool": tool, **decided(decision)}
    return Answer(data, exit_code=0 if data["allowed"] else DENIED)


def decided(decision: Decision) -> dict[str, object]:
    """Give a decision as data: ``allowed``, ``rule``, ``reason``, ``imposed``, ``refusals``."""
    if not isinstance(decision, Denied):
        imposed = sorted(effect.value for effect in decision.imposed)
        return {
            "allowed": True,
            "rule": decision.rule,
            "reason": None,
            "imposed": imposed,
            "refusals": [],
        }
    refusals = [
        {
            "kind": refusal.kind,
            "rule": refusal.rule,
            "profile": refusal.profile,
            "reason": refusal.reason,
            "resource_name": refusal.resource_name,
        }
        for refusal in decision.refusals
    ]
    return {
        "allowed": False,
        "rule": decision.rule,
        "reason": decision.reason,
        "imposed": [],
        "refusals": refusals,
    }


def add_safety_profile(house: House, file: Path) -> Answer:
    """Keep the profile in a file under its name, once its examples hold.

    Raises:
        ConfigurationError: The file cannot be understood, an example does not
            hold, or the name is taken.
    """
    document = load_file(file).value
    if not isinstance(document, dict):
        raise ConfigurationError(problem="a safety profile is a mapping", where=str(file))
    shelf = ProfileShelf(house)
    profile = shelf.checked(safety.profile_from_mapping(document, where=str(file)))
    if profile.name in shelf.names:
        origin = _origin(house, profile.name)
        hint = f"'agents safety-profile remove {profile.name}' frees it"
        raise ConfigurationError(
            problem=f"the name {profile.name!r} is taken ({origin})",
            where=str(file),
            hint=hint if origin == "added" else "choose another name",
        )
    house.library.add_safety_profile(file)
    return _shown(house, profile)


def remove_safety_profile(house: House, name: str) -> Answer:
    """Forget a profile that was added.

    Raises:
        ConfigurationError: It is built in.
        UnknownSafetyProfileError: There is no such profile.
    """
    house.library.remove_safety_profile(name)
    return Answer({"removed": name})


def enforcer_for(house: House, name: str) -> SafetyProfileEnforcer:
    """Give what decides calls under one profile, its patterns resolved.

    Raises:
        UnknownSafetyProfileError: There is no such profile.
    """
    return enforcer_of(house, ProfileShelf(house).find(name))


def enforcer_of(house: House, profile: SafetyProfile) -> SafetyProfileEnforcer:
    """Give what decides calls under a profile that no name stands for yet."""
    return SafetyProfileEnforcer(resolve(profile, house.registry().names).profile)


def _shown(house: House, profile: SafetyProfile) -> Answer:
    registry = house.registry()
    resolved = resolve(profile, registry.names)
    enforcer = SafetyProfileEnforcer(resolved.profile)
    data = {
        "name": profile.name,
        "origin": _origin(house, profile.name),
        "digest": safety.profile_digest(profile),
        "profile": safety.to_mapping(profile),
        "resolved": safety.to_mapping(resolved.profile),
        "effects": sorted(effect.value for effect in profile.effects),
        "overlap": list(safety.overlap(resolved.profile)),
        "warnings": list(resolved.warnings),
        "tools": [_by_name(enforcer, spec) for _, spec in sorted(registry.specs.items())],
    }
    return Answer(data)


def _by_name(enforcer: SafetyProfileEnforcer, spec: ToolSpec) -> dict[str, object]:
    """Say whether a tool is admitted at all, whatever it is called with."""
    (rule,) = enforcer.rules_for(spec)
    effects = sorted(effect.value for effect in spec.effects)
    row: dict[str, object] = {"tool": spec.name, "effects": effects}
    if rule.fixed:
        first = rule.fixed[0]
        return {
            **row,
            "admitted": False,
            "rule": first.rule,
            "reason": first.reason,
            "imposed": [],
        }
    return {
        **row,
        "admitted": True,
        "rule": rule.admitted_by,
        "reason": None,
        "imposed": sorted(effect.value for effect in rule.imposed),
    }


def _origin(house: House, name: str) -> str:
    if name in safety.BUILT_IN:
        return "built-in"
    is_of_settings = any(profile.name == name for profile in house.settings.safety_profiles)
    return "settings" if is_of_settings else "added"


def _arguments(text: str) -> Mapping[str, object]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(problem=f"is no JSON: {error}", where="--args") from error
    if not isinstance(value, dict):
        raise ConfigurationError(
            problem="is no JSON object", where="--args", hint="""write it like '{"path": "a"}'"""
        )
    return value
