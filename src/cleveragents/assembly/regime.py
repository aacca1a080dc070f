"""The automation profiles in force for one run, the operator's first."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.config.automation_profile import load_automation_profile
from cleveragents.plans.charter import Conduct
from cleveragents.terms.cost import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cleveragents.assembly.house import House
    from cleveragents.config.automation_profile import AutomationProfile
    from cleveragents.config.plan_file import LoadedPlan
    from cleveragents.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Regime:
    """Each can only tighten what the ones before it say."""

    profiles: tuple[AutomationProfile, ...]

    @property
    def name(self) -> str:
        """What status shows: the names, joined; empty for none."""
        return " + ".join(dict.fromkeys(p.name for p in self.profiles))

    @property
    def trusted(self) -> tuple[AutomationProfile, ...]:
        """Those that an operator named: only they may widen."""
        return tuple(p for p in self.profiles if p.is_trusted)

    @property
    def tools(self) -> tuple[Path, ...]:
        """Files of own tools."""
        return tuple(dict.fromkeys(path for p in self.trusted for path in p.tools))

    @property
    def mcp_servers(self) -> tuple[Path, ...]:
        """Files of MCP servers."""
        return tuple(dict.fromkeys(path for p in self.trusted for path in p.mcp_servers))

    def limits(self, *others: Limits) -> Limits:
        """The lowest of every dimension; absent is no limit."""
        return lowest([*(p.budget for p in self.profiles), *others])

    def conduct(self, settings: Settings) -> Conduct:
        """How the plan is run: asking wins, and so does the lower number."""
        default = Conduct()
        applies = [settings.apply, *(p.apply for p in self.profiles)]
        rules = [p.subplans for p in self.profiles]
        parallel = [settings.max_parallel, *(r.max_parallel for r in rules)]
        depth = [settings.max_depth, *(r.max_depth for r in rules)]
        strategies = [r.merge_strategy for r in rules if r.merge_strategy]
        approvals = [*settings.approvals, *(t for p in self.profiles for t in p.approvals)]
        return Conduct(
            automation_profile=self.name,
            approvals=tuple(dict.fromkeys(approvals)),
            apply="auto" if "auto" in applies and "ask" not in applies else "ask",
            max_parallel=min((n for n in parallel if n is not None), default=default.max_parallel),
            max_depth=min((n for n in depth if n is not None), default=default.max_depth),
            merge_strategy=strategies[-1] if strategies else default.merge_strategy,
            included=tuple(dict.fromkeys(path for p in self.trusted for path in p.included)),
        )

    def warnings(self) -> tuple[str, ...]:
        """What did not count, because nobody trusted named the profile."""
        return tuple(
            f"automation profile {p.name!r} was reached only by a path in the plan file:"
            f" its {', '.join(p.ignored)} did not count; --automation-profile names it"
            for p in self.profiles
            if p.ignored
        )


def find_regime(house: House, loaded: LoadedPlan, option: str | None) -> Regime:
    """Collect the automation profiles of a run.

    The operator's (the option, else the settings') is trusted by whatever
    name; the plan file's is trusted only when it was added by that name.

    Raises:
        ConfigurationError: One of them is unknown or cannot be understood.
    """
    found: list[AutomationProfile] = []
    operators = option or house.settings.automation_profile
    if operators:
        found.append(_find(house, operators, base=Path.cwd(), is_trusted=True))
    planned = loaded.definition.automation_profile
    if planned:
        profile = _find(house, planned, base=loaded.base, is_trusted=False)
        if all(profile.name != other.name for other in found):
            found.append(profile)
    return Regime(tuple(found))


def lowest(limits: Iterable[Limits]) -> Limits:
    """The lowest limit of every dimension.

    >>> lowest([Limits(tokens=5), Limits(tokens=3, seconds=1), Limits()])
    Limits(cost_microusd=None, tokens=3, requests=None, tool_calls=None, seconds=1)
    """
    every = list(limits)
    values = {
        item.name: min(
            (n for n in (getattr(one, item.name) for one in every) if n is not None), default=None
        )
        for item in fields(Limits)
    }
    return Limits(**values)


def _find(house: House, reference: str, *, base: Path, is_trusted: bool) -> AutomationProfile:
    if reference in house.library.automation_profile_names():
        return house.library.automation_profile(reference)
    path = base / Path(reference).expanduser()
    if "/" not in reference and not reference.endswith((".yaml", ".yml")) and not path.is_file():
        # A bare name that nobody added: the error lists the names that exist.
        return house.library.automation_profile(reference)
    return load_automation_profile(path, is_trusted=is_trusted)
