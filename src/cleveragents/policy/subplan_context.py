"""Under which authority does a subplan act? What the host holds, never the child."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cleveragents.policy.grant import Grant


@dataclass(frozen=True, slots=True)
class SubplanSecurityContext:
    """The scoped permission set of one subplan, fixed at its spawn.

    The host keeps one for each channel and decides by it; a context never
    comes from the child, and nothing in it can be changed.

    Source:
        Issue 8985, "Define SubplanSecurityContext that holds the scoped
        permission set for a subplan".
    """

    subplan_id: str
    parent_id: str
    root_id: str
    depth: int
    """Counts up from the root plan's 0."""
    grant: Grant
    profile_digests: tuple[str, ...]
    """Of the profiles in force, in their documented order."""
    deadline: str | None
    """RFC 3339 in UTC; ``None`` is no deadline."""

    def __post_init__(self) -> None:
        if self.depth < 1 or self.subplan_id in {"", self.parent_id, self.root_id}:
            msg = "a subplan is below its parent and is not its own parent"
            raise ValueError(msg)
