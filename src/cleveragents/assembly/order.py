"""What a plan is started with: files, settings and options met into one charter.

Who may widen (design, section 11): a plan file is untrusted; what an automation
profile says counts in full only when an operator named it. Several safety
profiles in force means that every one must admit.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.assembly.allowance import chain_of, session_of
from cleveragents.assembly.mind_choice import MindChoice
from cleveragents.assembly.profile_choice import ProfileChoice
from cleveragents.assembly.profile_shelf import ProfileShelf
from cleveragents.assembly.regime import find_regime
from cleveragents.assembly.server_room import Offer, ask_servers, read_definitions
from cleveragents.config.plan_file import check_tools
from cleveragents.config.plan_input import bind_inputs
from cleveragents.errors import ConfigurationError
from cleveragents.plans.charter import Charter, Isolation
from cleveragents.policy.ceiling import Ceiling
from cleveragents.policy.cell_right import cell_rights, reachable_hosts
from cleveragents.policy.grant import Grant
from cleveragents.policy.pattern import resolve
from cleveragents.policy.profile import SafetyProfile, profile_digest
from cleveragents.policy.scope import compile_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cleveragents.assembly.house import House
    from cleveragents.assembly.plan_command import RunRequest
    from cleveragents.assembly.regime import Regime
    from cleveragents.boundary.report import IsolationReport
    from cleveragents.config.credential_source import CredentialSource
    from cleveragents.config.plan_file import LoadedPlan
    from cleveragents.plans.charter import Conduct
    from cleveragents.runtime.tool_registry import ToolRegistry
    from cleveragents.terms.cost import Limits

    Narrowing = Callable[
        [
            ToolRegistry,
            Sequence[SafetyProfile],
            Mapping[str, CredentialSource],
            tuple[str, ...],
        ],
        tuple[ToolRegistry, tuple[SafetyProfile, ...]],
    ]


def make_charter(
    house: House,
    loaded: LoadedPlan,
    request: RunRequest,
    *,
    plan_id: str,
    workspace: Path,
    narrowed: Narrowing | None = None,
) -> Charter:
    """Meet everything that is asked for into the charter of a root plan.

    Args:
        house: Settings, library and tools.
        loaded: The plan file.
        request: The command's options.
        plan_id: A new id.
        workspace: The user's directory.
        narrowed: Gives the tools of a plan that is no plan file's in place of
            all, and profiles that bind it too; told the tools and profiles so
            far, the declared credentials, and the secret files that are shown.

    Returns:
        The charter, its base tree and isolation still empty.

    Raises:
        ConfigurationError: Something is unknown, wrong or contradicts itself;
            nothing was started.
    """
    regime = find_regime(house, loaded, request.automation_profile)
    shelf = ProfileShelf(house, [p for one in regime.profiles for p in one.safety_profiles])
    operators = ProfileShelf(house, [p for one in regime.trusted for p in one.safety_profiles])
    choice = ProfileChoice(house, regime, loaded, request, shelf, operators)
    # A gateway brings servers of its own.
    offer = _offer(house, regime, request, workspace, choice) if narrowed is None else Offer()
    registry = house.registry(regime.tools, offer.specs)
    check_tools(loaded.definition, registry.names, where=loaded.where)
    more: tuple[SafetyProfile, ...] = ()
    if narrowed is not None:
        sources = _credentials(house, regime)
        registry, more = narrowed(registry, choice.own(), sources, choice.shown())
    profiles, warnings = _resolved([*choice.own(), *more], registry)
    children, child_warnings = _resolved(choice.childrens(), registry)
    conduct = dataclasses.replace(regime.conduct(house.settings), shown=choice.shown())
    if request.isolation:
        # Without a wall there is no boundary to put a child behind: no generation is left.
        conduct = dataclasses.replace(conduct, max_depth=0)
    limits = regime.limits(house.settings.budget_per_plan, request.limits.read())
    session = session_of(house, request.session, str(workspace))
    minds = MindChoice(
        house.settings,
        _credentials(house, regime),
        house.environ,
        choice.model_hosts(house, request.model),
    )
    mind = minds.mind(loaded)
    return Charter(
        plan_id=plan_id,
        root_id=plan_id,
        name=loaded.definition.name,
        definition=_as_run(loaded, request.model),
        inputs=bind_inputs(loaded.definition, request.inputs),
        grant=_grant(house, regime, profiles, children, registry, conduct, limits),
        profiles=profiles,
        child_profiles=children,
        conduct=conduct,
        isolation=Isolation(tier="", is_verified=False, has_overlay=False),
        base_tree="",
        workspace=str(workspace),
        limits=limits,
        accounts=chain_of(
            house,
            plan_id,
            session_id=session.session_id,
            limits=limits,
            registry=registry,
            has_mind=bool(mind.endpoints),
        ),
        tools={
            spec.source: spec.source_digest
            for spec in registry.specs.values()
            # A program's own have no file.
            if spec.origin == "own" and spec.source
        },
        credentials=minds.credentials,
        mind=mind,
        servers=offer.pinned,
        warnings=tuple(
            dict.fromkeys((*regime.warnings(), *offer.warnings, *warnings, *child_warnings))
        ),
        session_id=session.session_id,
    )


def _offer(
    house: House, regime: Regime, request: RunRequest, workspace: Path, choice: ProfileChoice
) -> Offer:
    named = [Path(file) for file in house.settings.mcp_servers]
    option = [request.mcp_config] if request.mcp_config is not None else []
    definitions = read_definitions([*named, *regime.mcp_servers, *option])
    return ask_servers(
        house,
        definitions,
        workspace=workspace,
        profiles=choice.own(),
        shown=choice.shown(),
        sources=_credentials(house, regime),
    )


def _as_run(loaded: LoadedPlan, model: str | None) -> Mapping[str, object]:
    """What is stored of a plan: `--model` stands in place of its own actor's model."""
    if model is None or not loaded.definition.actor.model:
        return loaded.raw
    return {**loaded.raw, "actor": {"kind": loaded.definition.actor.kind}}


