"""The parts that a plan's life is made of, put together once by assembly."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cleveragents.boundary.cell import CellLauncher
    from cleveragents.boundary.cell_spec import CellLimits
    from cleveragents.boundary.git import Git
    from cleveragents.boundary.tree import TreeStore
    from cleveragents.boundary.workspace import Workspaces
    from cleveragents.plans.charter import Charter
    from cleveragents.plans.conflict_book import ConflictBook
    from cleveragents.plans.decision_book import DecisionBook
    from cleveragents.plans.proposal_book import ProposalBook
    from cleveragents.plans.watch import Watch
    from cleveragents.record.account import AccountBook
    from cleveragents.record.log import RecordLog
    from cleveragents.record.owner import OwnerDesk
    from cleveragents.record.plan_table import PlanTable
    from cleveragents.record.store import Store
    from cleveragents.runtime.cell_proxy import Edge
    from cleveragents.runtime.tool_registry import ToolRegistry
    from cleveragents.runtime.tool_runtime import ToolRuntime
    from cleveragents.runtime.tool_server import ToolServers
    from cleveragents.terms.interaction import Interaction


@dataclass(frozen=True, slots=True)
class Means:
    """Everything that is shared by all plans of one process."""

    store: Store
    log: RecordLog
    rows: PlanTable
    owners: OwnerDesk
    accounts: AccountBook
    git: Git
    trees: TreeStore
    workspaces: Workspaces
    proposals: ProposalBook
    conflicts: ConflictBook
    decisions: DecisionBook
    launcher: CellLauncher
    limits: CellLimits
    door: ToolRuntime
    open_edge: Callable[[], Edge]
    """Gives what carries the connections of cells, when the first one comes."""
    watch: Watch
    interaction: Interaction
    tools_of: Callable[[Charter], ToolRegistry]
    """The registry of a charter: built-in tools, and the own tools and servers it names."""
    servers_of: Callable[..., ToolServers]
    """The MCP servers of a charter; see ``assembly.server_room``."""
    new_id: Callable[[], str]
    timestamp: Callable[[], str]

    @contextmanager
    def owned(self, root_id: str) -> Iterator[None]:
        """Own a root plan for a while: the OS lock, and the epoch that each append checks.

        Raises:
            PlanBusyError: A living process owns it; names it.
        """
        ownership = self.owners.acquire(root_id)
        try:
            self.log.own(ownership)
            yield
        finally:
            self.log.disown(root_id)
            ownership.release()
