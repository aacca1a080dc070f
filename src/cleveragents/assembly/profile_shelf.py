"""Every safety profile that a name can mean, and no name twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.errors import ConfigurationError, UnknownSafetyProfileError
from cleveragents.policy.enforcer import verify_examples
from cleveragents.policy.profile import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cleveragents.assembly.house import House
    from cleveragents.policy.profile import SafetyProfile


class ProfileShelf:
    """The built-in profiles, the operator's, and those of one run's files.

    Args:
        house: Settings and library.
        inline: Profiles defined in the automation profiles of this run.

    Raises:
        ConfigurationError: A name is defined twice, or is a built-in's.
    """

    def __init__(self, house: House, inline: Iterable[SafetyProfile] = ()) -> None:
        self._tools = house.registry().specs
        self._profiles = dict(BUILT_IN)
        sources = (
            ("the library", house.library.safety_profiles().values()),
            ("the settings", house.settings.safety_profiles),
            ("an automation profile", inline),
        )
        for source, profiles in sources:
            for profile in profiles:
                self._add(profile, source)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, the built-in ones first."""
        return tuple(self._profiles)

    def find(self, name: str, *, where: str = "") -> SafetyProfile:
        """The profile of a name; its examples hold.

        Raises:
            UnknownSafetyProfileError: Nothing falls back.
            ConfigurationError: An example of it does not hold.
        """
        profile = self._profiles.get(name)
        if profile is None:
            raise UnknownSafetyProfileError(name=name, known=self.names, where=where)
        return self.checked(profile)

    def checked(self, profile: SafetyProfile) -> SafetyProfile:
        """A profile, once what it promises in its examples was seen to hold."""
        verify_examples(profile, self._tools)
        return profile

    def _add(self, profile: SafetyProfile, source: str) -> None:
        taken = self._profiles.get(profile.name)
        if taken is not None and (taken != profile or profile.name in BUILT_IN):
            what = "built in" if profile.name in BUILT_IN else "defined twice"
            raise ConfigurationError(
                problem=f"the safety profile {profile.name!r} of {source} is {what}",
                hint="choose another name",
            )
        self._profiles[profile.name] = profile
