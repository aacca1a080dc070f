"""The spawn call of a child: what it asks for, whom it has made before, how it ends."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from cleveragents.config.plan_file import subplan_from_stored, subplan_to_mapping
from cleveragents.errors import (
    ApprovalPendingError,
    ConfigurationError,
    DelegationError,
    MergeConflictError,
    PlanCancelledError,
    RecordError,
    SubplanRefusedError,
    ToolFailedError,
)
from cleveragents.plans import purse
from cleveragents.plans.charter import Charter, read_charter
from cleveragents.policy.scope import compile_scope
from cleveragents.terms.call import ToolCall, attempts
from cleveragents.terms.plan import SubplanStep

if TYPE_CHECKING:
    from cleveragents.plans.plan_state import Ending
    from cleveragents.plans.running_plan import RunningPlan
    from cleveragents.policy.grant import Grant
    from cleveragents.record.log import RecordLog
    from cleveragents.terms.plan import SubplanDefinition


def definition_of(request: ToolCall) -> SubplanDefinition:
    """Read what a spawn call asks for.

    Raises:
        ToolFailedError: It cannot be understood; a program or a model wrote
            it, and can mend it.
    """
    try:
        return subplan_from_stored(request.arguments)
    except ConfigurationError as error:
        raise ToolFailedError(tool_name=request.tool, reason=error.message) from error


def granted(definition: SubplanDefinition, parent: RunningPlan) -> Grant:
    """Give what a child is handed of its parent's rights.

    Raises:
        DelegationError: More was asked for than the parent may hand on.
        ToolFailedError: A condition cannot be enforced; a program or a model
            wrote it, and can mend it.
    """
    grant = parent.charter.grant.attenuate(definition.delegate)
    if definition.actor.kind == "program" and "execute" not in grant.effects:
        raise DelegationError(
            excesses=("a program actor, which needs 'execute' in the ceiling handed on",)
        )
    if definition.delegate.where:
        try:
            compile_scope(
                profiles=parent.charter.child_profiles,
                grant=grant,
                in_subplan=True,
                tools=parent.context.tools.specs,
                plan_id=parent.plan_id,
            )
        except ConfigurationError as error:
            raise ToolFailedError(tool_name="spawn_subplan", reason=error.message) from error
    return grant


def child_charter(
    request: ToolCall,
    parent: Charter,
    definition: SubplanDefinition,
    *,
    child_id: str,
    grant: Grant,
    base_tree: str,
) -> Charter:
    """Write what a child may do: its grant, and everything else as its parent has it."""
    budget = definition.delegate.budget
    return Charter(
        plan_id=child_id,
        root_id=parent.root_id,
        parent_id=parent.plan_id,
        call_id=request.call_id,
        depth=parent.depth + 1,
        name=definition.name,
        definition=dict(request.arguments),
        inputs=definition.inputs,
        grant=grant,
        profiles=parent.child_profiles,
        child_profiles=parent.child_profiles,
        conduct=parent.conduct,
        isolation=parent.isolation,
        base_tree=base_tree,
        workspace=parent.workspace,
        limits=budget,
        accounts=purse.child_chain(child_id, budget, parent.accounts),
        tools=parent.tools,
        session_id=parent.session_id,
        mind=parent.mind,
        servers=parent.servers,
    )


def following_spawn(request: ToolCall, parent: RunningPlan) -> ToolCall | None:
    """The spawn call that a script makes right after this one, but for its inputs' values.

    ``None``: the next step is another one, or nobody knows it before it is taken.
    """
    if parent.definition.actor.kind != "script":
        return None
    steps = parent.definition.steps
    for step, following in pairwise(steps):
        if step.id == request.step and isinstance(following, SubplanStep):
            arguments = subplan_to_mapping(following.subplan)
            return ToolCall(step=following.id, tool=request.tool, arguments=arguments)
    return None


def is_spawned(log: RecordLog, request: ToolCall, parent: RunningPlan) -> bool:
    """Say whether a spawn call has made its child already."""
    return any(e.kind == "spawn" for e in log.call_entries(parent.plan_id, request.call_id))


def known_child(log: RecordLog, request: ToolCall, parent: RunningPlan) -> Charter | None:
    """The child that a spawn call has made before; ``None`` when there is none.

    A program that was started again asks for the same children in the same
    places: they are taken up and merged into its new workspace.

    Raises:
        RecordError: It asks for another child than the first time.
    """
    is_program = parent.definition.actor.kind == "program"
    for call_id in attempts(request.call_id) if is_program else (request.call_id,):
        for entry in log.call_entries(parent.plan_id, call_id):
            if entry.kind != "spawn":
                continue
            child = read_charter(log, str(log.resolve(entry.body)["subplan_id"]))
            if child.definition != dict(request.arguments):
                raise RecordError(
                    problem=f"call {request.call_id} of plan {parent.plan_id} asks for another"
                    " subplan than before the program was started again",
                    hint=f"'agents plan cancel {parent.charter.root_id}' ends the plan",
                )
            return child
    return None


def raise_unless_done(child: Charter, ending: Ending) -> None:
    """Tell the parent that its child did not end well, by the error of its spawn call.

    Raises:
        SubplanRefusedError: A refusal or a budget ended it.
        PlanCancelledError: It was cancelled.
        ApprovalPendingError: It, or a plan below it, waits for a person.
        MergeConflictError: It, or a plan below it, is conflicted.
        ToolFailedError: It failed.
    """
    if ending.exit_code == 0:
        return
    reason = ending.error.message if ending.error else "it ended without a word"
    match ending.state.outcome, ending.state.state:
        case "constrained", _:
            raise SubplanRefusedError(
                subplan_id=child.plan_id,
                name=child.name,
                reason=reason,
                exit_code=ending.exit_code,
            )
        case "cancelled", _:
            raise PlanCancelledError(plan_id=child.plan_id)
    if isinstance(ending.error, ApprovalPendingError | MergeConflictError):
        # It names the plan that waits, however far below.
        raise ending.error
    raise ToolFailedError(tool_name=f"subplan {child.name}", reason=reason)
