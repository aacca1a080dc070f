"""Every request of an agent to its model, through the door: what it may use is held before."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Never, cast

from pydantic_ai import exceptions as lib
from pydantic_ai.messages import ModelMessagesTypeAdapter
from pydantic_ai.models.wrapper import WrapperModel

from cleveragents.assembly.passage import Passage
from cleveragents.errors import (
    BudgetExceededError,
    ConfigurationError,
    ModelFailedError,
    UnpricedModelError,
)
from cleveragents.integrations.governed_run import STOPPED, endpoint_of, plain, sentence_of
from cleveragents.models.conversion import usage_of
from cleveragents.models.failure import failure_of
from cleveragents.models.token_count import upper_bound
from cleveragents.runtime.model_ask import ModelAsk
from cleveragents.terms.digest import digest_value
from cleveragents.terms.model import ModelReply, ModelRequest, ModelTool, ModelUsage, ToolAsk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import (
        Model,
        ModelRequestContext,
        ModelRequestParameters,
        StreamedResponse,
    )
    from pydantic_ai.models.batch import BatchRequest, EncodedBatchRequest
    from pydantic_ai.settings import ModelSettings
    from pydantic_ai.tools import RunContext

    from cleveragents.integrations.governed_run import GovernedRun
    from cleveragents.runtime.model_desk import Price
    from cleveragents.terms.model import Finish, ModelEndpoint

    Crossing = Passage[None, ModelReply, ModelReply]

TOOL_SEARCH: Final = "tool_search"
"""The one native tool that does nothing but show the agent's own tools."""
_FINISH: Final[Mapping[str, Finish]] = {
    "stop": "stop",
    "length": "length",
    "tool_call": "tools",
    "content_filter": "refused",
}


