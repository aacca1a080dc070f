"""Which safety profile is meant: the name of one, or one written out in place?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from cleveragents.policy.profile import SafetyProfile, profile_from_mapping

if TYPE_CHECKING:
    from cleveragents.config.reader import Reader

ProfileReference: TypeAlias = str | SafetyProfile
"""The name of a safety profile, or one written out."""

INLINE_NAME: Final = "inline"
"""What a profile that is written out in place is called when it has no name."""


def profile_reference(reader: Reader) -> ProfileReference:
    """Read a ``safety_profile`` or ``delegates``.

    Raises:
        ConfigurationError: It is neither a name nor a profile; whether a
            profile of that name exists is known to the caller.
    """
    if not isinstance(reader.value, Mapping):
        return reader.text()
    named = replace(reader, value={"name": INLINE_NAME, **reader.value})
    return named.checked(profile_from_mapping)


def read_profiles(reader: Reader) -> tuple[SafetyProfile, ...]:
    """Read ``safety_profiles``: a list of profiles, no name twice.

    Raises:
        ConfigurationError: One of them cannot be understood.
    """
    found: dict[str, SafetyProfile] = {}
    for item in reader.items():
        profile = item.checked(profile_from_mapping)
        if profile.name in found:
            raise item.error(f"the safety profile {profile.name!r} is defined twice")
        found[profile.name] = profile
    return tuple(found.values())
