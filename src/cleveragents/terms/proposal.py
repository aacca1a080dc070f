"""What a child made, as it is offered to its parent; untrusted until merged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

ChangeKind = Literal["added", "modified", "deleted"]
FileMode = Literal["100644", "100755", "120000"]


@dataclass(frozen=True, slots=True)
class FileChange:
    """One path of a change; content is named by its blob id in the tree store."""

    path: str
    kind: ChangeKind
    mode: FileMode | None
    """``None`` for a deletion."""
    blob: str | None
    size: int = 0


@dataclass(frozen=True, slots=True)
class RefusedPath:
    """A path that may not come back, and why, in one sentence."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class MergeProposal:
    """The only thing that leaves a subplan."""

    plan_id: str
    base_tree: str
    tree: str
    changes: tuple[FileChange, ...]
    refused: tuple[RefusedPath, ...] = ()
    held: tuple[str, ...] = ()
    """Paths that run code later on the parent's side; reviewed at apply."""
    outputs: Mapping[str, object] = field(default_factory=dict)
    summary: str = ""
    """The child's words, capped."""
    ignored: int = 0
    """Paths made below ignored places: counted, not collected."""
