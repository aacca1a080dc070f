"""Does a safety profile admit this call?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.errors import ConfigurationError
from cleveragents.policy import refusal
from cleveragents.policy.argument import UnusableArgument, prepare
from cleveragents.policy.pattern import for_tool, resolve
from cleveragents.policy.profile import SafetyProfile
from cleveragents.policy.suggestion import hint_for
from cleveragents.policy.tool_rule import bounds_of, compile_profile_rule
from cleveragents.terms.decision import Allowed, Denied
from cleveragents.terms.resource import is_outside

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cleveragents.policy.example import Example
    from cleveragents.policy.tool_rule import ProfileRule
    from cleveragents.terms.decision import Decision, Refusal
    from cleveragents.terms.resource import Resource
    from cleveragents.terms.tool import ToolSpec


class SafetyProfileEnforcer:
    """Checks calls against one profile, or several that must all admit.

    Thread-safe: rules are compiled per tool, and compiling one twice gives
    the same rule.

    Args:
        profiles: One, or several in their documented order. Names that end in
            ``*`` are resolved against the tool that is asked about.

    Raises:
        ValueError: There is no profile at all: an empty "every one must
            admit" would admit everything.

    Source:
        Issue 8983, "Implement SafetyProfileEnforcer service that checks tool
        invocations against the active profile".
    """

    def __init__(self, profiles: SafetyProfile | Iterable[SafetyProfile]) -> None:
        self._profiles = (profiles,) if isinstance(profiles, SafetyProfile) else tuple(profiles)
        if not self._profiles:
            msg = "an enforcer needs at least one safety profile"
            raise ValueError(msg)
        self._bounds = tuple(bounds_of(profile) for profile in self._profiles)
        self._rules: dict[str, tuple[ToolSpec, tuple[ProfileRule, ...]]] = {}

    @property
    def profiles(self) -> tuple[SafetyProfile, ...]:
        """The profiles in force."""
        return self._profiles

    def check(self, spec: ToolSpec, arguments: Mapping[str, object]) -> Decision:
        """Decide one call by the profiles alone: no grant, no budget.

        Args:
            spec: The tool.
            arguments: As the actor sent them.

        Returns:
            ``Allowed``, or ``Denied`` with every refusal, the first in the
            documented order first.

        Raises:
            ConfigurationError: A profile's condition on the tool cannot be enforced.
        """
        prepared = prepare(spec, arguments)
        rules = self.rules_for(spec)
        refusals = (
            *profile_refusals(rules, prepared.arguments, prepared.resources),
            *outside_refusals(rules, prepared.resources),
            *argument_refusals(prepared.resources),
        )
        return Denied(refusals) if refusals else allowed_by(rules)

    def rules_for(self, spec: ToolSpec) -> tuple[ProfileRule, ...]:
        """The compiled rule of each profile on one tool.

        Raises:
            ConfigurationError: A profile's condition on the tool cannot be enforced.
        """
        found = self._rules.get(spec.name)
        if found is None or found[0] is not spec:
            rules = tuple(
                compile_profile_rule(for_tool(profile, spec), bounds, spec)
                for profile, bounds in zip(self._profiles, self._bounds, strict=True)
            )
            found = self._rules[spec.name] = (spec, rules)
        return found[1]


def allowed_by(rules: tuple[ProfileRule, ...]) -> Allowed:
    """The answer for a call that every rule admits: says which rules those are."""
    return Allowed(
        rule="; ".join(dict.fromkeys(rule.admitted_by for rule in rules)),
        imposed=frozenset().union(*(rule.imposed for rule in rules)),
    )


def profile_refusals(
    rules: Iterable[ProfileRule],
    arguments: Mapping[str, object],
    resources: tuple[Resource, ...],
) -> list[Refusal]:
    """Every refusal of every profile, in their order."""
    return [one for rule in rules for one in rule.refusals(arguments, resources)]


def outside_refusals(
    rules: tuple[ProfileRule, ...], resources: Iterable[Resource]
) -> list[Refusal]:
    """A refusal for each path that leaves the workspace, whatever the profiles say."""
    return [
        refusal.of_workspace(rules[0].profile, resource)
        for resource in resources
        if resource.kind == "file" and is_outside(resource.value)
    ]


def argument_refusals(resources: Iterable[Resource]) -> list[Refusal]:
    """A refusal for each argument that cannot be used."""
    return [
        refusal.of_arguments(resource, resource.reason)
        for resource in resources
        if isinstance(resource, UnusableArgument)
    ]


def verify_examples(profile: SafetyProfile, tools: Mapping[str, ToolSpec]) -> None:
    """Check that a profile allows and denies what its examples promise.

    Args:
        profile: As it was loaded; patterns are resolved against ``tools``.
        tools: Every known tool.

    Raises:
        ConfigurationError: An example comes out the other way, names an
            unknown tool, or has arguments that the tool does not take; or one
            of the profile's conditions cannot be enforced.
    """
    enforcer = SafetyProfileEnforcer(resolve(profile, tools).profile)
    for tool in profile.where:
        if tool in tools:
            enforcer.rules_for(tools[tool])
    for kind, examples in (
        ("allows", profile.examples.allows),
        ("denies", profile.examples.denies),
    ):
        for index, example in enumerate(examples):
            where = f"safety profile {profile.name!r}: examples.{kind}[{index}]"
            decision = _decide_example(enforcer, example, tools, where)
            if isinstance(decision, Allowed) and kind == "denies":
                raise ConfigurationError(
                    problem=f"{example.tool} is allowed ({decision.rule})", where=where
                )
            if isinstance(decision, Denied) and kind == "allows":
                raise ConfigurationError(
                    problem=f"{example.tool} is denied: {decision.reason}", where=where
                )


def _decide_example(
    enforcer: SafetyProfileEnforcer, example: Example, tools: Mapping[str, ToolSpec], where: str
) -> Decision:
    spec = tools.get(example.tool)
    if spec is None:
        raise ConfigurationError(
            problem=f"no tool is named {example.tool!r}",
            where=where,
            hint=hint_for(example.tool, tools),
        )
    decision = enforcer.check(spec, example.args)
    # A call that is denied for its own mistakes says nothing about the profile.
    if isinstance(decision, Denied) and decision.refusals[-1].rule == "arguments":
        raise ConfigurationError(problem=decision.refusals[-1].reason, where=where)
    return decision
