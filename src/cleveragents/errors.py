"""Every error of the product, as one tree sorted by what the caller may assume.

::

    CleverAgentsError
      ConfigurationError            nothing started
        UnknownSafetyProfileError
        UnknownToolError
        UnknownPlanError
        UnknownSessionError
      RefusalError                  nothing was executed
        ToolAccessDeniedError
        SecurityBoundaryViolation
        DelegationError
        SubplanRefusedError         the child kept its work, nothing was merged
        BudgetExceededError
          PlanBudgetExceededError
        UnpricedModelError
      ApprovalPendingError          nothing was executed, a person is asked
      IsolationUnavailableError     nothing was executed
      ToolFailedError               something may have happened, inside the cell
        ModelFailedError            nothing happened; the request may have been billed
      PlanBusyError                 nothing was executed, the plan has an owner
      PlanCancelledError            nothing further is executed
      MergeRefusedError             the subplan ran, the parent is unchanged
      MergeConflictError            the subplan ran, the parent is unchanged
      ApplyFailedError              the directory is as it was, or its journal says how to mend it
      RecordedEndingError           what ended a plan in an earlier run
      RecordError                   stop: we cannot say

Facts are keyword-only; each class builds its own message from them, in lower
case, without a full stop, on one line. Every error survives pickling.
"""

from __future__ import annotations

# No typing: it is what a cold cell would wait for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar


def _rebuild(cls: Callable[..., CleverAgentsError], facts: dict[str, object]) -> CleverAgentsError:
    return cls(**facts)


