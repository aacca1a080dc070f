"""One request and its answer, on the loop of the line: streamed or in one piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_ai import messages as lib

from cleveragents.errors import ModelFailedError
from cleveragents.models.conversion import to_messages, to_parameters, to_reply, to_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_ai.models import Model, ModelRequestParameters
    from pydantic_ai.settings import ModelSettings

    from cleveragents.models.adapter import Adapter
    from cleveragents.terms.model import ModelReply, ModelRequest


class Exchange:
    """One request, converted, and what to do with the words of its answer.

    Args:
        adapter: Who is asked.
        request: The whole conversation.
        on_text: Told the answer's words as they arrive; ``None``: it comes in
            one piece.
        timeout_s: That the host may stay silent.
    """

    def __init__(
        self,
        adapter: Adapter,
        request: ModelRequest,
        *,
        on_text: Callable[[str], None] | None,
        timeout_s: float,
    ) -> None:
        target = adapter.target
        self._model: Model = adapter.model
        self._name = target.model
        self._on_text = on_text
        self._messages = to_messages(request)
        self._parameters: ModelRequestParameters = to_parameters(request.tools)
        self._settings: ModelSettings | None = to_settings(
            target, max_output_tokens=request.max_output_tokens, timeout_s=timeout_s
        )

    async def run(self) -> ModelReply:
        """Send it and read the answer.

        Raises:
            ModelFailedError: The answer is no whole one. Everything else that
                goes wrong is an error of the library.
        """
        if self._on_text is None:
            response = await self._model.request(self._messages, self._settings, self._parameters)
        else:
            response = await self._streamed(self._on_text)
        if response.state != "complete" or not _has_ended(response):
            raise ModelFailedError(
                kind="bad_reply",
                reason="the answer ended before the model was done",
                is_billed=True,
            )
        return to_reply(response, fallback_model=self._name)

    async def _streamed(self, on_text: Callable[[str], None]) -> lib.ModelResponse:
        async with self._model.request_stream(
            self._messages, self._settings, self._parameters
        ) as stream:
            async for event in stream:
                words = _words(event)
                if words:
                    on_text(words)
            return stream.get()


def _has_ended(response: lib.ModelResponse) -> bool:
    """Say whether the provider said why it stopped: a stream that just ends says nothing.

    A reason that the library does not know is one too, and stands in the details.
    """
    details = response.provider_details or {}
    return response.finish_reason is not None or bool(details.get("finish_reason"))


def _words(event: object) -> str:
    """What an event adds to the answer's text; thinking is not part of it."""
    if isinstance(event, lib.PartStartEvent) and isinstance(event.part, lib.TextPart):
        return event.part.content
    if isinstance(event, lib.PartDeltaEvent) and isinstance(event.delta, lib.TextPartDelta):
        return event.delta.content_delta
    return ""
