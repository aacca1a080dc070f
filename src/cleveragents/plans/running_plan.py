"""A plan that this process owns and runs: its charter and the means to act."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from cleveragents.plans.charter import Charter
    from cleveragents.plans.executor import PlanExecutor
    from cleveragents.runtime.call_context import CallContext, Servers
    from cleveragents.runtime.cell_proxy import CellNetwork
    from cleveragents.runtime.plan_cell import PlanCell
    from cleveragents.runtime.tool_registry import ToolRegistry
    from cleveragents.terms.plan import PlanDefinition, SubplanDefinition


@dataclass(frozen=True, slots=True)
class Served:
    """A plan whose calls come from somebody else's client: over live directories, never resumed."""

    tools: ToolRegistry
    hands: PlanCell
    act: Callable[[PlanExecutor], None]
    """Serves until the client, a signal or the plan's owner ends it."""
    is_writable: bool = False
    """Whether a call may change something of those directories."""
    servers: Callable[[CellNetwork | None], Servers | None] = lambda _: None
    """Gives the MCP servers that stand behind it, which reach what its cells may; its hands
    end them."""


@dataclass(frozen=True, slots=True)
class RunningPlan:
    """Fixed for the time that this process runs it."""

    charter: Charter
    definition: PlanDefinition | SubplanDefinition
    context: CallContext
    cell: PlanCell
    attempt: int = 1
    """From the second on, a program that was cut off starts again."""
    served: Served | None = None
    """What a gateway brings along."""

    @property
    def plan_id(self) -> str:
        """Its id."""
        return self.charter.plan_id
