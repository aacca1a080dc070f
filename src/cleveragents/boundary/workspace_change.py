"""What did a plan make of its workspace, as a value?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cleveragents.terms.proposal import FileChange, MergeProposal, RefusedPath

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Change:
    """What a plan made of its base tree, held against the rules."""

    base_tree: str
    tree: str
    """The base tree with the changes in it; what was refused is not in it."""
    changes: tuple[FileChange, ...]
    refused: tuple[RefusedPath, ...] = ()
    held: tuple[str, ...] = ()
    ignored: int = 0

    def proposal(
        self, plan_id: str, *, outputs: Mapping[str, object] | None = None, summary: str = ""
    ) -> MergeProposal:
        """Offer it to the parent."""
        return MergeProposal(
            plan_id=plan_id,
            base_tree=self.base_tree,
            tree=self.tree,
            changes=self.changes,
            refused=self.refused,
            held=self.held,
            outputs=outputs or {},
            summary=summary,
            ignored=self.ignored,
        )
