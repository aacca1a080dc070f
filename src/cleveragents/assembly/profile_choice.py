"""Which safety profiles bind a plan, and which its children? Several in force: all must admit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.assembly.model_host import ModelHosts
from cleveragents.policy.profile import BUILT_IN, SafetyProfile, profile_from_mapping

if TYPE_CHECKING:
    from cleveragents.assembly.house import House
    from cleveragents.assembly.plan_command import RunRequest
    from cleveragents.assembly.profile_shelf import ProfileShelf
    from cleveragents.assembly.regime import Regime
    from cleveragents.config.automation_profile import ProfileReference
    from cleveragents.config.plan_file import LoadedPlan


class ProfileChoice:
    """The safety profiles of one plan.

    Args:
        house: Its settings are the operator's.
        regime: The automation profiles in force.
        loaded: The plan file.
        request: The options.
        shelf: Every profile by name, those that files define too.
        operators: Those that an operator defined.
    """

    def __init__(
        self,
        house: House,
        regime: Regime,
        loaded: LoadedPlan,
        request: RunRequest,
        shelf: ProfileShelf,
        operators: ProfileShelf,
    ) -> None:
        # What an operator names means what an operator defined, never what a plan's files do.
        self._shelf = shelf
        self._trusted_shelf = operators
        self._operators = [
            operators.find(name, where="the settings: safety_profile")
            for name in house.settings.safety_profile
        ]
        self._automation = [
            (
                self._found(
                    p.safety_profile, f"automation profile {p.name!r}", is_trusted=p.is_trusted
                ),
                p.is_trusted,
            )
            for p in regime.profiles
            if p.safety_profile is not None
        ]
        delegates = [p for p in regime.trusted if p.delegates is not None]
        self._delegates = [
            self._found(p.delegates, f"automation profile {p.name!r}: delegates", is_trusted=True)
            for p in delegates
        ]
        self._plan = self._plan_profile(loaded)
        option = request.safety_profile
        # Inline profiles are visible to options too; they only tighten unless an operator's.
        self._option = [shelf.find(option, where="--safety-profile")] if option else []
        self._chosen = [p for p in self._option if p.name in operators.names]

    def own(self) -> list[SafetyProfile]:
        """In the documented order: settings, automation profile, plan file, option."""
        automation = [profile for profile, _ in self._automation]
        found = [*self._operators, *automation, *self._plan, *self._option]
        if self._trusted():
            return found
        # A plan file tightens what an operator chose; nobody's choice is the default, and it
        # binds: else a plan file could name private hosts, or empty the list of held files.
        return [BUILT_IN["unrestricted"], *found]

    def childrens(self) -> list[SafetyProfile]:
        """`delegates` in place of automation profile and plan file; the operator's stay."""
        if not self._delegates:
            return self.own()
        return [*self._operators, *self._delegates, *self._option]

    def shown(self) -> tuple[str, ...]:
        """Single files that an operator's profile names: shown although secret or ignored."""
        names = [path for p in self._trusted() for path in p.read or () if not path.endswith("/")]
        return tuple(dict.fromkeys(name for name in names if name != "."))

    def model_hosts(self, house: House, model: str | None) -> ModelHosts:
        """Where the models that the plan file names may be."""
        automation = [profile for profile, _ in self._automation]
        return ModelHosts(
            binding=(*self._operators, *automation, *self._option),
            trusted=tuple(self._trusted()),
            settings=house.settings,
            model=model,
        )

    def _trusted(self) -> list[SafetyProfile]:
        automation = [profile for profile, is_trusted in self._automation if is_trusted]
        return [*self._operators, *automation, *self._chosen]

    def _found(
        self, reference: ProfileReference | None, where: str, *, is_trusted: bool
    ) -> SafetyProfile:
        if isinstance(reference, SafetyProfile):
            return self._shelf.checked(reference)
        shelf = self._trusted_shelf if is_trusted else self._shelf
        return shelf.find(str(reference), where=where)

    def _plan_profile(self, loaded: LoadedPlan) -> list[SafetyProfile]:
        written = loaded.definition.safety_profile
        if not written:
            return []
        where = f"{loaded.name}: safety_profile"
        if isinstance(written, str):
            return [self._shelf.find(written, where=where)]
        return [self._shelf.checked(profile_from_mapping(written, where=where))]
