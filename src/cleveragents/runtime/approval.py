"""A call that waits for a person, bound to the digest of exactly that call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.errors import ApprovalPendingError, ToolAccessDeniedError
from cleveragents.terms.interaction import ApprovalQuestion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.record.approval import ApprovalBook
    from cleveragents.runtime.call_context import CallContext
    from cleveragents.terms.call import ToolCall
    from cleveragents.terms.interaction import Interaction


class ApprovalDesk:
    """Asks the person at the terminal, or leaves the question in the record."""

    def __init__(self, book: ApprovalBook, interaction: Interaction, *, who: str) -> None:
        self._book = book
        self._interaction = interaction
        self._who = who

    def require(
        self,
        call: ToolCall,
        context: CallContext,
        *,
        arguments: Mapping[str, object],
        digests: Mapping[str, str],
        reason: str,
    ) -> str:
        """Give the approver's name once a person has admitted exactly this call.

        Args:
            call: The call.
            context: Its plan.
            arguments: As the tool is going to get them, redacted.
            digests: ``arguments_digest`` and ``tool_digest``.
            reason: Why a person is asked.

        Raises:
            ApprovalPendingError: Nobody has answered, and nobody is there.
            ToolAccessDeniedError: A person said no.
        """
        digest = digests["arguments_digest"]
        verdict = self._book.verdict(context.plan_id, call.call_id, digest)
        if verdict is None:
            question = ApprovalQuestion(
                plan_id=context.plan_id,
                call_id=call.call_id,
                tool=call.tool,
                arguments=arguments,
                reason=reason,
            )
            answer = self._interaction.approve_call(question)
            if answer is None:
                self._book.request(
                    root_id=context.root_id,
                    plan_id=context.plan_id,
                    call_id=call.call_id,
                    body={"tool": call.tool, "arguments": arguments, "reason": reason, **digests},
                )
                context.journal.note(call.call_id)
                raise ApprovalPendingError(
                    plan_id=context.plan_id, call_id=call.call_id, tool_name=call.tool
                )
            verdict = self._book.record_verdict(
                root_id=context.root_id,
                plan_id=context.plan_id,
                call_id=call.call_id,
                digest=digest,
                allow=answer,
                who=self._who,
                reason="answered at the terminal",
            )
        if not verdict.allow:
            raise ToolAccessDeniedError(
                tool_name=call.tool,
                profile_name="approvals",
                reason=f"{verdict.who} refused this call"
                + (f": {verdict.reason}" if verdict.reason else ""),
            )
        return verdict.who
