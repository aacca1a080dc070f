"""A plan that this process owns and runs: its charter and the means to act."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cleveragents.plans.charter import Charter
    from cleveragents.runtime.call_context import CallContext
    from cleveragents.runtime.plan_cell import PlanCell
    from cleveragents.terms.plan import PlanDefinition, SubplanDefinition


@dataclass(frozen=True, slots=True)
class RunningPlan:
    """Fixed for the time that this process runs it."""

    charter: Charter
    definition: PlanDefinition | SubplanDefinition
    context: CallContext
    cell: PlanCell
    attempt: int = 1
    """From the second on, a program that was cut off starts again."""

    @property
    def plan_id(self) -> str:
        """Its id."""
        return self.charter.plan_id
