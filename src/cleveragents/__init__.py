"""The runtime that people trust when agents work alone.

``__all__`` is the whole public surface. Each name is loaded when it is first
used: an eager package would pull the host's rooms into every cell.
"""

from __future__ import annotations

from importlib import import_module  # noqa: TID251  # the lazy root is the one place that may
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cleveragents.assembly.embedding import PlanReport, run_plan
    from cleveragents.config.settings import Settings
    from cleveragents.errors import (
        ApplyFailedError,
        ApprovalPendingError,
        BudgetExceededError,
        CleverAgentsError,
        ConfigurationError,
        DelegationError,
        IsolationUnavailableError,
        MergeConflictError,
        MergeRefusedError,
        ModelFailedError,
        PlanBudgetExceededError,
        PlanBusyError,
        PlanCancelledError,
        RecordedEndingError,
        RecordError,
        RefusalError,
        SecurityBoundaryViolation,
        SubplanRefusedError,
        ToolAccessDeniedError,
        ToolFailedError,
        UnknownPlanError,
        UnknownSafetyProfileError,
        UnknownSessionError,
        UnknownToolError,
        UnpricedModelError,
    )
    from cleveragents.plans.executor import PlanExecutor
    from cleveragents.plans.lifecycle import PlanLifecycleService
    from cleveragents.plans.merge import MergeInterface
    from cleveragents.policy.enforcer import SafetyProfileEnforcer
    from cleveragents.policy.gate import public_decide as decide
    from cleveragents.policy.grant import Grant
    from cleveragents.policy.profile import SafetyProfile
    from cleveragents.policy.subplan_context import SubplanSecurityContext
    from cleveragents.runtime.cost_tracker import CostTracker
    from cleveragents.runtime.tool_runtime import ToolRuntime
    from cleveragents.terms.tool import ToolSpec
    from cleveragents.tools.catalog import tool_spec
    from cleveragents.tools.own_tool import tool

__all__ = [
    "ApplyFailedError",
    "ApprovalPendingError",
    "BudgetExceededError",
    "CleverAgentsError",
    "ConfigurationError",
    "CostTracker",
    "DelegationError",
    "Grant",
    "IsolationUnavailableError",
    "MergeConflictError",
    "MergeInterface",
    "MergeRefusedError",
    "ModelFailedError",
    "PlanBudgetExceededError",
    "PlanBusyError",
    "PlanCancelledError",
    "PlanExecutor",
    "PlanLifecycleService",
    "PlanReport",
    "RecordError",
    "RecordedEndingError",
    "RefusalError",
    "SafetyProfile",
    "SafetyProfileEnforcer",
    "SecurityBoundaryViolation",
    "Settings",
    "SubplanRefusedError",
    "SubplanSecurityContext",
    "ToolAccessDeniedError",
    "ToolFailedError",
    "ToolRuntime",
    "ToolSpec",
    "UnknownPlanError",
    "UnknownSafetyProfileError",
    "UnknownSessionError",
    "UnknownToolError",
    "UnpricedModelError",
    "decide",
    "run_plan",
    "tool",
    "tool_spec",
]

_PLACES = {
    "decide": ("policy.gate", "public_decide"),
    "Grant": ("policy.grant", "Grant"),
    "SafetyProfile": ("policy.profile", "SafetyProfile"),
    "SafetyProfileEnforcer": ("policy.enforcer", "SafetyProfileEnforcer"),
    "SubplanSecurityContext": ("policy.subplan_context", "SubplanSecurityContext"),
    "ToolSpec": ("terms.tool", "ToolSpec"),
    "tool_spec": ("tools.catalog", "tool_spec"),
    "tool": ("tools.own_tool", "tool"),
    "run_plan": ("assembly.embedding", "run_plan"),
    "PlanReport": ("assembly.embedding", "PlanReport"),
    "PlanExecutor": ("plans.executor", "PlanExecutor"),
    "PlanLifecycleService": ("plans.lifecycle", "PlanLifecycleService"),
    "MergeInterface": ("plans.merge", "MergeInterface"),
    "ToolRuntime": ("runtime.tool_runtime", "ToolRuntime"),
    "CostTracker": ("runtime.cost_tracker", "CostTracker"),
    "Settings": ("config.settings", "Settings"),
}
"""Room and name of what is no error; errors are all in one file."""


def __getattr__(name: str) -> object:
    """Load a public name when it is first used."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    room, inner = _PLACES.get(name, ("errors", name))
    # The table above, and the errors, are all that it can load.
    return getattr(import_module(f"{__name__}.{room}"), inner)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return list(__all__)
