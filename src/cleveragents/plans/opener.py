"""From a charter, fresh or read back, to a plan that can act."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.cell_spec import CellSpec, OwnToolFile
from cleveragents.config.plan_file import plan_from_stored, subplan_from_stored
from cleveragents.plans.running_plan import RunningPlan
from cleveragents.policy.cell_right import cell_rights
from cleveragents.policy.path_rule import PathRules
from cleveragents.policy.profile import profile_digest
from cleveragents.policy.scope import compile_scope
from cleveragents.policy.subplan_context import SubplanSecurityContext
from cleveragents.record.entry import Entry
from cleveragents.runtime.call_context import CallContext
from cleveragents.runtime.journal import Journal
from cleveragents.runtime.plan_cell import DIGEST_FILES, PlanCell

if TYPE_CHECKING:
    from cleveragents.boundary.workspace_slot import Slot
    from cleveragents.plans.charter import Charter
    from cleveragents.plans.means import Means
    from cleveragents.policy.cell_right import CellRights
    from cleveragents.policy.grant import Grant
    from cleveragents.runtime.call_context import Spawner
    from cleveragents.runtime.tool_registry import ToolRegistry
    from cleveragents.terms.tool import ToolSpec


ATTEMPT: Final = "program_attempt"
"""Marks the note of each start of a program actor."""


class PlanOpener:
    """Builds workspace, cell and call context out of what the charter says.

    Nothing here consults settings or the environment: a resumed plan gets what
    it had (law 2).
    """

    def __init__(self, means: Means) -> None:
        self._means = means

    def open(self, charter: Charter, *, spawner: Spawner, is_fresh: bool) -> RunningPlan:
        """Make a charter able to act.

        Args:
            charter: The plan.
            spawner: Who makes its subplans.
            is_fresh: The plan was started just now: its record is empty.
        """
        tools = self._means.tools_of(charter)
        rights = cell_rights(charter.profiles, charter.grant)
        definition = (
            subplan_from_stored(charter.definition)
            if charter.parent_id
            else plan_from_stored(charter.definition)
        )
        is_program = definition.actor.kind == "program"
        attempt = self._attempt(charter) if is_program else 1
        slot = self._slot(charter, is_fresh=is_fresh, is_program=is_program, attempt=attempt)
        cell = PlanCell(
            launcher=self._means.launcher,
            workspaces=self._means.workspaces,
            slot=slot,
            spec_of=lambda current: self._cell_spec(charter, rights, current, tools),
        )
        scope = compile_scope(
            profiles=charter.profiles,
            grant=charter.grant,
            in_subplan=bool(charter.parent_id),
            tools=tools.specs,
            plan_id=charter.plan_id,
        )
        context = CallContext(
            plan_id=charter.plan_id,
            root_id=charter.root_id,
            tools=tools,
            scope=scope,
            hands=cell,
            journal=Journal(self._means.log, charter.plan_id, is_fresh=is_fresh),
            hosts=scope.bounds.hosts,
            spawner=spawner,
            credentials=charter.grant.credentials,
            approvals=frozenset(charter.conduct.approvals),
            accounts=charter.accounts,
            security=_security(charter),
        )
        return RunningPlan(
            charter=charter, definition=definition, context=context, cell=cell, attempt=attempt
        )

    def _attempt(self, charter: Charter) -> int:
        """Count the starts of a program in the record: one that was cut off begins anew."""
        log = self._means.log
        notes = log.entries(plan_id=charter.plan_id, kind="note")
        attempt = 1 + sum(ATTEMPT in note.body for note in notes)
        log.append(
            Entry(
                kind="note",
                root_id=charter.root_id,
                plan_id=charter.plan_id,
                body={ATTEMPT: attempt},
            )
        )
        return attempt

    def _slot(self, charter: Charter, *, is_fresh: bool, is_program: bool, attempt: int) -> Slot:
        # A subplan's workspace was forked from its parent's when it was spawned; a program
        # that was cut off starts again from its base tree.
        if (charter.parent_id or not is_fresh) and attempt == 1:
            kept = self._means.workspaces.find(charter.plan_id)
            if kept is not None:
                return kept
        return self._means.workspaces.create(
            charter.plan_id,
            charter.base_tree,
            overlay=charter.isolation.has_overlay
            and not (is_program and merges_live(charter.grant)),
        )

    def _cell_spec(
        self, charter: Charter, rights: CellRights, slot: Slot, tools: ToolRegistry
    ) -> CellSpec:
        included = _included(charter, rights)
        return CellSpec(
            # A read-only mount has no place to hang included paths on.
            workspace=slot.mount(read_only=not rights.write and not included),
            read=rights.read,
            write=rights.write,
            included=included,
            own_tools=tuple(
                OwnToolFile(name=spec.name, path=Path(spec.source), digest=spec.source_digest)
                for spec in tools.specs.values()
                if spec.origin == "own"
            ),
            limits=self._means.limits,
            tools=(
                DIGEST_FILES,
                *(spec.name for spec in tools.specs.values() if _is_body(spec)),
            ),
        )


def merges_live(grant: Grant) -> bool:
    """Say whether children may come back while a program runs.

    Nobody may change a mounted overlay, so such a program works in a private copy.
    """
    return "spawn_subplan" in grant.tools and grant.depth_left > 0


def _included(charter: Charter, rights: CellRights) -> tuple[tuple[str, str], ...]:
    """Left-out paths of the user's directory that this plan may read; nothing else of the host."""
    readable = PathRules.of_normal(rights.read)
    return tuple(
        (str(Path(charter.workspace) / path), path)
        for path in charter.conduct.included
        if readable.covers(path)
    )


def _is_body(spec: ToolSpec) -> bool:
    return spec.place == "cell" and spec.origin == "builtin"


def _security(charter: Charter) -> SubplanSecurityContext | None:
    if not charter.parent_id:
        return None
    return SubplanSecurityContext(
        subplan_id=charter.plan_id,
        parent_id=charter.parent_id,
        root_id=charter.root_id,
        depth=charter.depth,
        grant=charter.grant,
        profile_digests=tuple(profile_digest(p) for p in charter.profiles),
        deadline=charter.grant.deadline,
    )