class GovernedModel(WrapperModel):
    """The model that serves one attempt, behind the door.

    Args:
        wrapped: The agent's own.
        run: The agent's run.
    """

    def __init__(self, wrapped: Model, run: GovernedRun) -> None:
        super().__init__(wrapped)
        self._run = run

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Take one request through the door.

        Raises:
            UsageLimitExceeded: A limit does not admit what it may use; nothing was sent.
        """
        settings = self._bounded(model_settings)
        parameters = model_request_parameters
        async with self._cross(messages, settings, parameters) as passage:
            response = await self.wrapped.request(messages, settings, parameters)
            passage.answer(_reply(response))
        return _as_recorded(response, passage.end)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Take one streamed request through the door; what was streamed is its outcome.

        Raises:
            UsageLimitExceeded: A limit does not admit what it may use; nothing was sent.
        """
        settings = self._bounded(model_settings)
        parameters = model_request_parameters
        async with self._cross(messages, settings, parameters) as passage:
            async with self.wrapped.request_stream(
                messages, settings, parameters, run_context
            ) as stream:
                yield stream
            passage.answer(_reply(stream.get()))

    async def compact_messages(
        self, request_context: ModelRequestContext, *, instructions: str | None = None
    ) -> ModelResponse:
        """Refuse what no limit can be held for."""
        del request_context, instructions
        _ungoverned("compacting messages at the provider")

    async def batch_encode(self, request: BatchRequest) -> EncodedBatchRequest:
        """Refuse what no limit can be held for."""
        del request
        _ungoverned("a batch of requests")

    @asynccontextmanager
    async def _cross(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> AsyncGenerator[Crossing]:
        for native in parameters.native_tools:
            if native.kind != TOOL_SEARCH:
                raise ConfigurationError(
                    problem=f"the provider runs the native tool {native.kind!r}, past the door",
                    hint="take it out of the agent, or give it a function tool that does the same",
                )
        passage: Crossing = Passage()
        ask = self._ask(messages, settings, parameters)
        door = _Door(self._run, ask, passage)
        try:
            with self._run.under_way():
                async with passage.open(door.walk, gone=_gone):
                    yield passage
        except (BudgetExceededError, UnpricedModelError) as error:
            raise lib.UsageLimitExceeded(f"{error.code}: {error.message}") from error

    def _bounded(self, settings: ModelSettings | None) -> ModelSettings | None:
        """Let an answer be no longer than what is held for it."""
        if not self._run.plan.is_metered:
            return settings
        most = self._run.asked.max_output_tokens
        own = (settings or {}).get("max_tokens")
        return {**(settings or {}), "max_tokens": most if own is None else min(own, most)}

    def _ask(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> ModelAsk:
        # As what is recorded, not as what is sent: a part may carry what no provider sees.
        dumped: list[dict[str, Any]] = plain(messages)
        # Of every message the parts are counted, whoever said them.
        wrapped = tuple({"role": "assistant", "message": one} for one in dumped)
        told, self._run.told = min(self._run.told, len(wrapped)), len(wrapped)
        tools = [*parameters.function_tools, *parameters.output_tools]
        request = ModelRequest(
            instructions="\n".join(one.content for one in parameters.instruction_parts or ()),
            messages=wrapped,
            tools=tuple(
                ModelTool(one.name, one.description or "", one.parameters_json_schema)
                for one in tools
            ),
            max_output_tokens=(settings or {}).get("max_tokens")
            or self._run.asked.max_output_tokens,
        )
        return ModelAsk(
            step=self._run.request_step(),
            attempt=1,
            endpoint=endpoint_of(self.wrapped),
            request=request,
            new=wrapped[told:],
            digest=digest_value([request.instructions, dumped]),
            on_text=_unheard,
            should_stop=lambda: False,
        )


class _Door:
    """What the models room is to the door, for one request of somebody else's model."""

    def __init__(self, run: GovernedRun, ask: ModelAsk, passage: Crossing) -> None:
        self._run, self._ask, self._passage = run, ask, passage

    def walk(self) -> ModelReply:
        """Decide, hold, record, send and settle; in the door's thread."""
        return self._run.plan.ask(self._ask, models=self)

    def host_of(self, endpoint: ModelEndpoint) -> str:
        """The host, where the program names one; else whose model it is."""
        address = endpoint.base_url.partition("://")[2] or endpoint.model.partition(":")[0]
        return address.partition("/")[0].rpartition("@")[2].partition(":")[0].lower()

    def upper_bound(self, request: ModelRequest) -> int:
        """More input tokens than the request can have; what stands behind a URL is not seen."""
        return upper_bound(request)

    def price(self, endpoint: ModelEndpoint) -> Price | None:
        """Its price; ``None`` when nobody says."""
        return self._run.plan.price(endpoint)

    def ask(
        self,
        endpoint: ModelEndpoint,
        request: ModelRequest,
        *,
        secret: str | None,
        tokens: int,
        on_text: Callable[[str], None],
        should_stop: Callable[[], bool],
    ) -> ModelReply:
        """Let the agent's own model send it.

        Raises:
            ModelFailedError: There is no answer.
        """
        del endpoint, request, secret, tokens, on_text, should_stop
        return self._passage.perform(None)


def _unheard(text: str) -> None:
    del text


def _ungoverned(what: str) -> Never:
    raise ConfigurationError(
        problem=f"{what} cannot be governed: no limit can be held for it",
        hint="take it out of the agent, or run it without Governed",
    )


def _gone(error: BaseException) -> BaseException:
    if isinstance(error, STOPPED):
        return ModelFailedError(kind="cancelled", reason=sentence_of(error), is_billed=True)
    return failure_of(error, secret=None)


def _reply(response: ModelResponse) -> ModelReply:
    # One that broke off was not counted to its end.
    is_whole = response.state == "complete"
    return ModelReply(
        text=response.text or "",
        asks=tuple(
            ToolAsk(id=one.tool_call_id, name=one.tool_name, arguments=one.args_as_dict())
            for one in response.tool_calls
        ),
        usage=usage_of(response) if is_whole else ModelUsage(is_reported=False),
        finish=_FINISH.get(response.finish_reason or "", "unknown"),
        model=response.model_name or "",
        message=ModelMessagesTypeAdapter.dump_python([response], mode="json", fallback=str)[0],
    )


def _as_recorded(response: ModelResponse, recorded: ModelReply) -> ModelResponse:
    """The answer as the record holds it: where a credential was in it, it is in neither."""
    if recorded.message == _reply(response).message:
        return response
    # It was one before, and keeps its kind.
    return cast("ModelResponse", ModelMessagesTypeAdapter.validate_python([recorded.message])[0])
