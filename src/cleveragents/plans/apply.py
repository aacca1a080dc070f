"""The root's merge into the user's directory: all files or none, and only when told to.

`agents plan apply` typed by hand and an automatic apply are this one function.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from cleveragents.errors import (
    ApprovalPendingError,
    ConfigurationError,
    MergeConflictError,
    PlanBusyError,
    PlanCancelledError,
    RecordError,
)
from cleveragents.plans.charter import read_charter
from cleveragents.plans.decision_book import Choice
from cleveragents.plans.plan_state import PlanState
from cleveragents.plans.served_plan import check_has_changes
from cleveragents.record import plan_row
from cleveragents.record.entry import Entry
from cleveragents.terms.interaction import ApplyQuestion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.boundary.apply import DirectoryApply
    from cleveragents.plans.charter import Charter
    from cleveragents.plans.means import Means
    from cleveragents.record.entry import Kind
    from cleveragents.record.plan_row import PlanRow
    from cleveragents.terms.proposal import MergeProposal

T = TypeVar("T")

CALL_ID: Final = "apply"
AUTO: Final = "the automation profile says apply: auto"
ASKED: Final = "'agents plan apply' was typed, or answered at the terminal"
BUSY_TRIES: Final = 200
BUSY_WAIT_S: Final = 0.05
"""Another apply to the same directory is over in moments; what takes ten seconds is told."""


class ApplyDesk:
    """Asks, checks and applies.

    Args:
        means: The shared parts.
        directory_apply: Changes directories, all or nothing.
        who: The person at this terminal, for the record.
    """

    def __init__(self, means: Means, directory_apply: DirectoryApply, *, who: str) -> None:
        self._means = means
        self._directory_apply = directory_apply
        self._who = who

    def settle(self, plan_id: str, *, is_told: bool) -> PlanState:
        """Decide after a run whether its changes are applied now.

        Args:
            plan_id: A root plan that just ended complete.
            is_told: ``--apply`` was given; it answers the apply question.

        Returns:
            How the plan stands: applied, or complete and waiting to be applied.

        Raises:
            ApprovalPendingError: A held file is among the changes and nobody is there.
            MergeConflictError: The directory changed underneath.
        """
        charter = read_charter(self._means.log, plan_id)
        with self._means.owned(plan_id):
            row = plan_row.get(self._means.store, plan_id)
            proposal = self._proposal(plan_id)
            why = "--apply was given" if is_told else AUTO
            is_told = is_told or charter.conduct.apply == "auto"
            if not is_told and not proposal.changes:
                # There is nothing to ask about, and nobody said that it shall be applied.
                return _state(row)
            if proposal.held or not is_told:
                answer = self._ask(charter, proposal)
                if answer is None and proposal.held and is_told:
                    self._move(plan_id, _state(row).waiting())
                    raise ApprovalPendingError(plan_id=plan_id, call_id=CALL_ID, tool_name="apply")
                why = ASKED
                if not answer:
                    if answer is False:
                        self._decided(charter, proposal, why, is_yes=False)
                    return _state(row)
            self._decided(charter, proposal, why)
            return self._apply(charter, proposal)

    def check_whole(self, directory: Path) -> None:
        """See that no killed apply left a directory half changed, before a plan starts from it.

        Raises:
            ConfigurationError: One did; names the command that mends it.
            PlanBusyError: An apply to it does not end.
        """
        for plan_id in _in_turn(lambda: self._directory_apply.cut_off(directory)):
            raise ConfigurationError(
                problem="an apply to this directory was cut off, and it is half changed",
                where=str(directory),
                hint=f"'agents plan apply {plan_id} --yes' finishes or undoes it",
            )

    def apply(self, plan_id: str, *, is_confirmed: bool, is_partial: bool) -> PlanState:
        """Apply a plan's changes, as `agents plan apply` asks.

        Args:
            plan_id: A root plan.
            is_confirmed: ``--yes``: also held files were looked at.
            is_partial: ``--partial``: also the work of a plan that did not finish.

        Raises:
            ConfigurationError: It is a subplan, has nothing to apply yet, or never has.
            ApprovalPendingError: Nobody is there to say yes.
            MergeConflictError: The directory changed underneath.
        """
        row = plan_row.get(self._means.store, plan_id)
        if row.parent_plan_id is not None:
            raise ConfigurationError(
                problem=f"plan {plan_id} is a subplan: its parent merges it",
                hint=f"agents plan apply {row.root_id}",
            )
        check_has_changes(row)
        if row.outcome == "applied":
            return _state(row)
        charter = read_charter(self._means.log, plan_id)
        with self._means.owned(plan_id):
            row = plan_row.get(self._means.store, plan_id)
            self._check_finished(row, is_partial=is_partial)
            proposal = self._proposal(plan_id)
            why = "--yes was given" if is_confirmed else ASKED
            if not is_confirmed and not self._ask_by_hand(charter, proposal):
                self._decided(charter, proposal, why, is_yes=False)
                return _state(row)
            self._decided(charter, proposal, why)
            return self._apply(charter, proposal)

    # -- asking ---------------------------------------------------------------

    def _ask_by_hand(self, charter: Charter, proposal: MergeProposal) -> bool:
        answer = self._ask(charter, proposal)
        if answer is not None:
            return answer
        if proposal.held:
            raise ApprovalPendingError(plan_id=charter.plan_id, call_id=CALL_ID, tool_name="apply")
        # The command was typed; only held files need more than that.
        return True

    def _decided(
        self, charter: Charter, proposal: MergeProposal, reason: str, *, is_yes: bool = True
    ) -> None:
        """Record what was said to the changes; the same answer to the same tree once."""
        if not proposal.changes:
            # Nobody is asked about nothing.
            return
        is_person = reason != AUTO
        answer = "yes" if is_yes else "no"
        self._means.decisions.record(
            charter,
            Choice(
                key=f"apply:{answer}:{proposal.tree}",
                question=f"are the changes applied ({_summary(proposal)})?",
                choice=answer,
                alternatives=("no" if is_yes else "yes",),
                reason=reason,
                calls=(CALL_ID,),
                by="person" if is_person else "runtime",
                who=self._who if is_person else "",
            ),
        )

    def _ask(self, charter: Charter, proposal: MergeProposal) -> bool | None:
        if not proposal.changes:
            return True
        return self._means.interaction.confirm_apply(
            ApplyQuestion(
                plan_id=charter.plan_id,
                diff=self._means.git.patch(charter.base_tree, proposal.tree),
                held=proposal.held,
                summary=_summary(proposal),
            )
        )

    def _check_finished(self, row: PlanRow, *, is_partial: bool) -> None:
        if row.state in {"queued", "processing"} or (
            row.state == "waiting"
            and row.outcome is None
            and row.phase != "apply"
            and not self._waits_for_apply(row.plan_id)
        ):
            raise ConfigurationError(
                problem=f"plan {row.plan_id} is not finished ({row.state})",
                hint=f"agents plan resume {row.plan_id}",
            )
        if row.outcome is not None and not is_partial and not self._was_applying(row.plan_id):
            raise ConfigurationError(
                problem=f"plan {row.plan_id} ended {row.outcome}: only part of its work is done",
                hint=f"agents plan apply {row.plan_id} --partial applies that part",
            )

    def _waits_for_apply(self, plan_id: str) -> bool:
        return self._means.proposals.read(plan_id) is not None

    def _was_applying(self, plan_id: str) -> bool:
        return any(self._means.log.entries(plan_id=plan_id, kind="apply_started", limit=1))

    def _proposal(self, plan_id: str) -> MergeProposal:
        proposal = self._means.proposals.read(plan_id)
        if proposal is None:
            raise RecordError(
                problem=f"nothing of plan {plan_id} was collected",
                hint=f"agents plan resume {plan_id}",
            )
        return proposal

    # -- doing ----------------------------------------------------------------

    def _apply(self, charter: Charter, proposal: MergeProposal) -> PlanState:
        row = plan_row.get(self._means.store, charter.plan_id)
        if row.cancel_requested or row.state == "cancelled":
            # It came while the plan ended, or while a person was asked.
            self._move(charter.plan_id, _state(row).cancelled())
            raise PlanCancelledError(plan_id=charter.plan_id)
        body = {
            "tree": proposal.tree,
            "base_tree": charter.base_tree,
            "held": list(proposal.held),
        }
        try:
            self._means.door.apply(
                charter.plan_id, body, perform=lambda: self._change_directory(charter, proposal)
            )
        except MergeConflictError as error:
            self._append(
                "conflict", charter, {"subplan_id": "", "conflicts": [], "paths": list(error.paths)}
            )
            found = [{"path": path, "kind": "apply"} for path in error.paths]
            self._move(
                charter.plan_id,
                PlanState().conflicted(),
                detail={**self._detail(charter.plan_id), "conflicts": found},
            )
            raise
        state = PlanState().applied()
        # What an earlier try met in the directory is there no more.
        self._move(
            charter.plan_id, state, detail={**self._detail(charter.plan_id), "conflicts": []}
        )
        self._forget_workspaces(charter)
        return state

    def _change_directory(self, charter: Charter, proposal: MergeProposal) -> None:
        _in_turn(
            lambda: self._directory_apply.apply(
                Path(charter.workspace),
                charter.base_tree,
                proposal.tree,
                plan_id=charter.plan_id,
            )
        )

    def _forget_workspaces(self, charter: Charter) -> None:
        """The bytes are in the directory and in the tree store; the slots are spent."""
        for row in plan_row.family(self._means.store, charter.root_id):
            slot = self._means.workspaces.find(row.plan_id)
            if slot is not None:
                self._means.workspaces.destroy(slot)

    def _detail(self, plan_id: str) -> Mapping[str, object]:
        return plan_row.get(self._means.store, plan_id).detail

    def _append(
        self,
        kind: Kind,
        charter: Charter,
        body: Mapping[str, object],
    ) -> None:
        self._means.log.append(
            Entry(
                kind=kind,
                root_id=charter.root_id,
                plan_id=charter.plan_id,
                call_id=CALL_ID,
                body=body,
            )
        )

    def _move(self, plan_id: str, state: PlanState, **more: object) -> None:
        self._means.rows.update(
            plan_id, phase=state.phase, state=state.state, outcome=state.outcome, **more
        )


def _in_turn(act: Callable[[], T]) -> T:
    """Act after every other apply to the same directory."""
    for _ in range(BUSY_TRIES):
        try:
            return act()
        except PlanBusyError:
            time.sleep(BUSY_WAIT_S)
    return act()


def _state(row: PlanRow) -> PlanState:
    return PlanState(phase=row.phase, state=row.state, outcome=row.outcome)


def _summary(proposal: MergeProposal) -> str:
    counts = {"added": 0, "modified": 0, "deleted": 0}
    for change in proposal.changes:
        counts[change.kind] += 1
    said = [f"{number} {kind}" for kind, number in counts.items() if number]
    return f"{len(proposal.changes)} files changed ({', '.join(said)})"
