"""A capability that puts any pydantic-ai agent's tools and model requests behind the door.

::

    agent = Agent(
        "openai:gpt-5-mini",
        tools=[search],
        capabilities=[Governed(safety_profile="read-only", effects={"search": {"read"}})],
    )

Each run of the agent is a plan: ``agents plan status`` shows it. Every call of
a function or MCP tool is decided, recorded and budgeted before the tool's body
runs. The body stays the agent's own Python function in its own process: the
kernel's wall does not stand around it.

Source:
    pydantic-ai 2.68, ``pydantic_ai/capabilities/abstract.py``.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cleveragents.errors import ConfigurationError

try:
    from pydantic_ai.capabilities import AbstractCapability, CapabilityOrdering
    from pydantic_ai.models import Model
except ModuleNotFoundError as error:
    raise ConfigurationError(
        problem=f"governing a pydantic-ai agent needs the package {error.name!r}",
        hint="pip install 'cleveragents[llm]'",
    ) from error

from cleveragents.integrations.governed_model import GovernedModel
from cleveragents.integrations.governed_run import GovernedRun
from cleveragents.integrations.governed_toolset import GovernedToolset

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from pydantic_ai.capabilities.abstract import WrapRunHandler
    from pydantic_ai.run import AgentRunResult
    from pydantic_ai.tools import RunContext
    from pydantic_ai.toolsets import AbstractToolset

    from cleveragents.policy.profile import SafetyProfile

__all__ = ["Governed"]


@dataclass
class Governed(AbstractCapability[Any]):
    """Decides, records and budgets what an agent does.

    Raises:
        ConfigurationError: ``defer_loading`` is set: until it was loaded,
            nothing would be governed.
    """

    _: KW_ONLY

    safety_profile: str | SafetyProfile | None = None
    """A profile or its name; ``None``: what the settings and the automation profile say."""
    automation_profile: str | None = None
    """A name or a path; its budget and its ``approvals`` count."""
    effects: Mapping[str, Collection[str]] = field(default_factory=dict)
    """What each tool does: ``read``, ``write``, ``delete``, ``network``, ``execute``, ``spawn``.
    A tool that is not named here has all of them."""
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Which arguments of a tool name files or hosts, as in ``{"open_page": {"url": "host"}}``."""
    cost_usd: Mapping[str, str] = field(default_factory=dict)
    """Price of one call of a tool."""
    max_cost_usd: str | None = None
    max_tokens: int | None = None
    max_requests: int | None = None
    max_tool_calls: int | None = None
    max_seconds: int | None = None
    max_output_tokens: int = 8_192
    """Of one answer of the model, where a limit counts tokens or money: so much is held."""
    workspace: str | Path = "."
    """The directory that the tools work in: what relative paths in arguments start from."""
    name: str = ""
    """What the plan is called; empty: the agent's name."""
    session: str | None = None
    """Id of the session that is charged; ``None``: the directory's own."""
    defer_approvals: bool = False
    """A call that waits for a person ends the run as pydantic-ai's ``DeferredToolRequests``.
    Otherwise the model is told the command that admits it."""
    run: GovernedRun | None = field(default=None, init=False, repr=False, compare=False)
    """The run under way; set on the copy that a run gets."""

    def __post_init__(self) -> None:
        """Refuse what would leave a hole."""
        if self.defer_loading:
            raise ConfigurationError(
                problem="Governed cannot be loaded later: until then it would govern nothing",
                where="defer_loading",
            )

    @classmethod
    def get_serialization_name(cls) -> str | None:
        """Give no name: what governs an agent is said in its program, not in a spec."""
        return None

    def get_ordering(self) -> CapabilityOrdering:
        """Stand next to the tools and the model: nobody changes a call after its decision."""
        return CapabilityOrdering(position="innermost")

    async def for_run(self, ctx: RunContext[Any]) -> Governed:
        """Give each run a plan of its own."""
        governed = replace(self)
        governed.run = GovernedRun(governed, agent=ctx.agent.name if ctx.agent else None)
        return governed

    def get_wrapper_toolset(self, toolset: AbstractToolset[Any]) -> AbstractToolset[Any]:
        """Put every function and MCP tool behind the door."""
        return GovernedToolset(toolset, self._under_way)

    def get_wrapper_model(self, model: Model) -> Model:
        """Put every request behind the door."""
        return GovernedModel(model, self._under_way)

    async def wrap_run(
        self, ctx: RunContext[Any], *, handler: WrapRunHandler
    ) -> AgentRunResult[Any]:
        """End the plan with the agent's run, however that ends.

        Raises:
            ConfigurationError: It is a realtime session, whose requests pass no hook.
        """
        if not isinstance(ctx.model, Model):
            raise ConfigurationError(
                problem="a realtime session cannot be governed: its requests pass no door",
                hint="run the agent with a model that answers requests",
            )
        run = self._under_way
        try:
            result = await handler()
        except BaseException as error:
            run.close(error)
            raise
        run.close(None)
        return result

    @property
    def _under_way(self) -> GovernedRun:
        if self.run is None:
            raise ConfigurationError(problem="a Governed capability was used outside of a run")
        return self.run
