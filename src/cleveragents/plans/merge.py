"""The only way back: a child's proposal into its parent's tree, all or nothing, once.

Source: issue 8985, "the merge interface is the only sanctioned channel for
subplan results to flow back to the parent plan".
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, Never, assert_never

from cleveragents.errors import ConfigurationError, MergeConflictError, MergeRefusedError
from cleveragents.plans.plan_choice import conflict_choice
from cleveragents.plans.plan_state import PlanState
from cleveragents.record.entry import Entry
from cleveragents.terms.call import attempts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.boundary.git_answer import MergeOutcome, Stage
    from cleveragents.plans.charter import Charter
    from cleveragents.plans.means import Means
    from cleveragents.plans.running_plan import RunningPlan
    from cleveragents.record.entry import Kind
    from cleveragents.terms.proposal import MergeProposal

Strategy = Literal["git_three_way", "sequential_apply", "fail_on_conflict", "last_wins"]
STRATEGIES: Final[tuple[Strategy, ...]] = (
    "git_three_way",
    "sequential_apply",
    "fail_on_conflict",
    "last_wins",
)


class MergeInterface:
    """Merges proposals into parents; nothing else changes a parent's tree.

    Args:
        means: Record, trees, workspaces and the door that records the effect.
    """

    def __init__(self, means: Means) -> None:
        self._means = means

    def merge(
        self, parent: RunningPlan, child: Charter, *, call_id: str, strategy: str
    ) -> MergeProposal:
        """Bring what a child made into its parent's tree, exactly once.

        The intent is recorded with the resulting tree before the parent's
        workspace is touched, and its end after: a merge that was cut off is
        done again from the recorded trees, never computed anew.

        Args:
            parent: Receives the changes; no call of it is under way.
            child: The child whose process tree is dead.
            call_id: The parent's spawn call.
            strategy: One of ``STRATEGIES``.

        Raises:
            MergeRefusedError: The proposal holds paths that it may not.
            MergeConflictError: Both sides changed the same place.
        """
        proposal = self._means.proposals.read(child.plan_id)
        if proposal is None:
            raise MergeRefusedError(plan_id=child.plan_id, problems=("nothing was collected",))
        intent = self._recorded(parent, call_id)
        if intent.get("done"):
            return proposal
        if proposal.refused:
            self._refuse(child, tuple(f"{r.path}: {r.reason}" for r in proposal.refused))
        if not intent:
            intent = self._decide(parent, child, proposal, call_id, _strategy(strategy))
        self._receive(parent, child, proposal, call_id, intent)
        return proposal

    # -- deciding -------------------------------------------------------------

    def _decide(
        self,
        parent: RunningPlan,
        child: Charter,
        proposal: MergeProposal,
        call_id: str,
        strategy: Strategy,
    ) -> Mapping[str, object]:
        git = self._means.git
        ours = self._means.proposals.tree_of(parent)
        outcome = git.merge(proposal.base_tree, ours, proposal.tree)
        result = outcome.tree
        if outcome.conflicts:
            result = self._settle(parent, child, call_id, outcome, strategy)
        body = {
            "subplan_id": child.plan_id,
            "strategy": strategy,
            "base": proposal.base_tree,
            "ours": ours,
            "theirs": proposal.tree,
            "result": result,
            "apart": outcome.is_apart,
        }
        self._append("merge", parent, call_id, body)
        return body

    def _settle(
        self,
        parent: RunningPlan,
        child: Charter,
        call_id: str,
        outcome: MergeOutcome,
        strategy: Strategy,
    ) -> str:
        paths = tuple(dict.fromkeys(conflict.path for conflict in outcome.conflicts))
        choices: dict[str, Stage | None]
        match strategy:
            case "fail_on_conflict":
                problems = tuple(f"{path}: both sides changed it" for path in paths)
                self._refuse(child, problems)
            case "last_wins":
                choices = {conflict.path: conflict.theirs for conflict in outcome.conflicts}
                self._chosen(parent, call_id, paths)
            case "git_three_way" | "sequential_apply":
                choices = self._choices(parent, child, call_id, outcome, paths)
            case _:
                assert_never(strategy)
        return self._means.git.settle(outcome, choices)

    def _chosen(self, parent: RunningPlan, call_id: str, paths: tuple[str, ...]) -> None:
        """Record what nobody was asked about."""
        decisions = self._means.decisions
        choice = conflict_choice(
            paths,
            take="theirs",
            call_id=call_id,
            parent=decisions.find_spawn(parent.plan_id, call_id),
            key=f"merge:{call_id}",
        )
        reason = "the merge strategy is last_wins"
        decisions.record(parent.charter, replace(choice, by="runtime", reason=reason))

    def _choices(
        self,
        parent: RunningPlan,
        child: Charter,
        call_id: str,
        outcome: MergeOutcome,
        paths: tuple[str, ...],
    ) -> dict[str, Stage | None]:
        """What a person decided for each conflict.

        Raises:
            MergeConflictError: At least one is open; they are in the record.
        """
        settled = self._means.conflicts.choices(
            parent.charter,
            attempts(call_id),
            subplan_id=child.plan_id,
            conflicts=outcome.conflicts,
        )
        unsettled = tuple(path for path in paths if path not in settled)
        if unsettled:
            raise MergeConflictError(plan_id=child.plan_id, paths=unsettled)
        return {path: settled[path] for path in paths}

    # -- doing ----------------------------------------------------------------

    def _receive(
        self,
        parent: RunningPlan,
        child: Charter,
        proposal: MergeProposal,
        call_id: str,
        intent: Mapping[str, object],
    ) -> None:
        git, ours, result = self._means.git, str(intent["ours"]), str(intent["result"])
        try:
            is_unmoved = (ours, result) == (proposal.base_tree, proposal.tree)
            # Nothing to work out where the parent stands, at what changed, where the child began.
            is_own = is_unmoved or intent.get("apart")
            changes = proposal.changes if is_own else git.changes(ours, result)
            is_known = parent.cell.known_tree == ours
            parent.cell.receive(changes)
        except MergeRefusedError as error:
            # Something that is not collected is in the way: what was written is taken back.
            with suppress(MergeRefusedError):
                parent.cell.receive(git.changes(result, ours))
            self._refuse(child, error.problems)
        if is_known:
            self._means.proposals.remember(parent, result, changes)
        # One commit: a merge that is over in the record is over in the child's row too.
        with self._means.store.transaction():
            self._append("merge", parent, call_id, {"subplan_id": child.plan_id, "done": True})
            self._end_child(child, PlanState().merged())

    def _refuse(self, child: Charter, problems: tuple[str, ...]) -> Never:
        self._end_child(child, PlanState().merge_refused())
        raise MergeRefusedError(plan_id=child.plan_id, problems=problems)

    def _end_child(self, child: Charter, state: PlanState) -> None:
        self._means.rows.update(
            child.plan_id, phase=state.phase, state=state.state, outcome=state.outcome
        )

    def _recorded(self, parent: RunningPlan, call_id: str) -> Mapping[str, object]:
        """The last thing recorded of this merge: nothing, its intent, or its end."""
        found: Mapping[str, object] = {}
        for entry in self._means.log.call_entries(parent.plan_id, call_id):
            if entry.kind == "merge":
                found = self._means.log.resolve(entry.body)
        return found

    def _append(
        self, kind: Kind, parent: RunningPlan, call_id: str, body: Mapping[str, object]
    ) -> None:
        self._means.log.append(
            Entry(
                kind=kind,
                root_id=parent.charter.root_id,
                plan_id=parent.plan_id,
                call_id=call_id,
                body=body,
            )
        )


def _strategy(name: str) -> Strategy:
    for strategy in STRATEGIES:
        if strategy == name:
            return strategy
    raise ConfigurationError(
        problem=f"no merge strategy is named {name!r}", hint="known: " + ", ".join(STRATEGIES)
    )
