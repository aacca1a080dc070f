"""Every no of the door: recorded first, then raised.

A refusal that is not in the record did not happen; whoever refuses comes here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Never

from cleveragents.errors import DelegationError
from cleveragents.runtime.refusal import error_of
from cleveragents.terms.decision import Refusal
from cleveragents.terms.digest import digest_value

if TYPE_CHECKING:
    from cleveragents.errors import (
        BudgetExceededError,
        MergeRefusedError,
        RefusalError,
        ToolAccessDeniedError,
        UnpricedModelError,
    )
    from cleveragents.record.redaction import Redactor
    from cleveragents.runtime.asked import Asked
    from cleveragents.runtime.call_context import CallContext
    from cleveragents.runtime.call_recorder import CallRecorder
    from cleveragents.terms.call import ToolCall
    from cleveragents.terms.decision import Denied, ViolationKind

MAX_REFUSALS: Final = 200
"""Paths of one refused merge that the violation names; the proposal in the record names all."""
MAX_NAME: Final = 64
"""Longest tool name; of a longer one, invented by a model, only so much is kept."""
UNKNOWN: Final = "unknown"
"""In the place of a digest, of a tool that there is not."""


class RefusalDesk:
    """Records a refusal and raises its error, with the same bytes in both.

    So an actor is told the same by the record when its plan is resumed, and of
    a declared secret that a refusal would name it is told no more than others.

    Args:
        recorder: Writes the violation.
        redactor: Replaces credential values.
    """

    def __init__(self, recorder: CallRecorder, redactor: Redactor) -> None:
        self._recorder = recorder
        self._redactor = redactor

    def denied(self, asked: Asked, denied: Denied) -> Never:
        """Refuse what the gate refuses.

        Raises:
            ToolAccessDeniedError: A profile does not admit it.
            SecurityBoundaryViolation: The subplan's grant does not hold it.
        """
        at = self._recorder.violation_of(asked, denied.refusals)
        raise self._error(asked, denied.refusals[0], at=at)

    def unknown_tool(self, call: ToolCall, context: CallContext) -> Never:
        """Refuse a name that no tool has.

        Raises:
            ToolAccessDeniedError: In a root plan.
            SecurityBoundaryViolation: In a subplan.
        """
        name = self._redactor.text(call.tool)[:MAX_NAME]
        refusal = _refusal(
            "security_boundary" if context.security else "tool_access_denied",
            rule="registry",
            reason=f"no tool is named {name!r}",
            resource_name=f"tool:{name}",
        )
        digests = {"arguments_digest": digest_value(call.arguments), "tool_digest": UNKNOWN}
        trace = context.journal.find(call.call_id, tool=name, **digests)
        if trace.violation is not None:
            # A plan that is resumed: refused then, and not once more.
            at = trace.at
        else:
            body = {"tool": name, **digests}
            at = self._recorder.violation(context, call.call_id, body, (refusal,))
        raise error_of(self._shown(refusal), tool=name, plan_id=context.plan_id, at=at)

    def resource(self, resource_name: str, call_id: str, context: CallContext) -> Never:
        """Refuse a resource that a subplan asked its channel to open.

        Raises:
            SecurityBoundaryViolation: Always.
        """
        resource_name = self._redactor.text(resource_name)
        refusal = _refusal(
            "security_boundary",
            rule="grant.resources",
            reason=f"{resource_name} was not handed to this subplan",
            resource_name=resource_name,
        )
        body = {"tool": "open", "arguments": {"resource": resource_name}}
        at = self._recorder.violation(context, call_id, body, (refusal,))
        raise error_of(self._shown(refusal), tool="open", plan_id=context.plan_id, at=at)

    def program(self, asked: Asked) -> Never:
        """Refuse a program actor where nothing may be executed.

        Raises:
            ToolAccessDeniedError: In a root plan.
            SecurityBoundaryViolation: In a subplan.
        """
        refusal = _refusal(
            "security_boundary" if asked.context.security else "tool_access_denied",
            rule="effects",
            profile="",
            reason="a program actor needs 'execute', which is not in the ceiling of this plan",
            resource_name="tool:program",
        )
        at = self._recorder.violation_of(asked, (refusal,))
        raise error_of(refusal, tool="program", plan_id=asked.context.plan_id, at=at)

    def by_person(self, asked: Asked, no: ToolAccessDeniedError) -> Never:
        """Refuse what a person refused.

        Raises:
            ToolAccessDeniedError: Always.
        """
        refusal = _denial(asked, no, rule="approval")
        self._recorder.violation_of(asked, (refusal,))
        raise self._error(asked, refusal)

    def changed(self, asked: Asked, error: ToolAccessDeniedError) -> Never:
        """Refuse a tool whose server offers something else than was approved.

        Raises:
            ToolAccessDeniedError: Always.
        """
        refusal = _denial(asked, error, rule="pinned")
        self._recorder.violation_of(asked, (refusal,))
        raise self._error(asked, refusal)

    def over_budget(self, asked: Asked, error: BudgetExceededError | UnpricedModelError) -> Never:
        """Refuse what a limit does not admit, or what cannot be held against one.

        Raises:
            BudgetExceededError: Always; the one given.
        """
        refusal = _refusal(
            "budget_exceeded",
            rule="budget",
            reason=error.message,
            resource_name=f"tool:{asked.spec.name}",
        )
        self._recorder.violation_of(asked, (refusal,))
        raise error

    def delegation(self, asked: Asked, error: DelegationError) -> Never:
        """Refuse to hand on more than may be handed on.

        Raises:
            DelegationError: Always.
        """
        refusal = _refusal(
            "delegation_refused",
            rule="grant.delegates",
            reason=error.message,
            resource_name=f"tool:{asked.spec.name}",
        )
        excesses = tuple(map(self._redactor.text, error.excesses))
        self._recorder.violation_of(asked, (refusal,), {"excesses": list(excesses)})
        raise DelegationError(excesses=excesses)

    def merge(self, error: MergeRefusedError, context: CallContext) -> None:
        """Record that what a plan made may not go further: one violation of that plan.

        Its first refusal is that of the first path; the others stand beside it.

        Args:
            error: Names the plan: the context's own, or a child of it.
            context: Of the plan whose tree the changes were for.
        """
        refusals = tuple(
            _refusal(
                "merge_refused",
                rule="merge",
                reason=problem,
                resource_name=f"file:{problem.partition(': ')[0]}",
            )
            for problem in error.problems
        )
        self._recorder.merge_violation(context, error.plan_id, refusals[:MAX_REFUSALS])

    def _error(self, asked: Asked, refusal: Refusal, *, at: str = "") -> RefusalError:
        return error_of(
            self._shown(refusal), tool=asked.spec.name, plan_id=asked.context.plan_id, at=at
        )

    def _shown(self, refusal: Refusal) -> Refusal:
        return replace(
            refusal,
            reason=self._redactor.text(refusal.reason),
            resource_name=self._redactor.text(refusal.resource_name),
        )


def _denial(asked: Asked, error: ToolAccessDeniedError, *, rule: str) -> Refusal:
    return _refusal(
        "tool_access_denied",
        rule=rule,
        profile=error.profile_name,
        reason=error.reason,
        resource_name=f"tool:{asked.spec.name}",
    )


def _refusal(
    kind: ViolationKind, *, rule: str, reason: str, resource_name: str, profile: str = ""
) -> Refusal:
    return Refusal(
        kind=kind, rule=rule, profile=profile, reason=reason, resource_name=resource_name
    )
