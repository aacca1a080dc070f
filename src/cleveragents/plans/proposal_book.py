"""What a plan made: collected after its process tree is dead, kept in the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from cleveragents.boundary.held_path import HELD_FILES
from cleveragents.boundary.leave_out import IGNORE_FILE, LeaveOutRules
from cleveragents.policy.cell_right import cell_rights
from cleveragents.record.decision_tree_view import PROGRAM_LOG
from cleveragents.record.entry import Entry
from cleveragents.terms.excerpt import json_bytes
from cleveragents.terms.proposal import FileChange, MergeProposal, RefusedPath

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.boundary.workspace import Workspaces
    from cleveragents.boundary.workspace_change import Change
    from cleveragents.plans.charter import Charter
    from cleveragents.plans.running_plan import RunningPlan
    from cleveragents.record.log import RecordLog

MAX_SUMMARY: Final = 2000
"""Characters of a child's own words that are kept."""
MAX_LOG_BYTES: Final = 12_000
"""Of a program's log, as JSON: it stays in the record's own row."""


class ProposalBook:
    """Collects, stores and reads proposals; the only maker of ``MergeProposal``.

    Args:
        log: The record.
        workspaces: Where the changes are.
    """

    def __init__(self, log: RecordLog, workspaces: Workspaces) -> None:
        self._log = log
        self._workspaces = workspaces

    def collect(
        self,
        plan: RunningPlan,
        *,
        outputs: Mapping[str, object] | None = None,
        summary: str = "",
    ) -> MergeProposal:
        """Collect a plan's change; its cell is dead.

        Args:
            plan: The plan.
            outputs: Its declared outputs, checked.
            summary: Its own words; capped here.
        """
        change = self._change(plan)
        proposal = MergeProposal(
            plan_id=plan.plan_id,
            base_tree=plan.charter.base_tree,
            tree=change.tree,
            changes=change.changes,
            refused=change.refused,
            held=change.held,
            outputs=outputs or {},
            summary=summary[:MAX_SUMMARY],
            ignored=change.ignored,
        )
        self._log.append(
            Entry(
                kind="proposal",
                root_id=plan.charter.root_id,
                plan_id=plan.plan_id,
                call_id="",
                body=_to_mapping(proposal),
            )
        )
        return proposal

    def keep_log(self, plan: RunningPlan, text: str) -> None:
        """Keep the last part of what a program printed, for people; its cell is dead.

        It reaches nobody but who asks for it: no parent and no model.

        Args:
            plan: The program's plan.
            text: Redacted.
        """
        kept = text
        while json_bytes(kept) > MAX_LOG_BYTES:
            kept = kept[len(kept) // 8 + 1 :]
        if not kept:
            return
        self._log.append(
            Entry(
                kind="note",
                root_id=plan.charter.root_id,
                plan_id=plan.plan_id,
                body={
                    PROGRAM_LOG: kept,
                    "attempt": plan.attempt,
                    "left_out": len(text) - len(kept),
                },
            )
        )

    def tree_of(self, plan: RunningPlan) -> str:
        """The tree of a running plan as it is now; no call of it is under way.

        Whatever stands in the workspace is in it, also what the plan itself
        may not write and a child of it brought.
        """
        known = plan.cell.known_tree
        if known:
            return known
        change = self._change(plan, write_paths=(".",))
        if not change.refused and not _moves_ignore_rules(change.changes):
            plan.cell.remember_tree(change.tree)
        return change.tree

    def remember(self, plan: RunningPlan, tree: str, changes: tuple[FileChange, ...]) -> None:
        """Take a merge's result for the tree of a plan whose tree was known before.

        Collecting would come to the same while the ignore rules are those of the plan's base:
        what a child handed in under them is what is collected here.

        Args:
            plan: Has just received the changes.
            tree: What they made of the known one.
            changes: What was received.
        """
        if not _moves_ignore_rules(changes):
            plan.cell.remember_tree(tree)

    def read(self, plan_id: str) -> MergeProposal | None:
        """The last proposal of a plan; ``None`` when nothing was collected."""
        entry = self._log.last(plan_id, "proposal")
        return None if entry is None else _from_mapping(self._log.resolve(entry.body))

    def _change(self, plan: RunningPlan, write_paths: tuple[str, ...] | None = None) -> Change:
        charter = plan.charter
        return self._workspaces.collect(
            plan.cell.slot,
            write_paths=allowed_paths(charter) if write_paths is None else write_paths,
            rules=LeaveOutRules(shown=charter.conduct.shown),
            held=_held(charter),
        )


def allowed_paths(charter: Charter) -> tuple[str, ...]:
    """Where a change may stand: the plan's own write paths, and its children's."""
    own = cell_rights(charter.profiles, charter.grant).write
    handed_on = charter.grant.delegates.write if charter.grant.depth_left else ()
    return tuple(dict.fromkeys((*own, *handed_on)))


def _held(charter: Charter) -> tuple[str, ...]:
    """Every name that one of the profiles holds; lists only add up, so none can empty another's."""
    own = [HELD_FILES if p.held_files is None else p.held_files for p in charter.profiles]
    return tuple(dict.fromkeys(name for names in own for name in names))


def _moves_ignore_rules(changes: tuple[FileChange, ...]) -> bool:
    return any(one.path.rpartition("/")[2] == IGNORE_FILE for one in changes)


def _to_mapping(proposal: MergeProposal) -> dict[str, object]:
    return {
        "base_tree": proposal.base_tree,
        "tree": proposal.tree,
        "changes": [[c.path, c.kind, c.mode, c.blob, c.size] for c in proposal.changes],
        "refused": [[r.path, r.reason] for r in proposal.refused],
        "held": list(proposal.held),
        "outputs": proposal.outputs,
        "summary": proposal.summary,
        "ignored": proposal.ignored,
        "plan_id": proposal.plan_id,
    }


def _from_mapping(raw: Mapping[str, object]) -> MergeProposal:
    changes = cast("list[list[object]]", raw["changes"])
    return MergeProposal(
        plan_id=str(raw["plan_id"]),
        base_tree=str(raw["base_tree"]),
        tree=str(raw["tree"]),
        changes=tuple(FileChange(*cast("tuple[str, ...]", item)) for item in changes),  # type: ignore[arg-type]  # written by us as its fields, in order
        refused=tuple(
            RefusedPath(path=path, reason=reason)
            for path, reason in cast("list[list[str]]", raw["refused"])
        ),
        held=tuple(cast("list[str]", raw["held"])),
        outputs=cast("Mapping[str, object]", raw["outputs"]),
        summary=str(raw["summary"]),
        ignored=int(cast("int", raw["ignored"])),
    )
