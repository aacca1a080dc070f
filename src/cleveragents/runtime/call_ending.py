"""How a call that was let in ends: its outcome is on disk before anybody hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Never

from cleveragents.errors import (
    BudgetExceededError,
    MergeRefusedError,
    ModelFailedError,
    ToolFailedError,
)
from cleveragents.runtime.model_ask import reply_from_mapping, reply_to_mapping
from cleveragents.terms.call import CallResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.errors import SubplanRefusedError
    from cleveragents.record.redaction import Redactor
    from cleveragents.runtime.asked import Asked
    from cleveragents.runtime.call_recorder import CallRecorder
    from cleveragents.runtime.cost_tracker import ModelUse
    from cleveragents.runtime.refusal_desk import RefusalDesk
    from cleveragents.terms.model import ModelReply


class CallEnding:
    """Records an outcome, settles what was held, and answers the actor.

    Redaction happens here, before actor and record: both get the same bytes.

    Args:
        recorder: Writes the outcome.
        refusals: Records what may not come back from a subplan.
        redactor: Replaces credential values.
    """

    def __init__(self, recorder: CallRecorder, refusals: RefusalDesk, redactor: Redactor) -> None:
        self._recorder = recorder
        self._refusals = refusals
        self._redactor = redactor

    def done(
        self, asked: Asked, value: Mapping[str, object], *, milliseconds: int, held: bool
    ) -> CallResult:
        """The call did what it was asked for."""
        shown = self._redactor.value(value)
        body = {"status": "done", "value": shown}
        self._recorder.outcome(asked, body, milliseconds=milliseconds, held=held)
        return CallResult(call_id=asked.call.call_id, tool=asked.spec.name, value=shown)

    def failed(self, asked: Asked, reason: str, *, milliseconds: int, held: bool) -> Never:
        """The call failed.

        Raises:
            ToolFailedError: Always.
        """
        shown = self._redactor.text(reason)
        body = {"status": "failed", "error": shown}
        self._recorder.outcome(asked, body, milliseconds=milliseconds, held=held)
        raise ToolFailedError(tool_name=asked.spec.name, reason=shown)

    def answered(
        self, asked: Asked, reply: ModelReply, *, milliseconds: int, held: bool, used: ModelUse
    ) -> ModelReply:
        """A model has answered: what the actor gets is what the record holds."""
        shown = self._redactor.value(reply_to_mapping(reply))
        body = {"status": "done", "value": shown, "model": asked.arguments["model"]}
        self._recorder.outcome(asked, body, milliseconds=milliseconds, held=held, used=used)
        return reply_from_mapping(shown)

    def unanswered(
        self,
        asked: Asked,
        error: ModelFailedError,
        *,
        milliseconds: int,
        held: bool,
        used: ModelUse,
    ) -> Never:
        """A model gave no answer.

        Raises:
            ModelFailedError: Always; with what the record holds.
        """
        shown = self._redactor.text(error.reason)
        body = {
            "status": "failed",
            "error": shown,
            "failure": error.kind,
            "retry_after_s": error.retry_after_s,
            "billed": error.is_billed,
            "model": asked.arguments["model"],
        }
        self._recorder.outcome(asked, body, milliseconds=milliseconds, held=held, used=used)
        raise ModelFailedError(
            kind=error.kind,
            reason=shown,
            retry_after_s=error.retry_after_s,
            is_billed=error.is_billed,
        )

    def unmerged(
        self, asked: Asked, error: MergeRefusedError, *, milliseconds: int, held: bool
    ) -> Never:
        """A spawned child made what may not come back.

        Raises:
            MergeRefusedError: Always; with what the record holds.
        """
        problems = tuple(map(self._redactor.text, error.problems))
        shown = MergeRefusedError(plan_id=error.plan_id, problems=problems)
        body = {
            "status": "merge_refused",
            "subplan_id": shown.plan_id,
            "problems": list(shown.problems),
            "error": shown.message,
        }
        with self._recorder.one_commit():
            self._refusals.merge(error, asked.context)
            self._recorder.outcome(asked, body, milliseconds=milliseconds, held=held)
        raise shown

    def refused(
        self, asked: Asked, error: SubplanRefusedError, *, milliseconds: int, held: bool
    ) -> Never:
        """A refusal ended the spawned child.

        Raises:
            SubplanRefusedError: Always; the one given.
        """
        # A spawn whose child ended for budget has no outcome and is asked anew (section 11).
        if error.exit_code == BudgetExceededError.exit_code:
            self._recorder.give_back(asked, held=held)
            raise error
        body = {
            "status": "refused",
            "subplan_id": error.subplan_id,
            "name": error.name,
            "error": error.reason,
        }
        self._recorder.outcome(asked, body, milliseconds=milliseconds, held=held)
        raise error
