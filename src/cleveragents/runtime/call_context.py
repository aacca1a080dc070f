"""What the host holds for one plan when a call of it comes in; a child never sends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.policy.gate import Scope
    from cleveragents.policy.host_rule import HostRules
    from cleveragents.policy.subplan_context import SubplanSecurityContext
    from cleveragents.runtime.journal import Journal
    from cleveragents.runtime.tool_registry import ToolRegistry
    from cleveragents.terms.call import ToolCall
    from cleveragents.terms.model import ModelEndpoint
    from cleveragents.terms.tool import ToolSpec


class PreparedEffect(Protocol):
    """What a file tool is about to do, by digest, before it does it."""

    @property
    def before(self) -> Mapping[str, str | None]:
        """Digest of each path that changes, as it is; ``None`` when absent."""

    @property
    def after(self) -> Mapping[str, str | None]:
        """Digest of each path as it is going to be."""


class Hands(Protocol):
    """The plan's cell and its workspace, as the door uses them."""

    def call(
        self, tool: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> Mapping[str, object]:
        """Run a body in the cell.

        Raises:
            ToolFailedError: The body failed, or the cell ended under it.
        """

    def prepare(
        self, tool: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> PreparedEffect:
        """Work out what a file tool is going to change, changing nothing."""

    def commit(self, *, timeout_s: float) -> Mapping[str, object]:
        """Do what was prepared last."""

    def is_prepared(self, tool: str) -> bool:
        """Say whether the tool works by prepare and commit."""

    def digests(self, paths: tuple[str, ...]) -> Mapping[str, str | None]:
        """Digest of each path as it is now; ``None`` when absent."""

    def checkpoint(self, call_id: str) -> None:
        """Keep the workspace's change so that ``restore`` can bring it back."""

    def restore(self, call_id: str) -> bool:
        """Bring the workspace back to the checkpoint; False when there is none."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """One plan's authority and its means, fixed when the plan starts."""

    plan_id: str
    root_id: str
    tools: ToolRegistry
    scope: Scope
    hands: Hands
    journal: Journal
    hosts: HostRules
    spawner: Spawner
    credentials: frozenset[str] = frozenset()
    endpoints: frozenset[ModelEndpoint] = frozenset()
    """Models that the plan was started with: who thinks for it, fixed by the operator."""
    approvals: frozenset[str] = frozenset()
    """Tools that wait for a person."""
    accounts: tuple[str, ...] = ()
    """Account keys from the plan up to its root, session and day; empty: nobody limits."""
    security: SubplanSecurityContext | None = None
    """Present exactly when the plan is a subplan."""
    servers: Servers | None = None
    """The plan's own MCP servers; ``None``: it was started without any."""
    is_live: bool = False
    """Whether its calls may change the operator's own directories, not a copy of them."""


class Servers(Protocol):
    """The plan's MCP servers, as the door uses them."""

    def call(
        self, spec: ToolSpec, arguments: Mapping[str, object], *, timeout_s: float
    ) -> Mapping[str, object]:
        """Call a tool of a server.

        Raises:
            ToolFailedError: The tool or its server failed.
            ToolAccessDeniedError: The server offers other tools than were approved.
        """


class Spawner(Protocol):
    """Who makes subplans: the lifecycle service, handed to the door by assembly."""

    def spawn(self, call: ToolCall, context: CallContext) -> Mapping[str, object]:
        """Run one subplan to its merge and give the fields of its result."""


class Broker(Protocol):
    """The host's hands at the edge: network with the host's credentials."""

    def perform(
        self, tool: str, arguments: Mapping[str, object], context: CallContext, *, timeout_s: float
    ) -> Mapping[str, object]:
        """Do one network call under the context's hosts and credentials.

        Raises:
            ToolFailedError: The request was refused by an address rule or failed.
        """