def founded(charter: Charter, base_tree: str, report: IsolationReport) -> Charter:
    """A charter with what was found out at the start: base tree and wall."""
    return dataclasses.replace(
        charter,
        base_tree=base_tree,
        isolation=Isolation(
            tier=report.tier, is_verified=report.verified, has_overlay=report.overlay
        ),
    )


def _resolved(
    profiles: Iterable[SafetyProfile], registry: ToolRegistry
) -> tuple[tuple[SafetyProfile, ...], tuple[str, ...]]:
    found = [resolve(profile, registry.names) for profile in profiles]
    warnings = [text for one in found for text in one.warnings]
    # The same profile named twice binds once.
    distinct = {profile_digest(one.profile): one.profile for one in found}
    return tuple(distinct.values()), tuple(warnings)


def _credentials(house: House, regime: Regime) -> dict[str, CredentialSource]:
    """What the operator declares; the settings' declaration of a name wins."""
    found = {name: source for p in regime.trusted for name, source in p.credentials.items()}
    return {**found, **house.settings.credentials}


def _grant(
    house: House,
    regime: Regime,
    profiles: tuple[SafetyProfile, ...],
    children: tuple[SafetyProfile, ...],
    registry: ToolRegistry,
    conduct: Conduct,
    limits: Limits,
) -> Grant:
    declared = set(_credentials(house, regime))
    return Grant.root(
        # The root's own rights are its profiles': what they refuse is told as theirs.
        tools=registry.names,
        hosts=reachable_hosts(profiles).entries,
        credentials=declared,
        budget=limits,
        depth=conduct.max_depth,
        delegates=_ceiling(children, registry, declared),
    )


def _ceiling(
    children: tuple[SafetyProfile, ...], registry: ToolRegistry, credentials: Iterable[str]
) -> Ceiling:
    scope = compile_scope(
        profiles=children, grant=None, in_subplan=False, tools=registry.specs, plan_id=""
    )
    rights = cell_rights(children, None)
    return Ceiling(
        tools=frozenset(name for name, rule in scope.rules.items() if rule.allowed is not None),
        effects=rights.effects,
        read=rights.read,
        write=rights.write,
        hosts=reachable_hosts(children).entries,
        credentials=frozenset(credentials),
    )


def check_workspace(workspace: Path, home: Path) -> Path:
    """The user's directory, absolute; the home is never inside it.

    Raises:
        ConfigurationError: It is no directory, or holds the home.
    """
    real = workspace.expanduser().resolve()
    if not real.is_dir():
        raise ConfigurationError(problem="is no directory", where=f"--workspace {workspace}")
    if home.resolve().is_relative_to(real):
        raise ConfigurationError(
            problem=f"the home {home} is inside the workspace",
            where=f"--workspace {workspace}",
            hint="set CLEVERAGENTS_HOME to a place outside of it",
        )
    return real
