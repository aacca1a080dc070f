"""What is made ready for a child before it may begin: its workspace, and a cell that waits.

Nothing of it is in the record, no budget is moved and nothing runs: a child
comes into being by its spawn alone, and then takes its nest over if the
parent's tree is still the one that the nest was made over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cleveragents.errors import CleverAgentsError
from cleveragents.plans.child_call import (
    child_charter,
    definition_of,
    following_spawn,
    granted,
    is_spawned,
)
from cleveragents.plans.opener import works_in_copy
from cleveragents.plans.proposal_book import allowed_paths
from cleveragents.record import plan_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from cleveragents.boundary.workspace import Workspaces
    from cleveragents.boundary.workspace_slot import Slot
    from cleveragents.plans.charter import Charter
    from cleveragents.plans.household import Household
    from cleveragents.plans.means import Means
    from cleveragents.plans.running_plan import RunningPlan
    from cleveragents.policy.grant import Grant
    from cleveragents.runtime.plan_cell import PlanCell
    from cleveragents.terms.call import ToolCall
    from cleveragents.terms.plan import SubplanDefinition


@dataclass(frozen=True, slots=True)
class Ground:
    """What a child starts from."""

    slot: Slot
    """The parent's workspace, frozen."""
    tree: str
    """What it shows."""


class Nest:
    """One child's workspace and waiting cell. Serves that child or nobody.

    Args:
        cell: The child's hands, over its workspace.
        ground: What that was forked from.
        workspaces: Removes the workspace that no child took.
    """

    def __init__(self, cell: PlanCell, ground: Ground, *, workspaces: Workspaces) -> None:
        self.cell = cell
        self._ground = ground
        self._workspaces = workspaces
        self._is_taken = False

    @property
    def child_id(self) -> str:
        """The id that the child is going to have."""
        return self.cell.slot.plan_id

    def fits(self, ground: Ground) -> bool:
        """Say whether the parent stands where it stood, and end the cell when it does not."""
        if ground == self._ground:
            return True
        self.cell.close()
        return False

    def take(self) -> None:
        """Say that the child is made: what is here is its own from now on."""
        self._is_taken = True

    def leave(self) -> None:
        """End and remove what no child took."""
        if not self._is_taken:
            self._is_taken = True
            self.cell.close()
            self._workspaces.destroy(self.cell.slot)


class NestMaker:
    """Forks children's workspaces, when they are made or before.

    Args:
        means: The shared parts.
        open_plan: Makes a new charter able to act, without running it.
    """

    def __init__(self, means: Means, *, open_plan: Callable[[Charter], RunningPlan]) -> None:
        self._means = means
        self._open_plan = open_plan

    def make(
        self,
        request: ToolCall,
        parent: RunningPlan,
        definition: SubplanDefinition,
        household: Household,
    ) -> Nest | None:
        """Make a nest for a child that may come; ``None`` where there is none to be had.

        A program would begin with its cell, and a private copy shows no parent's layers. What
        fails here is said when the child is made.
        """
        means = self._means
        is_program = definition.actor.kind == "program"
        if is_program or is_spawned(means.log, request, parent):
            return None
        child_id = means.new_id()
        try:
            grant = granted(definition, parent)
            with household.merging:
                ground = self._ground(parent)
                if not _shares_layers(ground, parent, grant, is_program=False):
                    return None
                slot = means.workspaces.fork(ground.slot, child_id, ground.tree)
            draft = child_charter(
                request,
                parent.charter,
                definition,
                child_id=child_id,
                grant=grant,
                base_tree=ground.tree,
            )
            return self._warmed(draft, ground, slot)
        except CleverAgentsError:
            return None

    def _warmed(self, draft: Charter, ground: Ground, slot: Slot) -> Nest:
        try:
            nest = Nest(self._open_plan(draft).cell, ground, workspaces=self._means.workspaces)
            nest.cell.warm()
        except CleverAgentsError:
            self._means.workspaces.destroy(slot)
            raise
        return nest

    def expect_next(
        self, request: ToolCall, parent: RunningPlan, child: Charter, household: Household
    ) -> None:
        """While a child runs that cannot change its parent's tree, make the next one's nest.

        Args:
            request: The spawn call of the child that is about to run.
            parent: Its parent; the next child is known where that is a script.
            child: The child.
            household: The parent's.
        """
        following = None if allowed_paths(child) else following_spawn(request, parent)
        if following is not None:
            definition = definition_of(following)
            household.expect(
                following.step, lambda: self.make(following, parent, definition, household)
            )

    def fork(
        self,
        parent: RunningPlan,
        definition: SubplanDefinition,
        grant: Grant,
        child_id: str,
        household: Household,
        nest: Nest | None,
    ) -> str:
        """Fork the workspace of a child that is made now, unless its nest will do.

        Returns:
            The tree that it shows.
        """
        with household.merging:
            ground = self._ground(parent)
            if (nest is None or not nest.fits(ground)) and _shares_layers(
                ground, parent, grant, is_program=definition.actor.kind == "program"
            ):
                self._means.workspaces.fork(ground.slot, child_id, ground.tree)
        return ground.tree

    def _ground(self, parent: RunningPlan) -> Ground:
        slot = parent.cell.freeze()
        return Ground(slot, self._means.proposals.tree_of(parent))


def _shares_layers(ground: Ground, parent: RunningPlan, grant: Grant, *, is_program: bool) -> bool:
    """Say whether a child works over its parent's layers: not where either has a private copy."""
    as_child = replace(parent.charter, grant=grant, profiles=parent.charter.child_profiles)
    return ground.slot.kind == "overlay" and not works_in_copy(as_child, is_program=is_program)


def remove_orphans(means: Means, root_id: str) -> None:
    """Remove the nests of a root plan whose host was killed. Its owner calls this.

    Raises:
        RecordError: A workspace is damaged, or cannot be removed.
    """
    known = {row.plan_id for row in plan_row.of_root(means.store, root_id)}
    means.workspaces.remove_orphans(known)
