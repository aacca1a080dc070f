"""A person's word in the door: asked for where a rule or the record wants one, a no recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.errors import ToolAccessDeniedError

if TYPE_CHECKING:
    from cleveragents.runtime.approval import ApprovalDesk
    from cleveragents.runtime.asked import Asked
    from cleveragents.runtime.journal import Trace
    from cleveragents.runtime.refusal_desk import RefusalDesk


class Consent:
    """Asks for calls that wait for somebody.

    Args:
        desk: Asks a person, and remembers the answer.
        refusals: Records and raises a no.
    """

    def __init__(self, desk: ApprovalDesk, refusals: RefusalDesk) -> None:
        self._desk = desk
        self._refusals = refusals

    def listed(self, asked: Asked, trace: Trace) -> str:
        """Ask where the tool is listed under approvals; one that was cut off was admitted then.

        Returns:
            Who said yes; empty when nobody had to be asked.

        Raises:
            ToolAccessDeniedError: The person refuses.
            ApprovalPendingError: Nobody is there.
        """
        if asked.spec.name not in asked.context.approvals or trace.is_unfinished:
            return ""
        return self.require(asked, f"{asked.spec.name} is listed under approvals")

    def require(self, asked: Asked, reason: str) -> str:
        """Ask, and give who said yes.

        Raises:
            ToolAccessDeniedError: The person refuses.
            ApprovalPendingError: Nobody is there.
        """
        try:
            return self._desk.require(
                asked.call,
                asked.context,
                arguments=asked.shown,
                digests=asked.digests,
                reason=reason,
            )
        except ToolAccessDeniedError as no:
            self._refusals.by_person(asked, no)