class CleverAgentsError(Exception):
    """The root: something that a person is told in one sentence."""

    code: ClassVar[str] = "error"
    """Stable machine-readable name, the same in every release."""
    exit_code: ClassVar[int] = 1
    """What the command returns for it (design, section 7)."""

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self._facts = facts

    @property
    def message(self) -> str:
        """The one sentence."""
        return str(self.args[0])

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild from the facts: keyword-only errors do not pickle without this."""
        return (_rebuild, (type(self), self._facts))


class ConfigurationError(CleverAgentsError):
    """What was asked for cannot be understood; nothing started."""

    code = "configuration"
    exit_code = 2

    def __init__(self, *, problem: str, where: str = "", hint: str = "") -> None:
        text = f"{where}: {problem}" if where else problem
        super().__init__(
            f"{text}; {hint}" if hint else text, problem=problem, where=where, hint=hint
        )
        self.problem = problem
        self.where = where
        """File and key path, such as ``plan.yaml: steps[2].subplan``."""
        self.hint = hint


class UnknownSafetyProfileError(ConfigurationError):
    """A safety profile was named that does not exist; nothing falls back."""

    code = "unknown_safety_profile"

    def __init__(self, *, name: str, known: tuple[str, ...], where: str = "") -> None:
        super().__init__(
            problem=f"no safety profile is named {name!r}",
            where=where,
            hint="known: " + ", ".join(known),
        )
        self._facts = {"name": name, "known": known, "where": where}
        self.name = name
        self.known = known


class UnknownToolError(ConfigurationError):
    """A tool was named that is not registered."""

    code = "unknown_tool"

    def __init__(self, *, name: str, known: tuple[str, ...], where: str = "") -> None:
        super().__init__(
            problem=f"no tool is named {name!r}", where=where, hint="known: " + ", ".join(known)
        )
        self._facts = {"name": name, "known": known, "where": where}
        self.name = name
        self.known = known


class UnknownPlanError(ConfigurationError):
    """A plan id was given that the store does not hold."""

    code = "unknown_plan"

    def __init__(self, *, plan_id: str) -> None:
        super().__init__(
            problem=f"no plan has the id {plan_id!r}", hint="'agents plan list' shows them"
        )
        self._facts = {"plan_id": plan_id}
        self.plan_id = plan_id


class UnknownSessionError(ConfigurationError):
    """A session id was given that the store does not hold."""

    code = "unknown_session"

    def __init__(self, *, session_id: str) -> None:
        super().__init__(
            problem=f"no session has the id {session_id!r}",
            hint="'agents session list' shows them",
        )
        self._facts = {"session_id": session_id}
        self.session_id = session_id


class RefusalError(CleverAgentsError):
    """A call was refused; nothing was executed."""

    code = "refused"
    exit_code = 3


class ToolAccessDeniedError(RefusalError):
    """A safety profile does not admit the call.

    Source:
        Issue 8983: the error includes the tool name, the active profile name
        and a human-readable reason.
    """

    code = "tool_access_denied"

    def __init__(self, *, tool_name: str, profile_name: str, reason: str) -> None:
        super().__init__(
            f"{tool_name} denied: {reason}",
            tool_name=tool_name,
            profile_name=profile_name,
            reason=reason,
        )
        self.tool_name = tool_name
        self.profile_name = profile_name
        self.reason = reason


class SecurityBoundaryViolation(RefusalError):  # noqa: N818  # the seed's name, kept to the letter
    """A subplan asked for something that it was not handed.

    Source:
        Issue 8985: fields ``subplan_id``, ``resource_name`` and ``timestamp``,
        the resource's name in the message.
    """

    code = "security_boundary"

    def __init__(self, *, subplan_id: str, resource_name: str, timestamp: str) -> None:
        super().__init__(
            f"{resource_name} was not handed to subplan {subplan_id}",
            subplan_id=subplan_id,
            resource_name=resource_name,
            timestamp=timestamp,
        )
        self.subplan_id = subplan_id
        self.resource_name = resource_name
        self.timestamp = timestamp
        """RFC 3339, UTC."""


class DelegationError(RefusalError):
    """A parent asked to hand on more than it may; nothing is trimmed in silence."""

    code = "delegation_refused"

    def __init__(self, *, excesses: tuple[str, ...]) -> None:
        super().__init__("cannot hand on " + "; ".join(excesses), excesses=excesses)
        self.excesses = excesses
        """One sentence for each right that exceeds what the parent may delegate."""


class SubplanRefusedError(RefusalError):
    """A child was ended by a refusal; the parent ends with it unless it goes on.

    Args:
        subplan_id: The child.
        name: Its name in the plan file.
        reason: The first refusal that ended it, in its own words.
        exit_code: That refusal's: 3 policy, 4 budget.
    """

    code = "subplan_refused"

    def __init__(self, *, subplan_id: str, name: str, reason: str, exit_code: int) -> None:
        super().__init__(
            f"subplan {name} ({subplan_id}) was refused: {reason}",
            subplan_id=subplan_id,
            name=name,
            reason=reason,
            exit_code=exit_code,
        )
        self.subplan_id = subplan_id
        self.name = name
        self.reason = reason
        # A fact of this one refusal: budget and policy leave by different codes.
        self.exit_code = exit_code  # type: ignore[misc]  # the child's exit code in place of the class's


class BudgetExceededError(RefusalError):
    """A session's or a day's limit does not admit the worst case of a call."""

    code = "budget_exceeded"
    exit_code = 4

    def __init__(
        self, *, whose: str, dimension: str, limit: str, spent: str, reserved: str, asked: str
    ) -> None:
        super().__init__(
            f"the {dimension} limit of {whose} is {limit}: {spent} spent, {reserved} held,"
            f" {asked} asked for",
            whose=whose,
            dimension=dimension,
            limit=limit,
            spent=spent,
            reserved=reserved,
            asked=asked,
        )
        self.whose = whose
        """Whose limit it is, such as ``plan 01J...`` or ``session 01J...``."""
        self.dimension = dimension
        self.limit = limit
        self.spent = spent
        self.reserved = reserved
        self.asked = asked


class PlanBudgetExceededError(BudgetExceededError):
    """The plan's own limit, or an ancestor plan's, does not admit the call."""

    code = "plan_budget_exceeded"


class UnpricedModelError(RefusalError):
    """A cost limit is in force, and nobody says what the model costs; nothing was sent."""

    code = "unpriced_model"
    exit_code = 4

    def __init__(self, *, model: str) -> None:
        super().__init__(
            f"model {model!r} has no price, and a cost limit is in force: add"
            f' prices."{model}" to the settings, or limit tokens in place of money',
            model=model,
        )
        self.model = model


class ApprovalPendingError(CleverAgentsError):
    """A call waits for a person; nothing was executed and nothing is held."""

    code = "approval_pending"
    exit_code = 7

    def __init__(self, *, plan_id: str, call_id: str, tool_name: str) -> None:
        super().__init__(
            f"{tool_name} waits for a person: agents plan approve {plan_id} {call_id}",
            plan_id=plan_id,
            call_id=call_id,
            tool_name=tool_name,
        )
        self.plan_id = plan_id
        self.call_id = call_id
        self.tool_name = tool_name


class IsolationUnavailableError(CleverAgentsError):
    """The wall cannot be built on this machine; nothing runs without it."""

    code = "isolation_unavailable"
    exit_code = 6

    def __init__(self, *, problem: str, fix: str) -> None:
        super().__init__(f"{problem}; {fix}", problem=problem, fix=fix)
        self.problem = problem
        self.fix = fix
        """What to type to mend it."""


class ToolFailedError(CleverAgentsError):
    """A tool ran and failed; something may have happened, inside the cell."""

    code = "tool_failed"

    def __init__(self, *, tool_name: str, reason: str) -> None:
        super().__init__(f"{tool_name} failed: {reason}", tool_name=tool_name, reason=reason)
        self.tool_name = tool_name
        self.reason = reason


class ModelFailedError(ToolFailedError):
    """A model gave no answer, or none that can be read.

    ``kind`` says what may help: another model (``overloaded``, ``outage``), a
    shorter conversation (``too_long``), the same again (``bad_reply``,
    ``timed_out``, ``interrupted``) or nothing (``unauthorised``,
    ``refused_by_provider``, ``cancelled``).
    """

    code = "model_failed"

    def __init__(
        self,
        *,
        kind: str,
        reason: str,
        retry_after_s: float | None = None,
        is_billed: bool = False,
    ) -> None:
        super().__init__(tool_name="model_request", reason=reason)
        self._facts = {
            "kind": kind,
            "reason": reason,
            "retry_after_s": retry_after_s,
            "is_billed": is_billed,
        }
        self.kind = kind
        self.retry_after_s = retry_after_s
        """What the provider asked for, in seconds."""
        self.is_billed = is_billed
        """Whether the provider may have counted the request: then its worst case is booked."""


class PlanBusyError(CleverAgentsError):
    """Another process owns the plan."""

    code = "plan_busy"

    def __init__(self, *, plan_id: str, owner: str) -> None:
        super().__init__(f"plan {plan_id} is being run by {owner}", plan_id=plan_id, owner=owner)
        self.plan_id = plan_id
        self.owner = owner


class PlanCancelledError(CleverAgentsError):
    """Somebody cancelled the plan; no further call of it is made."""

    code = "cancelled"

    def __init__(self, *, plan_id: str) -> None:
        super().__init__(f"plan {plan_id} was cancelled", plan_id=plan_id)
        self.plan_id = plan_id


class MergeRefusedError(CleverAgentsError):
    """A proposal holds what it may not; the subplan ran, the parent is unchanged."""

    code = "merge_refused"
    exit_code = 3

    def __init__(self, *, plan_id: str, problems: tuple[str, ...]) -> None:
        super().__init__(
            f"the changes of {plan_id} are refused: " + "; ".join(problems),
            plan_id=plan_id,
            problems=problems,
        )
        self.plan_id = plan_id
        self.problems = problems
        """One sentence a path."""


class MergeConflictError(CleverAgentsError):
    """Both sides changed the same place; the receiving tree is unchanged."""

    code = "merge_conflict"
    exit_code = 5

    def __init__(self, *, plan_id: str, paths: tuple[str, ...]) -> None:
        super().__init__(
            f"the changes of {plan_id} conflict in " + ", ".join(paths),
            plan_id=plan_id,
            paths=paths,
        )
        self.plan_id = plan_id
        self.paths = paths


class ApplyFailedError(CleverAgentsError):
    """A change could not be written into the directory; nothing of anybody's is lost."""

    code = "apply_failed"

    def __init__(self, *, plan_id: str, directory: str, problem: str, is_whole: bool) -> None:
        ending = (
            "the directory is as it was"
            if is_whole
            else "the next apply to the directory finishes or undoes it"
        )
        super().__init__(
            f"cannot apply {plan_id} to {directory}: {problem}; {ending}",
            plan_id=plan_id,
            directory=directory,
            problem=problem,
            is_whole=is_whole,
        )
        self.plan_id = plan_id
        self.directory = directory
        self.problem = problem
        self.is_whole = is_whole
        """Whether every file is as it was before."""


class RecordedEndingError(CleverAgentsError):
    """What ended a plan in an earlier run, as the record tells it."""

    code = "recorded_ending"

    def __init__(self, *, code: str, reason: str) -> None:
        super().__init__(reason, code=code, reason=reason)
        self.original_code = code
        self.reason = reason


class RecordError(CleverAgentsError):
    """The record cannot be read, written or believed; stop."""

    code = "record"

    def __init__(self, *, problem: str, hint: str = "") -> None:
        super().__init__(f"{problem}; {hint}" if hint else problem, problem=problem, hint=hint)
        self.problem = problem
        self.hint = hint
