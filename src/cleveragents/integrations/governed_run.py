"""One run of a foreign agent as a plan: when it starts, what its calls are called, how it ends."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic_ai import exceptions as lib
from pydantic_core import to_jsonable_python

from cleveragents.assembly.allowance import Typed
from cleveragents.assembly.embedded_charter import EmbeddedRequest
from cleveragents.assembly.embedded_plan import open_plan
from cleveragents.errors import (
    CleverAgentsError,
    ConfigurationError,
    PlanCancelledError,
    ToolFailedError,
)
from cleveragents.integrations.governed_pin import ToolPins
from cleveragents.integrations.governed_tool import tool_name, tool_specs
from cleveragents.terms.digest import canonical_json
from cleveragents.terms.model import ModelEndpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic_ai.models import Model
    from pydantic_ai.tools import ToolDefinition

    from cleveragents.assembly.embedded_plan import EmbeddedPlan
    from cleveragents.integrations.pydantic_ai import Governed
    from cleveragents.terms.tool import ToolSpec

AGENT: Final = "pydantic-ai agent"
STOPPED: Final = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)
"""What ends a run from outside."""


class GovernedRun:
    """Opens the plan when the agent's tools are known, which is before its first request.

    Args:
        asked: What the program wants governed.
        agent: The agent's name.
    """

    def __init__(self, asked: Governed, *, agent: str | None) -> None:
        self._asked = asked
        self._agent = agent or AGENT
        self._plan: EmbeddedPlan | None = None
        self._specs: Mapping[str, ToolSpec] = {}
        self._lock = threading.Lock()
        self._number = 0
        self._requests = 0
        self._waiting: dict[tuple[str, str], str] = {}
        self._under_way = 0
        self._is_over = False
        self._error: BaseException | None = None
        self.pins = ToolPins()
        """What the agent's tools said of themselves when it began."""
        self.told = 0
        """Messages of the conversation that the record holds already."""

    @property
    def asked(self) -> Governed:
        """What the program wants governed."""
        return self._asked

    @property
    def plan(self) -> EmbeddedPlan:
        """The plan.

        Raises:
            ConfigurationError: The agent acts before its tools are known.
        """
        if self._plan is None:
            raise ConfigurationError(problem="the agent acts before its tools are known")
        return self._plan

    def spec(self, name: str) -> ToolSpec | None:
        """The tool of the agent's own name; ``None`` for one that came after the plan began."""
        return self._specs.get(name)

    def late_name(self, name: str) -> str:
        """What a tool is called that came after the plan began: never as one that is known."""
        found = tool_name(name)
        is_taken = any(spec.name == found for spec in self._specs.values())
        return f"{found} (late)" if is_taken else found

    async def ready(self, tools: Iterable[ToolDefinition], model: Model) -> None:
        """Start the plan, once the tools are known.

        Args:
            tools: Every function and MCP tool of the agent.
            model: The one that it asks.

        Raises:
            CleverAgentsError: Nothing started: the profile or a declaration is
                not in order, or a tool would run past the door.
        """
        if self._plan is not None:
            return
        asked = self._asked
        self._specs = tool_specs(list(tools), asked)
        request = EmbeddedRequest(
            name=asked.name or self._agent,
            workspace=Path(asked.workspace),
            safety_profile=asked.safety_profile,
            automation_profile=asked.automation_profile,
            limits=Typed(
                asked.max_cost_usd,
                *(
                    None if one is None else str(one)
                    for one in (
                        asked.max_tokens,
                        asked.max_requests,
                        asked.max_tool_calls,
                        asked.max_seconds,
                    )
                ),
            ),
            session=asked.session,
        )
        # Opening reads files and a database: not in the loop.
        await asyncio.to_thread(self._open, request, endpoint_of(model))

    def _open(self, request: EmbeddedRequest, endpoint: ModelEndpoint) -> None:
        specs = list(self._specs.values())
        plan = open_plan(request, specs=specs, endpoint=endpoint, environ=dict(os.environ))
        with self._lock:
            self._plan = plan
        # The run may have been cancelled while the plan was being opened.
        self._end()

    def step(self, turn: int, key: tuple[str, str]) -> str:
        """Name a call: ``turn.number``; one that waited for a person keeps its name.

        Args:
            turn: The agent's request that it belongs to.
            key: Tool and digest of the arguments.
        """
        with self._lock:
            known = self._waiting.pop(key, "")
            if known:
                return known
            self._number += 1
            return f"{turn}.{self._number}"

    def request_step(self) -> str:
        """Name a request to the model."""
        with self._lock:
            self._requests += 1
            return f"request-{self._requests}"

    def wait(self, key: tuple[str, str], step: str) -> None:
        """Remember a call that waits: asked again as it was, it is that call."""
        with self._lock:
            self._waiting[key] = step

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count what is on its way through the door; on the agent's loop."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._end()

    def close(self, error: BaseException | None) -> None:
        """End the plan; what is still on its way ends first.

        A cancelled run gets here before its tools have noticed: the last of
        them that leaves the door ends the plan.

        Args:
            error: What ended the agent's run; ``None``: it is done.
        """
        self._is_over, self._error = True, error
        self._end()

    def _end(self) -> None:
        with self._lock:
            if not self._is_over or self._under_way or self._plan is None:
                return
            plan, self._plan = self._plan, None
        plan.close(None if self._error is None else _ending(self._error, plan.plan_id))


def endpoint_of(model: Model) -> ModelEndpoint:
    """Who is asked, as the record names it."""
    return ModelEndpoint(model=model.model_id, base_url=model.base_url or "")


def _ending(error: BaseException, plan_id: str) -> CleverAgentsError:
    """What the plan ended by, in our words."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, CleverAgentsError):
            return found
        found = found.__cause__
    if isinstance(error, STOPPED):
        return PlanCancelledError(plan_id=plan_id)
    return ToolFailedError(tool_name="agent", reason=sentence_of(error))


def sentence_of(error: BaseException) -> str:
    """An exception of somebody else's code as one sentence."""
    if isinstance(error, STOPPED):
        return "the agent's run was cancelled"
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def refusal(error: CleverAgentsError) -> lib.ToolFailed:
    """A no as the model reads it: a code and a sentence, and no request to try again."""
    return lib.ToolFailed(f"{error.code}: {error.message}")


def plain(value: object) -> Any:
    """A value as the JSON that is decided on and recorded.

    Raises:
        ValueError: It cannot be spelt as JSON.
    """
    found = to_jsonable_python(
        value, bytes_mode="base64", inf_nan_mode="null", serialize_unknown=True
    )
    canonical_json(found)
    return found
