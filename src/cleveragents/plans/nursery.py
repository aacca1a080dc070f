"""How a subplan comes into being, runs and comes back: attenuate, spawn once, merge once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, cast

from cleveragents.errors import (
    BudgetExceededError,
    CleverAgentsError,
    IsolationUnavailableError,
    PlanCancelledError,
    RecordedEndingError,
)
from cleveragents.plans import purse
from cleveragents.plans.child_call import (
    child_charter,
    definition_of,
    granted,
    known_child,
    raise_unless_done,
)
from cleveragents.plans.group import GroupEndedError
from cleveragents.plans.household import Household
from cleveragents.plans.nest import NestMaker
from cleveragents.plans.plan_choice import spawning
from cleveragents.plans.plan_state import Ending, PlanState
from cleveragents.record import plan_row
from cleveragents.record.entry import Entry
from cleveragents.terms.interaction import ProgressEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.plans.charter import Charter
    from cleveragents.plans.group import Group, GroupBook
    from cleveragents.plans.means import Means
    from cleveragents.plans.merge import MergeInterface
    from cleveragents.plans.nest import Nest
    from cleveragents.plans.running_plan import RunningPlan
    from cleveragents.terms.call import ToolCall
    from cleveragents.terms.plan import SubplanDefinition

OFF_UNSAFE: Final = "off-unsafe"


class Nursery:
    """Makes children of running plans.

    Args:
        means: The shared parts.
        groups: Which spawn calls merge together.
        create: Stores a new charter.
        run: Runs a charter to its end; the lifecycle's own.
        open_plan: Makes a new charter able to act, without running it.
        merge: The only way back.
    """

    def __init__(
        self,
        means: Means,
        *,
        groups: GroupBook,
        create: Callable[[Charter], None],
        run: Callable[..., Ending],
        open_plan: Callable[[Charter], RunningPlan],
        merge: MergeInterface,
    ) -> None:
        self._means = means
        self._groups = groups
        self._create = create
        self._run = run
        self._nests = NestMaker(means, open_plan=open_plan)
        self._merge = merge
        self._households: dict[str, Household] = {}
        self._lock = threading.Lock()

    def spawn(self, request: ToolCall, parent: RunningPlan) -> Mapping[str, object]:
        """Run one child to its merge.

        A child that the record already holds is taken up, never made twice.

        Raises:
            DelegationError: More was asked for than the parent may hand on.
            SubplanRefusedError: A refusal ended the child.
            ToolFailedError: The child failed.
            ApprovalPendingError: The child waits for a person.
            MergeConflictError: Child and parent changed the same place.
            MergeRefusedError: The proposal holds what it may not.
        """
        if parent.charter.isolation.tier == OFF_UNSAFE:
            raise IsolationUnavailableError(
                problem="a subplan never runs without the wall",
                fix=f"leave out --isolation {OFF_UNSAFE}",
            )
        definition = definition_of(request)
        with spawning(self._means.decisions, parent.charter, request, definition):
            return self._spawned(request, parent, definition)

    def _spawned(
        self, request: ToolCall, parent: RunningPlan, definition: SubplanDefinition
    ) -> Mapping[str, object]:
        group = self._groups.find(parent.plan_id, request.step)
        household = self._household(parent)
        group.begin(request.step)
        with household.place(
            request.step, group, lambda: self._nests.make(request, parent, definition, household)
        ) as nest:
            # Only now: one that waited in the queue while the plan was ended is never made.
            self._means.watch.check(parent)
            child, is_fresh = self._admitted(request, parent, definition, group, household, nest)
            self._nests.expect_next(request, parent, child, household)
            ending = self._run_child(child, parent, nest, is_fresh=is_fresh)
            if ending.exit_code:
                # Before its place is free: whether the next may start is decided by this one.
                group.fall(request.step)
        raise_unless_done(child, ending)
        return self._bring_back(request, parent, child, definition, group, household)

    def _admitted(
        self,
        request: ToolCall,
        parent: RunningPlan,
        definition: SubplanDefinition,
        group: Group,
        household: Household,
        nest: Nest | None,
    ) -> tuple[Charter, bool]:
        try:
            group.check(request.step)
            child, is_fresh = self._child(request, parent, definition, household, nest)
            group.enter(request.step, child.plan_id)
        except GroupEndedError as ended:
            self._note(parent.charter, request.call_id, {"not_started": ended.reason})
            raise PlanCancelledError(plan_id=parent.plan_id) from ended
        return child, is_fresh

    def _bring_back(
        self,
        request: ToolCall,
        parent: RunningPlan,
        child: Charter,
        definition: SubplanDefinition,
        group: Group,
        household: Household,
    ) -> Mapping[str, object]:
        try:
            with group.turn(request.step), household.merging:
                self._means.watch.check(parent)
                proposal = self._merge.merge(
                    parent,
                    child,
                    call_id=request.call_id,
                    strategy=_strategy(definition, parent),
                )
        except GroupEndedError as ended:
            self._put_aside(child, ended.reason, is_dropped=ended.is_late)
            raise PlanCancelledError(plan_id=child.plan_id) from ended
        except PlanCancelledError:
            self._put_aside(child, "its parent was cancelled", is_dropped=True)
            raise
        self._means.interaction.progress(
            ProgressEvent(plan_id=parent.plan_id, kind="merged", text=f"{child.name} merged")
        )
        return {
            "plan_id": child.plan_id,
            "outcome": "merged",
            "outputs": dict(proposal.outputs),
            "summary": proposal.summary,
        }

    def _put_aside(self, child: Charter, reason: str, *, is_dropped: bool) -> None:
        """Record that a finished child's work is not merged: not now, or never."""
        proposal = self._means.proposals.read(child.plan_id)
        body = {"dropped" if is_dropped else "kept": reason, "tree": proposal and proposal.tree}
        self._note(child, "", body)
        if is_dropped:
            state = PlanState().cancelled()
            self._means.rows.update(
                child.plan_id, phase=state.phase, state=state.state, outcome=state.outcome
            )

    def _note(self, charter: Charter, call_id: str, body: Mapping[str, object]) -> None:
        self._means.log.append(
            Entry(
                kind="note",
                root_id=charter.root_id,
                plan_id=charter.plan_id,
                call_id=call_id,
                body=body,
            )
        )

    # -- making -------------------------------------------------------------

    def _household(self, parent: RunningPlan) -> Household:
        with self._lock:
            return self._households.setdefault(
                parent.plan_id, Household(parent.charter.conduct.max_parallel)
            )

    def leave(self, plan_id: str) -> None:
        """Remove what was made ready for children that a plan never spawned; it has ended."""
        with self._lock:
            household = self._households.pop(plan_id, None)
        if household is not None:
            household.close()

    def _child(
        self,
        request: ToolCall,
        parent: RunningPlan,
        definition: SubplanDefinition,
        household: Household,
        nest: Nest | None,
    ) -> tuple[Charter, bool]:
        known = known_child(self._means.log, request, parent)
        if known is not None:
            return known, False
        grant = granted(definition, parent)
        child_id = nest.child_id if nest else self._means.new_id()
        # Moved before anything is made: a child never has more than its parent has left.
        self._means.accounts.open_purse(
            child_id, definition.delegate.budget, parent.charter.accounts
        )
        try:
            tree = self._nests.fork(parent, definition, grant, child_id, household, nest)
            charter = child_charter(
                request,
                parent.charter,
                definition,
                child_id=child_id,
                grant=grant,
                base_tree=tree,
            )
            self._record(charter)
        except CleverAgentsError:
            self._means.accounts.close_purse(child_id)
            raise
        if nest is not None:
            nest.take()
        self._means.interaction.progress(
            ProgressEvent(plan_id=parent.plan_id, kind="spawned", text=definition.name)
        )
        return charter, True

    def _record(self, charter: Charter) -> None:
        # One commit: a spawn that is recorded has a child, and a child has one spawn.
        with self._means.store.transaction():
            self._means.log.append(
                Entry(
                    kind="spawn",
                    root_id=charter.root_id,
                    plan_id=charter.parent_id,
                    call_id=charter.call_id,
                    body={
                        "subplan_id": charter.plan_id,
                        "name": charter.name,
                        "base_tree": charter.base_tree,
                    },
                )
            )
            self._create(charter)

    # -- running --------------------------------------------------------------

    def _run_child(
        self, child: Charter, parent: RunningPlan, nest: Nest | None, *, is_fresh: bool
    ) -> Ending:
        if not is_fresh:
            recorded = self._recorded_ending(child)
            if recorded is not None:
                return recorded
            child = purse.take_up(self._means, child, parent.charter.accounts)
        prepared = nest.cell if nest is not None and nest.child_id == child.plan_id else None
        return self._run(child, is_fresh=is_fresh, prepared=prepared)

    def _recorded_ending(self, child: Charter) -> Ending | None:
        """How a child ended before; ``None`` when it has to go on.

        A child that a budget ended is asked anew (law 4), and so is one that a
        sibling's failure ended.
        """
        row = plan_row.get(self._means.store, child.plan_id)
        state = PlanState(row.phase, row.state, row.outcome)
        if not state.is_over or state.state == "cancelled":
            return None
        entry = self._means.log.last(child.plan_id, "plan_ended")
        if entry is None:
            return None
        body = self._means.log.resolve(entry.body)
        exit_code = int(cast("int", body["exit_code"]))
        if exit_code == BudgetExceededError.exit_code:
            return None
        error = RecordedEndingError(code=str(body["code"]), reason=str(body["error"]))
        return Ending(state=state, exit_code=exit_code, error=error if exit_code else None)


def _strategy(definition: SubplanDefinition, parent: RunningPlan) -> str:
    """The subplan's own choice, unless the operator's is the strictest."""
    operators = parent.charter.conduct.merge_strategy
    if operators == "fail_on_conflict":
        return operators
    return definition.merge_strategy or operators
