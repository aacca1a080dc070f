"""What ``agents automation-profile`` answers; ``add`` and ``remove`` write a file, nothing runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.assembly.profile_shelf import ProfileShelf
from cleveragents.config.automation_profile import load_automation_profile
from cleveragents.policy import profile as safety
from cleveragents.policy.enforcer import verify_examples
from cleveragents.policy.pattern import resolve
from cleveragents.terms.answer import Answer
from cleveragents.terms.cost import format_usd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cleveragents.assembly.house import House
    from cleveragents.config.automation_profile import AutomationProfile
    from cleveragents.policy.profile import SafetyProfile
    from cleveragents.terms.cost import Limits


def list_automation_profiles(house: House) -> Answer:
    """Give the profiles that were added, one line each."""
    profiles = map(house.library.automation_profile, house.library.automation_profile_names())
    return Answer(
        {
            "profiles": [
                {
                    "name": profile.name,
                    "safety_profile": _name_of(profile.safety_profile),
                    "apply": profile.apply,
                }
                for profile in profiles
            ]
        }
    )


def show_automation_profile(house: House, name: str) -> Answer:
    """Give one profile that was added.

    Raises:
        ConfigurationError: Nobody added it.
    """
    return _shown(house, house.library.automation_profile(name))


def validate_automation_profile(house: House, file: Path) -> Answer:
    """Read a file with all that it names, and keep nothing.

    Raises:
        ConfigurationError: It, or something that it names, is not in order.
    """
    return _shown(house, load_automation_profile(file, is_trusted=True))


def add_automation_profile(house: House, file: Path) -> Answer:
    """Validate a file and keep it under its name.

    Raises:
        ConfigurationError: It, or something that it names, is not in order; or
            the name is taken.
    """
    answer = validate_automation_profile(house, file)
    house.library.add_automation_profile(file)
    return answer


def remove_automation_profile(house: House, name: str) -> Answer:
    """Forget a profile that was added.

    Raises:
        ConfigurationError: Nobody added it.
    """
    house.library.remove_automation_profile(name)
    return Answer({"removed": name})


def _shown(house: House, profile: AutomationProfile) -> Answer:
    registry = house.registry(profile.tools)
    warnings: list[str] = []
    for one in _profiles_in_force(house, profile):
        verify_examples(one, registry.specs)
        warnings += resolve(one, registry.names).warnings
        warnings += [
            f"{name} is on both lists of {one.name!r}: it is allowed"
            for name in safety.overlap(one)
        ]
    for tool in profile.approvals:
        # Those of MCP servers are known only when a plan has started them.
        if "__" not in tool:
            registry.get(tool)
    unique = list(dict.fromkeys(warnings))
    return Answer({"name": profile.name, "profile": _as_data(profile), "warnings": unique})


def _profiles_in_force(house: House, profile: AutomationProfile) -> Iterator[SafetyProfile]:
    """Every safety profile that the file defines or names.

    Raises:
        UnknownSafetyProfileError: It names one that does not exist.
        ConfigurationError: It defines one whose name is taken.
    """
    shelf = ProfileShelf(house, profile.safety_profiles)
    yield from profile.safety_profiles
    for key in ("safety_profile", "delegates"):
        named = getattr(profile, key)
        if isinstance(named, safety.SafetyProfile):
            yield named
        elif isinstance(named, str):
            yield shelf.find(named, where=f"{profile.name}: {key}")


def _name_of(reference: object) -> str | None:
    if isinstance(reference, safety.SafetyProfile):
        return reference.name
    return reference if isinstance(reference, str) else None


def _as_data(profile: AutomationProfile) -> dict[str, object]:
    """The profile as it was understood; what it leaves out is left out."""
    data: dict[str, object] = {
        "safety_profile": _reference(profile.safety_profile),
        "delegates": _reference(profile.delegates),
        "budget": _budget(profile.budget),
        "subplans": _present(
            {
                "max_parallel": profile.subplans.max_parallel,
                "max_depth": profile.subplans.max_depth,
                "merge_strategy": profile.subplans.merge_strategy or None,
            }
        ),
        "apply": profile.apply,
        "approvals": list(profile.approvals),
        "safety_profiles": [safety.to_mapping(one) for one in profile.safety_profiles],
        "credentials": {
            name: {source.kind: source.place, "hosts": list(source.hosts)}
            for name, source in profile.credentials.items()
        },
        "tools": [str(path) for path in profile.tools],
        "mcp_servers": [str(path) for path in profile.mcp_servers],
        "workspace": {"include": list(profile.included)} if profile.included else {},
    }
    return _present(data)


def _present(data: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in data.items() if value not in (None, [], {})}


def _reference(reference: object) -> object:
    if isinstance(reference, safety.SafetyProfile):
        return safety.to_mapping(reference)
    return reference


def _budget(limits: Limits) -> dict[str, object]:
    cost = limits.cost_microusd
    budget: dict[str, object] = {
        "max_cost_usd": None if cost is None else format_usd(cost),
        "max_tokens": limits.tokens,
        "max_requests": limits.requests,
        "max_tool_calls": limits.tool_calls,
        "max_seconds": limits.seconds,
    }
    # Not `_present`: a budget of 0 admits nothing, and 0 is not nothing said.
    return {key: value for key, value in budget.items() if value is not None}
