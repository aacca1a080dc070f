"""What another program's plan is started with: its charter, its recorder, its calls' context."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from cleveragents.assembly.allowance import Typed, chain_of
from cleveragents.assembly.clock import new_id
from cleveragents.assembly.credential_opening import open_credentials
from cleveragents.assembly.order import check_workspace, make_charter
from cleveragents.assembly.plan_command import RunRequest
from cleveragents.config.plan_file import LoadedPlan
from cleveragents.config.reader import Reader
from cleveragents.plans.charter import Isolation
from cleveragents.plans.lifecycle import PlanLifecycleService
from cleveragents.plans.mind import Mind
from cleveragents.policy.scope import compile_scope
from cleveragents.record.redaction import Redactor
from cleveragents.runtime.call_context import CallContext
from cleveragents.runtime.call_recorder import CallRecorder
from cleveragents.runtime.cost_tracker import CostTracker
from cleveragents.runtime.journal import Journal
from cleveragents.terms.plan import ActorDefinition, PlanDefinition

if TYPE_CHECKING:
    from cleveragents.assembly.house import House
    from cleveragents.plans.charter import Charter
    from cleveragents.plans.means import Means
    from cleveragents.policy.profile import SafetyProfile
    from cleveragents.runtime.cell_proxy import CellNetwork
    from cleveragents.runtime.plan_cell import PlanCell
    from cleveragents.runtime.tool_registry import ToolRegistry
    from cleveragents.terms.model import ModelEndpoint

TIER: Final = "none"
"""The wall of such a plan, as its status shows it."""


@dataclass(frozen=True, slots=True)
class EmbeddedRequest:
    """What the other program wants of its plan."""

    name: str
    workspace: Path
    safety_profile: str | SafetyProfile | None = None
    automation_profile: str | None = None
    limits: Typed = field(default_factory=Typed)
    session: str | None = None


class NoHands:
    """No cell and no workspace; what the watch and the lifecycle ask of hands."""

    program_log: Final = ""

    def reach(self, network: CellNetwork) -> None:
        """Open no port: what runs in the program reaches what that one reaches."""

    def end_now(self) -> None:
        """Leave a body that runs alone: it is not ours. The next call is refused."""

    def close(self) -> None:
        """Close nothing."""


def no_hands() -> PlanCell:
    """Give the hands of a plan that has none."""
    # A plan without a workspace is asked for nothing else.
    return cast("PlanCell", NoHands())


def embedded_charter(
    house: House, request: EmbeddedRequest, registry: ToolRegistry, endpoint: ModelEndpoint
) -> Charter:
    """Meet what the program wants with what the operator's settings and profiles say.

    Raises:
        ConfigurationError: Something is unknown or wrong; nothing was started.
    """
    workspace = check_workspace(request.workspace, house.home)
    profile = request.safety_profile
    raw: dict[str, object] = {"name": request.name, "actor": {"kind": "gateway"}}
    definition = PlanDefinition(name=request.name, actor=ActorDefinition(kind="gateway"))

    def narrowed(*_: object) -> tuple[ToolRegistry, tuple[SafetyProfile, ...]]:
        return registry, () if profile is None or isinstance(profile, str) else (profile,)

    charter = make_charter(
        house,
        LoadedPlan(definition, raw, Path.cwd(), Reader(raw, request.name)),
        RunRequest(
            workspace=workspace,
            automation_profile=request.automation_profile,
            safety_profile=profile if isinstance(profile, str) else None,
            max_cost=request.limits.cost,
            max_tokens=request.limits.tokens,
            max_requests=request.limits.requests,
            max_tool_calls=request.limits.tool_calls,
            max_seconds=request.limits.seconds,
            session=request.session,
        ),
        plan_id=new_id(),
        workspace=workspace,
        narrowed=narrowed,
    )
    accounts = chain_of(
        house,
        charter.plan_id,
        session_id=charter.session_id,
        limits=charter.limits,
        registry=registry,
        has_mind=True,
    )
    tools = {s.name: sorted(e.value for e in s.effects) for s in registry.specs.values()}
    return replace(
        charter,
        definition={
            **raw,
            "embedded": True,
            "model": endpoint.model,
            "tools": tools,
            # What each says of itself: one that says something else is not called any more.
            "pinned": {s.name: s.source_digest for s in registry.specs.values()},
        },
        accounts=accounts,
        mind=Mind(endpoints=(endpoint,)),
        isolation=Isolation(tier=TIER, is_verified=False, has_overlay=False),
    )


@dataclass(frozen=True, slots=True)
class Pens:
    """Who writes, and who blots out."""

    redactor: Redactor
    recorder: CallRecorder


def embedded_pens(house: House, means: Means, charter: Charter) -> Pens:
    """Make the recorder of a plan's calls."""
    credentials = open_credentials(charter.credentials, house.environ)
    redactor = Redactor({name: one.value for name, one in credentials.items()})
    tracker = CostTracker(
        means.accounts,
        store=means.store,
        today=house.today,
        per_day=house.settings.budget_per_day,
    )
    recorder = CallRecorder(store=means.store, log=means.log, tracker=tracker, redactor=redactor)
    return Pens(redactor, recorder)


def embedded_context(charter: Charter, registry: ToolRegistry, means: Means) -> CallContext:
    """Give what the door holds for each call of the plan."""
    scope = compile_scope(
        profiles=charter.profiles,
        grant=charter.grant,
        in_subplan=False,
        tools=registry.specs,
        plan_id=charter.plan_id,
    )
    return CallContext(
        plan_id=charter.plan_id,
        root_id=charter.root_id,
        tools=registry,
        scope=scope,
        hands=no_hands(),
        journal=Journal(means.log, charter.plan_id, is_fresh=True),
        hosts=scope.bounds.hosts,
        spawner=PlanLifecycleService(means),
        credentials=charter.grant.credentials,
        approvals=frozenset(charter.conduct.approvals),
        accounts=charter.accounts,
    )
