"""Runs a plan's actor; its only way to act is ``ToolRuntime.call``.

That is how the executor "enforces the profile before each tool call" (issue
8983) while the check stays in one place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.errors import (
    ApprovalPendingError,
    CleverAgentsError,
    MergeConflictError,
    MergeRefusedError,
    PlanBudgetExceededError,
    PlanCancelledError,
    RecordError,
    RefusalError,
    ToolFailedError,
)
from cleveragents.plans.actor.program import ProgramActor, Submission, Task
from cleveragents.plans.actor.program_decision import shown_decisions
from cleveragents.plans.actor.script import ScriptActor
from cleveragents.plans.plan_state import Ending, PlanState
from cleveragents.policy.cell_right import cell_rights
from cleveragents.terms.interaction import ProgressEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.plans.decision_book import Choice, DecisionBook
    from cleveragents.plans.group import GroupBook, MemberEnding
    from cleveragents.plans.running_plan import RunningPlan
    from cleveragents.plans.watch import Watch
    from cleveragents.record.decision_tree_view import Decision
    from cleveragents.runtime.tool_runtime import ToolRuntime
    from cleveragents.terms.call import CallResult, ToolCall
    from cleveragents.terms.interaction import Interaction
    from cleveragents.terms.plan import Phase


class PlanExecutor:
    """One run of one plan.

    Args:
        plan: What to run.
        door: The only way to act.
        watch: Cancel requests and time limits.
        interaction: Who is told what happens.
        groups: Which spawn calls merge together.
        decisions: Where the actor's choices are kept.
        enter: Says which phase the plan is in.
    """

    def __init__(
        self,
        plan: RunningPlan,
        *,
        door: ToolRuntime,
        watch: Watch,
        interaction: Interaction,
        groups: GroupBook,
        decisions: DecisionBook,
        enter: Callable[[Phase], None],
    ) -> None:
        self._plan = plan
        self._door = door
        self._watch = watch
        self._interaction = interaction
        self._groups = groups
        self._decisions = decisions
        self._enter = enter

    def run(self) -> Ending:
        """Let the actor act until it is done or something ends it."""
        try:
            handed_in = self._act()
        except CleverAgentsError as error:
            return self._ending_of(error)
        return Ending(
            state=PlanState().complete(),
            exit_code=0,
            outputs=handed_in.outputs,
            summary=handed_in.summary,
        )

    def call(self, call: ToolCall) -> CallResult:
        """Take one call through the door, unless the plan is cancelled or out of time.

        Raises:
            CleverAgentsError: As ``ToolRuntime.call``; also PlanCancelledError
                and PlanBudgetExceededError.
        """
        self._check_time(call, is_under_way=False)
        try:
            result = self._door.call(call, self._plan.context)
        except (RefusalError, MergeRefusedError) as error:
            self.report("denied", f"{call.call_id}: {error.message}")
            raise
        except ApprovalPendingError as error:
            self.report("waiting", f"{call.call_id}: {error.message}")
            raise
        except ToolFailedError as error:
            # A cell that the watch ended looks like a failed tool from here.
            self._check_time(call, is_under_way=True)
            self.report("failed", f"{call.call_id}: {error.message}")
            raise
        self.report(
            "call", f"{call.call_id}: {call.tool}" + (" (recorded)" if result.replayed else "")
        )
        return result

    def _check_time(self, call: ToolCall, *, is_under_way: bool) -> None:
        try:
            self._watch.check(self._plan)
        except PlanBudgetExceededError as error:
            self.report("denied", f"{call.call_id}: {error.message}")
            self._door.refuse_late(error, call, self._plan.context, is_under_way=is_under_way)

    def open_group(self, steps: tuple[str, ...], *, fail_fast: bool) -> None:
        """Announce spawn calls that merge in this order after all of them ended."""
        self._groups.open(self._plan.plan_id, steps, fail_fast=fail_fast)

    def leave_group(self, step: str, ending: MemberEnding) -> None:
        """Say how the last attempt of a group's member ended."""
        self._groups.leave(self._plan.plan_id, step, ending)

    def decide(self, choice: Choice) -> str:
        """Record a decision of this plan, once; gives its id."""
        return self._decisions.record(self._plan.charter, choice)

    def conclude(self, decision_id: str, outcome: str) -> None:
        """Say what became of a decision of this plan."""
        self._decisions.conclude(self._plan.charter, decision_id, outcome)

    def decision(self, decision_id: str) -> Decision | None:
        """Give a decision of this plan; ``None`` when it has made no such decision."""
        return self._decisions.find(self._plan.plan_id, decision_id)

    def open_resource(self, resource: str, call_id: str) -> Mapping[str, object]:
        """Ask the door for a resource by name.

        Raises:
            SecurityBoundaryViolation: It was not handed to this plan.
        """
        self._watch.check(self._plan)
        value = self._door.open(resource, call_id, self._plan.context)
        if value["resource"] != f"plan:{self._plan.plan_id}/decisions":
            return value
        return {**value, **shown_decisions(self._decisions.listing(self._plan.plan_id))}

    def attempt_of(self, tool: str) -> int:
        """Which attempt a program's call belongs to.

        A program that was cut off starts again from its base tree. What stays
        in its workspace is done again as a new attempt; what reached outside,
        cost money or was asked of a person is answered from the record by its
        place in the sequence (design, section 11).
        """
        spec = self._plan.context.tools.find(tool)
        if spec is not None and spec.place == "door":
            # What a child made was in the workspace that is gone: it is merged again,
            # and the child is not run again (see the nursery).
            return self._plan.attempt
        is_kept = spec is None or spec.place != "cell" or spec.cost_microusd > 0
        return 1 if is_kept or tool in self._plan.context.approvals else self._plan.attempt

    def check(self) -> None:
        """Raise when the plan is cancelled or out of time."""
        self._watch.check(self._plan)

    def tell(self, text: str) -> None:
        """Report a line of the actor's own words."""
        self.report("call", f"says: {self._door.redacted(text)}")

    def _act(self) -> Submission:
        definition, charter = self._plan.definition, self._plan.charter
        match definition.actor.kind:
            case "script":
                facts = {
                    "id": self._plan.plan_id,
                    "name": definition.name,
                    "goal": definition.goal,
                }
                actor = ScriptActor(self, inputs=charter.inputs, facts=facts)
                actor.run(definition.steps)
                return Submission(outputs=self._door.redacted(actor.outputs(definition)))
            case "program":
                return self._run_program()
            case "gateway":
                return self._serve()
            case "llm":
                # Its parts are loaded where a model is asked, and nowhere else.
                from cleveragents.plans.actor.mind_seat import MindSeat  # noqa: PLC0415

                return MindSeat(
                    self,
                    self._plan,
                    door=self._door,
                    watch=self._watch,
                    decisions=self._decisions,
                    enter=self._enter,
                ).run()

    def _serve(self) -> Submission:
        if self._plan.served is None:  # cannot be: the opener gives a gateway's plan its client
            raise RecordError(problem=f"plan {self._plan.plan_id} has no client")
        self._plan.served.act(self)
        self._watch.check(self._plan)
        return Submission()

    def _run_program(self) -> Submission:
        definition, charter = self._plan.definition, self._plan.charter
        task = Task(
            plan_id=self._plan.plan_id,
            name=definition.name,
            goal=definition.goal,
            inputs=charter.inputs,
            outputs=definition.outputs,
            tools=tuple(sorted(charter.grant.tools)),
        )
        self._watch.check(self._plan)
        command = definition.actor.command
        program = self._door.start_program(
            command,
            self._plan.context,
            effects=cell_rights(charter.profiles, charter.grant).effects,
            start=lambda: self._plan.cell.start_program(command),
        )
        try:
            handed_in = ProgramActor(self, program, task).run()
        except ToolFailedError as error:
            # Its log is the program's own words, and goes where people read.
            reason = self._door.redacted(error.reason)
            raise ToolFailedError(tool_name=error.tool_name, reason=reason) from error
        return Submission(
            outputs=self._door.redacted(handed_in.outputs),
            summary=self._door.redacted(handed_in.summary),
        )

    def _ending_of(self, error: CleverAgentsError) -> Ending:
        state = PlanState()
        match error:
            case ApprovalPendingError():
                ended = state.waiting()
            case PlanCancelledError():
                ended = state.cancelled()
            case MergeConflictError():
                ended = state.conflicted()
            case RefusalError() | MergeRefusedError():
                ended = state.constrained()
            case _:
                ended = state.errored()
        return Ending(state=ended, exit_code=error.exit_code, error=error)

    def report(self, kind: str, text: str) -> None:
        """Tell whoever watches what happened."""
        self._interaction.progress(
            ProgressEvent(plan_id=self._plan.plan_id, kind=kind, text=text)  # type: ignore[arg-type]  # the event's own words
        )
