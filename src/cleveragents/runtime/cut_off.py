"""What became of a call that was started and never ended: done, to be done again, or unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cleveragents.errors import RecordError
from cleveragents.terms.tool import Effect

if TYPE_CHECKING:
    from cleveragents.runtime.asked import Asked
    from cleveragents.runtime.call_ending import CallEnding
    from cleveragents.runtime.call_recorder import CallRecorder
    from cleveragents.runtime.consent import Consent
    from cleveragents.runtime.journal import Trace
    from cleveragents.terms.call import CallResult
    from cleveragents.terms.decision import Allowed

Fate = Literal["happened", "again", "unknown"]


class CutOff:
    """Takes up calls that were started and never ended.

    Args:
        recorder: Holds for one that turns out to have happened.
        ending: Records its outcome.
        consent: Asks a person about one of which nobody can know.
    """

    def __init__(self, recorder: CallRecorder, ending: CallEnding, consent: Consent) -> None:
        self._recorder = recorder
        self._ending = ending
        self._consent = consent

    def take_up(self, asked: Asked, decision: Allowed, trace: Trace) -> CallResult | None:
        """Settle one.

        Returns:
            Its result when it turns out to have happened; ``None`` when it may
            be run (again).

        Raises:
            ApprovalPendingError: It may have reached the outside: a person decides.
            ToolAccessDeniedError: The person refuses.
            RecordError: Its files are neither as before nor as after.
        """
        match fate_of(
            asked,
            trace,
            may_change=asked.may_change(decision),
            may_connect=Effect.NETWORK in asked.spec.effects - decision.imposed,
        ):
            case "happened":
                # It is counted, whatever became of what was held for it.
                held = self._recorder.hold(asked)
                return self._ending.done(asked, {"recovered": True}, milliseconds=0, held=held)
            case "unknown":
                self._consent.require(
                    asked, "it was started and never ended; it may have happened already"
                )
                if asked.spec.place == "cell":
                    asked.context.hands.restore(asked.call.call_id)
        return None


def fate_of(asked: Asked, trace: Trace, *, may_change: bool, may_connect: bool = False) -> Fate:
    """Find out, and bring the workspace back to before the call where it may run again.

    Args:
        asked: The call.
        trace: What is recorded of it: a decision and no end.
        may_change: The workspace may differ after it.
        may_connect: It may have reached hosts from within the cell.

    Returns:
        ``happened``: its files are as it meant to leave them. ``again``: it
        stayed inside the workspace and may be run. ``unknown``: it may have
        reached the outside.

    Raises:
        RecordError: Its files are neither as before nor as after.

    Source:
        Design, section 11, "Call identity".
    """
    hands = asked.context.hands
    before, after = _paths(trace, "before"), _paths(trace, "after")
    if after:
        current = hands.digests(tuple(after))
        if current == after:
            return "happened"
        if current != before:
            raise RecordError(
                problem=f"call {asked.call.call_id} was cut off, and its files are neither as"
                " before nor as after it",
                hint=f"'agents plan cancel {asked.context.plan_id}' ends the plan",
            )
        return "again"
    if asked.spec.place == "host":
        return "unknown"
    if may_connect and asked.context.journal.has_connected(since=trace.position):
        return "unknown"
    if asked.spec.place == "cell" and may_change:
        hands.restore(asked.call.call_id)
    return "again"


def _paths(trace: Trace, key: str) -> dict[str, str | None]:
    found = (trace.decision or {}).get(key)
    return dict(found) if isinstance(found, dict) else {}
