"""A plan's life from its first snapshot to its end: start, resume, finish.

Spawning a subplan is the same life with a narrower charter: ``nursery``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.errors import MergeRefusedError, RecordError
from cleveragents.plans import purse
from cleveragents.plans.charter import read_charter, to_mapping
from cleveragents.plans.executor import PlanExecutor
from cleveragents.plans.group import GroupBook
from cleveragents.plans.merge import MergeInterface
from cleveragents.plans.nest import remove_orphans
from cleveragents.plans.nursery import Nursery
from cleveragents.plans.opener import PlanOpener
from cleveragents.plans.plan_choice import first_choice
from cleveragents.plans.plan_state import Ending, PlanState
from cleveragents.plans.served_plan import check_may_resume, served_detail
from cleveragents.record import plan_row
from cleveragents.record.entry import Entry
from cleveragents.record.plan_row import PlanRow
from cleveragents.terms.interaction import ProgressEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.plans.charter import Charter
    from cleveragents.plans.means import Means
    from cleveragents.plans.running_plan import RunningPlan, Served
    from cleveragents.runtime.call_context import CallContext
    from cleveragents.runtime.plan_cell import PlanCell
    from cleveragents.terms.call import ToolCall
    from cleveragents.terms.plan import Phase


class PlanLifecycleService:
    """Starts, resumes and ends plans; makes subplans.

    Source:
        Issue 8985, ``PlanLifecycleService.spawn_subplan()``.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        self._groups = GroupBook(end=means.watch.drop)
        self._opener = PlanOpener(means)
        self._running: dict[str, RunningPlan] = {}
        self._nursery = Nursery(
            means,
            groups=self._groups,
            create=self._create,
            run=self._run,
            open_plan=lambda charter: self._opener.open(charter, spawner=self, is_fresh=True),
            merge=MergeInterface(means),
        )

    def start_root(self, charter: Charter, *, left_out: list[list[str]]) -> Ending:
        """Run a new root plan to its end.

        Args:
            charter: What it may do; its ``plan_id`` is new.
            left_out: What the snapshot did not take, for the record.

        Raises:
            PlanBusyError: Somebody else owns that id.
            RecordError: The record cannot be written.
        """
        with self._means.owned(charter.root_id):
            self._create(charter, left_out=left_out)
            return self._run(charter, is_fresh=True)

    def serve_root(self, charter: Charter, served: Served) -> Ending:
        """Run a new root plan whose calls come from somebody else's client, to its end.

        Args:
            charter: What it may do; its ``plan_id`` is new.
            served: Its tools, its hands and the loop that serves.

        Raises:
            RecordError: The record cannot be written.
        """
        with self._means.owned(charter.root_id):
            self._create(charter)
            return self._run(charter, is_fresh=True, served=served)

    def resume_root(
        self, plan_id: str, *, amended: Callable[[Charter], Charter] = lambda charter: charter
    ) -> Ending:
        """Go on with a root plan whose host ended, or that waited.

        Every call that has an outcome is answered from the record (law 4).
        What a process that died still held is given back first.

        Args:
            plan_id: The plan.
            amended: Gives its charter with the limits that a person changed.

        Raises:
            UnknownPlanError: There is no such plan.
            PlanBusyError: Another process runs it.
            RecordError: The plan is over, or its record cannot be read.
        """
        row = plan_row.get(self._means.store, plan_id)
        if row.parent_plan_id is not None:
            raise RecordError(
                problem=f"plan {plan_id} is a subplan and goes on with its root",
                hint=f"agents plan resume {row.root_id}",
            )
        with self._means.owned(plan_id):
            row = plan_row.get(self._means.store, plan_id)
            if PlanState(row.phase, row.state, row.outcome).is_over and row.outcome not in (
                "constrained",
                "errored",
            ):
                raise RecordError(
                    problem=f"plan {plan_id} is over ({row.outcome or row.state})",
                    hint=f"agents plan status {plan_id}",
                )
            self._means.rows.update(plan_id, cancel_requested=False)
            self._means.accounts.release_tree(plan_id)
            remove_orphans(self._means, plan_id)
            charter = purse.as_amended(read_charter(self._means.log, plan_id), self._means.log)
            check_may_resume(charter)
            return self._run(amended(charter), is_fresh=False)

    def cancel_unowned(self, root_id: str) -> None:
        """End a plan, with its subplans, that no process runs.

        Raises:
            PlanBusyError: A process runs it after all; it obeys by itself.
        """
        means = self._means
        with means.owned(root_id):
            for row in plan_row.of_root(means.store, root_id):
                state = PlanState(row.phase, row.state, row.outcome)
                if row.plan_id == root_id or not state.is_over:
                    ended = state.cancelled()
                    means.rows.update(
                        row.plan_id,
                        phase=ended.phase,
                        state=ended.state,
                        outcome=ended.outcome,
                        ended=means.timestamp(),
                    )
            means.accounts.release_tree(root_id)
            remove_orphans(means, root_id)

    def spawn(self, call: ToolCall, context: CallContext) -> Mapping[str, object]:
        """Run one subplan to its merge; called by the door for a spawn that it let in."""
        return self.spawn_subplan(call, self._running[context.plan_id])

    def spawn_subplan(self, request: ToolCall, parent: RunningPlan) -> Mapping[str, object]:
        """Make a subplan with only what its parent hands on, and run it to its merge.

        Args:
            request: The spawn call; its arguments are a ``subplan`` mapping.
            parent: The plan that asks.

        Returns:
            ``plan_id``, ``outcome``, ``outputs`` and ``summary`` of the child.

        Raises:
            DelegationError: More was asked for than the parent may hand on.
        """
        return self._nursery.spawn(request, parent)

    # -- one plan -----------------------------------------------------------

    def _create(self, charter: Charter, *, left_out: list[list[str]] | None = None) -> None:
        means = self._means
        now = means.timestamp()
        with means.store.transaction():
            means.rows.create(_row(charter, now))
            for key in charter.accounts[:1]:
                means.accounts.ensure(key, purse.account_limits(charter.limits))
            means.log.append(
                Entry(
                    kind="plan_started",
                    root_id=charter.root_id,
                    plan_id=charter.plan_id,
                    call_id="",
                    body={**to_mapping(charter), "left_out": left_out or []},
                )
            )

    def _run(
        self,
        charter: Charter,
        *,
        is_fresh: bool,
        served: Served | None = None,
        prepared: PlanCell | None = None,
    ) -> Ending:
        means = self._means
        plan = self._opener.open(
            charter, spawner=self, is_fresh=is_fresh, served=served, prepared=prepared
        )
        self._running[charter.plan_id] = plan
        way = first_choice(plan.definition, is_root=not charter.parent_id)
        means.decisions.begin(charter, way, is_fresh=is_fresh)
        row = plan_row.get(means.store, charter.plan_id)
        means.watch.add(plan, used_ms=row.elapsed_ms)
        means.rows.update(charter.plan_id, phase="execute", state="processing", outcome=None)
        means.interaction.progress(
            ProgressEvent(plan_id=charter.plan_id, kind="started", text=charter.name)
        )
        try:
            ending = PlanExecutor(
                plan,
                door=means.door,
                watch=means.watch,
                interaction=means.interaction,
                groups=self._groups,
                decisions=means.decisions,
                enter=lambda phase: self._enter(charter, phase),
            ).run()
        finally:
            self._nursery.leave(charter.plan_id)
            plan.cell.close()
            del self._running[charter.plan_id]
            elapsed_ms = means.watch.remove(charter.plan_id)
        return self._finish(plan, ending, elapsed_ms=elapsed_ms)

    def _enter(self, charter: Charter, phase: Phase) -> None:
        self._means.rows.update(charter.plan_id, phase=phase)

    def _finish(self, plan: RunningPlan, ending: Ending, *, elapsed_ms: int) -> Ending:
        means, charter = self._means, plan.charter
        means.proposals.keep_log(plan, means.door.redacted(plan.cell.program_log))
        if ending.state.state != "waiting" and plan.served is None:
            ending = self._collected(plan, ending)
        purse.give_back(means, charter)
        means.rows.update(
            charter.plan_id,
            phase=ending.state.phase,
            state=ending.state.state,
            outcome=ending.state.outcome,
            elapsed_ms=elapsed_ms,
            ended=means.timestamp() if ending.state.is_over else None,
            detail=self._detail(charter, ending),
        )
        means.log.append(
            Entry(
                kind="plan_ended" if ending.state.is_over else "plan_state",
                root_id=charter.root_id,
                plan_id=charter.plan_id,
                call_id="",
                body={
                    "phase": ending.state.phase,
                    "state": ending.state.state,
                    "outcome": ending.state.outcome,
                    "exit_code": ending.exit_code,
                    "error": ending.error.message if ending.error else "",
                    "code": ending.error.code if ending.error else "",
                },
            )
        )
        means.interaction.progress(
            ProgressEvent(
                plan_id=charter.plan_id,
                kind="ended",
                text=ending.error.message if ending.error else "done",
            )
        )
        means.decisions.forget(charter.plan_id)
        return ending

    def _collected(self, plan: RunningPlan, ending: Ending) -> Ending:
        """Collect what was made; a root plan that made what it may not is constrained."""
        proposal = self._means.proposals.collect(
            plan, outputs=ending.outputs, summary=ending.summary
        )
        if not proposal.refused or plan.charter.parent_id or ending.exit_code:
            return ending
        problems = tuple(f"{one.path}: {one.reason}" for one in proposal.refused)
        error = MergeRefusedError(plan_id=plan.plan_id, problems=problems)
        self._means.door.refuse_merge(error, plan.context)
        return Ending(state=ending.state.constrained(), exit_code=error.exit_code, error=error)

    def _detail(self, charter: Charter, ending: Ending) -> dict[str, object]:
        detail: dict[str, object] = {
            **served_detail(charter),
            "conflicts": self._conflicts(charter, ending),
        }
        if ending.error is not None:
            detail["error"] = {"code": ending.error.code, "message": ending.error.message}
        return detail

    def _conflicts(self, charter: Charter, ending: Ending) -> list[dict[str, object]]:
        """What is open here and below: a conflict anywhere stops the plans above it."""
        if ending.state.outcome != "conflicted":
            return []
        means = self._means
        family = plan_row.family(means.store, charter.plan_id)
        return [one for row in family for one in means.conflicts.listing(row.plan_id)]


def _row(charter: Charter, now: str) -> PlanRow:
    return PlanRow(
        plan_id=charter.plan_id,
        parent_plan_id=charter.parent_id or None,
        root_id=charter.root_id,
        depth=charter.depth,
        name=charter.name,
        phase="execute",
        state="queued",
        outcome=None,
        safety_profile=charter.profile_name,
        profile_digest=charter.profile_digest,
        automation_profile=charter.conduct.automation_profile,
        isolation_tier=charter.isolation.tier,
        isolation_verified=charter.isolation.is_verified,
        workspace_dir=charter.workspace,
        session_id=charter.session_id,
        started=now,
        ended=None,
        elapsed_ms=0,
        definition_digest="",
        detail=served_detail(charter),
        cancel_requested=False,
    )
