"""From a refusal, fresh or recorded, to the error that is raised for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.errors import (
    DelegationError,
    MergeRefusedError,
    RefusalError,
    SecurityBoundaryViolation,
    SubplanRefusedError,
    ToolAccessDeniedError,
    ToolFailedError,
)
from cleveragents.terms.call import CallResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.runtime.asked import Asked
    from cleveragents.runtime.journal import Trace
    from cleveragents.terms.decision import Refusal


def error_of(refusal: Refusal, *, tool: str, plan_id: str, at: str) -> RefusalError:
    """The error of a fresh refusal.

    Profile refuses -> ToolAccessDeniedError; grant does not contain it ->
    SecurityBoundaryViolation (design, section 8).

    Args:
        refusal: The first refusal of the call.
        tool: Name of the tool.
        plan_id: The plan that asked.
        at: When it was recorded, RFC 3339.
    """
    if refusal.kind == "security_boundary":
        return SecurityBoundaryViolation(
            subplan_id=plan_id, resource_name=refusal.resource_name, timestamp=at
        )
    return ToolAccessDeniedError(
        tool_name=tool,
        profile_name=refusal.profile or refusal.rule,
        reason=refusal.reason,
    )


def recorded_answer(asked: Asked, trace: Trace) -> CallResult:
    """Answer a call from the record: its result, or the same refusal or failure again.

    Args:
        asked: The call.
        trace: What is recorded of it: an outcome, or a final violation.

    Raises:
        RefusalError: It was refused then; the same class and facts.
        MergeRefusedError: What its child made was refused then.
        ToolFailedError: It failed then.
    """
    if trace.violation is not None:
        raise _recorded_error(asked, trace.violation, at=trace.at)
    outcome = trace.outcome or {}
    match outcome.get("status"):
        case "merge_refused":
            problems = outcome.get("problems")
            raise MergeRefusedError(
                plan_id=str(outcome.get("subplan_id")),
                problems=tuple(map(str, problems)) if isinstance(problems, list) else (),
            )
        case "refused":
            raise SubplanRefusedError(
                subplan_id=str(outcome.get("subplan_id")),
                name=str(outcome.get("name")),
                reason=str(outcome.get("error")),
                exit_code=RefusalError.exit_code,
            )
        case "failed":
            raise ToolFailedError(tool_name=asked.spec.name, reason=str(outcome.get("error")))
    value = outcome.get("value")
    return CallResult(
        call_id=asked.call.call_id,
        tool=asked.spec.name,
        value=value if isinstance(value, dict) else {},
        replayed=True,
    )


def _recorded_error(asked: Asked, violation: Mapping[str, object], *, at: str) -> RefusalError:
    match violation.get("kind"):
        case "delegation_refused":
            excesses = violation.get("excesses")
            return DelegationError(
                excesses=tuple(map(str, excesses)) if isinstance(excesses, list) else ()
            )
        case "security_boundary":
            return SecurityBoundaryViolation(
                subplan_id=asked.context.plan_id,
                resource_name=str(violation.get("resource_name")),
                timestamp=at,
            )
        case _:
            return ToolAccessDeniedError(
                tool_name=asked.spec.name,
                profile_name=str(violation.get("profile") or violation.get("rule")),
                reason=str(violation.get("reason")),
            )
