"""May this call happen? One pure decision, with every reason against it.

The rules, in their documented order. In a subplan: the grant (tools, effects,
read and write paths, hosts, credentials, where), then each profile. In a root
plan: each profile (settings, automation profile, plan file, option) by its
allowed or denied tools, effects, read and write paths, hosts and where; then
the workspace, then the grant. Every one must admit, so their order changes
which refusal is told first and never the answer. Whatever is wrong with the
arguments themselves is told last. A rule that breaks denies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.policy import connection, refusal
from cleveragents.policy.argument import Prepared, prepare, resources_of
from cleveragents.policy.cell_right import CellRights, cell_rights
from cleveragents.policy.pattern import for_tool
from cleveragents.policy.scope import (
    Scope,
    ToolRule,
    compile_scope,
    refusals_of,
    resource_refusals,
)
from cleveragents.terms.decision import Allowed, Denied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.policy.connection import Caller
    from cleveragents.policy.grant import Grant
    from cleveragents.policy.profile import SafetyProfile
    from cleveragents.terms.decision import Decision
    from cleveragents.terms.resource import Resource
    from cleveragents.terms.tool import Effect, ToolSpec

__all__ = [
    "CellRights",
    "Prepared",
    "Scope",
    "cell_rights",
    "compile_scope",
    "decide",
    "decide_connection",
    "decide_resources",
    "prepare",
    "public_decide",
    "resources_of",
]

_BROKEN: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_OUTSIDE: Final = ("/", "../")


def decide(
    scope: Scope, spec: ToolSpec, arguments: Mapping[str, object], resources: tuple[Resource, ...]
) -> Decision:
    """Decide one call of one plan.

    Args:
        scope: The plan's compiled policy.
        spec: The tool, as the scope was compiled for it.
        arguments: Prepared: defaults filled in, paths normalised.
        resources: What the same preparation found.

    Returns:
        ``Allowed`` (one constant for each tool of a scope), or ``Denied`` with
        every refusal.
    """
    rule = scope.rules.get(spec.name)
    if rule is None or (rule.spec is not spec and rule.spec != spec):
        return Denied((refusal.of_unknown_tool(spec.name),))
    try:
        if rule.allowed is not None and _admits(scope, rule, arguments, resources):
            return rule.allowed
        refusals = refusals_of(scope, rule, arguments, resources)
    except _BROKEN as error:
        return Denied((refusal.of_broken_rule(spec.name, type(error).__name__),))
    return Denied(refusals or (refusal.of_broken_rule(spec.name, "it gives no reason"),))


def _admits(
    scope: Scope, rule: ToolRule, arguments: Mapping[str, object], resources: tuple[Resource, ...]
) -> bool:
    # INVARIANT: says yes only where `refusals_of` finds nothing: by the meet of all rules it
    # decides what that one explains rule by rule. A law of the tests, over random calls.
    for resource in resources:
        if resource.kind != "file":
            if not _admits_other(scope, rule, resource):
                return False
            continue
        value = resource.value
        paths = rule.read if resource.access == "read" else rule.write
        # Written out here: this is the one comparison that nearly every call makes.
        if paths.is_whole:
            if value.startswith(_OUTSIDE) or value == "..":
                return False
        elif not (value.startswith(paths.prefixes) or value in paths.exact):
            return False
    return not rule.conditions or all(admits(arguments) for admits in rule.conditions)


def _admits_other(scope: Scope, rule: ToolRule, resource: Resource) -> bool:
    value = resource.value
    match resource.kind:
        case "host":
            return rule.hosts.admits(value)
        case "credential":
            return rule.credentials is None or value in rule.credentials
        case "plan":
            return scope.plan_id != "" and value.startswith(scope.plan_id + "/")
        case _:
            return False


def decide_resources(scope: Scope, resources: tuple[Resource, ...], *, call: str) -> Decision:
    """Decide what needs no tool by the grant alone: a model request, a channel's ``open``.

    Args:
        scope: The plan's compiled policy.
        resources: What is asked for, normalised.
        call: What asks, such as ``model request``; for the rule's name.

    Returns:
        ``Allowed``, or ``Denied`` with one refusal for each resource that the
        grant does not hold. Name lists and effects do not apply.
    """
    refusals = resource_refusals(scope, resources)
    return Denied(refusals) if refusals else Allowed(rule=f"grant: {call}")


def decide_connection(
    scope: Scope, resource: Resource, caller: Caller, *, effects: frozenset[Effect]
) -> Decision:
    """Decide a connection that something in a cell makes by itself.

    Args:
        scope: The plan's compiled policy.
        resource: The host, in its one spelling.
        caller: Who asks, as the host knows it.
        effects: The meet of all ceilings: what a program may do.
    """
    try:
        return connection.decided(scope, resource, caller, effects)
    except _BROKEN as error:
        return Denied((refusal.of_broken_rule("connect", type(error).__name__),))


def public_decide(
    tool: ToolSpec,
    arguments: Mapping[str, object],
    *,
    profile: SafetyProfile,
    grant: Grant | None = None,
) -> Decision:
    """Decide one call, for use inside another program; nothing is executed.

    Args:
        tool: What is called, such as ``tool_spec("write_file")``.
        arguments: As they were asked for; defaults are filled in, paths and
            URLs brought to one spelling.
        profile: The safety profile in force.
        grant: Given, the call is decided as a subplan's with this grant: what
            it does not hold is a ``security_boundary`` refusal.

    Returns:
        ``Allowed``, or ``Denied`` with ``rule``, ``reason`` and all ``refusals``.

    Raises:
        ConfigurationError: A condition of the profile or the grant cannot be
            enforced on this tool.

    >>> from cleveragents.policy.profile import BUILT_IN
    >>> from cleveragents.terms.tool import Effect, ToolSpec
    >>> tool = ToolSpec("note", "", {"type": "object"}, effects=frozenset({Effect.WRITE}))
    >>> public_decide(tool, {}, profile=BUILT_IN["read-only"]).reason
    "profile 'read-only' admits no tool that writes"
    """
    scope = compile_scope(
        profiles=(for_tool(profile, tool),),
        grant=grant,
        in_subplan=grant is not None,
        tools={tool.name: tool},
        plan_id="",
    )
    prepared = prepare(tool, arguments)
    return decide(scope, tool, prepared.arguments, prepared.resources)
