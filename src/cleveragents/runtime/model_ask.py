"""One request to a model on its way through the door, and its answer in the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from cleveragents.errors import ModelFailedError
from cleveragents.runtime.asked import Asked
from cleveragents.terms.call import ToolCall
from cleveragents.terms.model import ModelReply, ModelUsage, ToolAsk
from cleveragents.terms.tool import Effect, ToolSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.record.redaction import Redactor
    from cleveragents.runtime.call_context import CallContext
    from cleveragents.runtime.journal import Trace
    from cleveragents.terms.model import Finish, ModelEndpoint, ModelRequest
    from cleveragents.terms.resource import Resource

MODEL_REQUEST: Final = ToolSpec(
    name="model_request",
    description="One request to a model.",
    parameters={"type": "object"},
    effects=frozenset({Effect.NETWORK}),
    place="host",
)
"""Not in any registry: the model's own actor asks, never a call."""


@dataclass(frozen=True, slots=True)
class ModelAsk:
    """What an actor asks of a model.

    The record keeps what is new in the conversation; ``digest`` stands for all
    of it, so that a long plan's record grows with its length and not with its
    square.
    """

    step: str
    attempt: int
    endpoint: ModelEndpoint
    request: ModelRequest
    new: tuple[Mapping[str, object], ...]
    """Messages that no earlier request of the plan held."""
    digest: str
    """Of the whole request."""
    on_text: Callable[[str], None]
    """Told the words of the answer as they arrive."""
    should_stop: Callable[[], bool]
    """The plan is cancelled or out of time."""

    @property
    def arguments(self) -> dict[str, object]:
        """As the record keeps them."""
        return {
            "model": self.endpoint.model,
            "base_url": self.endpoint.base_url,
            "credential": self.endpoint.credential,
            "messages": [dict(one) for one in self.new],
            "max_output_tokens": self.request.max_output_tokens,
        }


def asked_model(
    ask: ModelAsk, context: CallContext, resources: tuple[Resource, ...], redactor: Redactor
) -> Asked:
    """Give a request the form of a call.

    Args:
        ask: What the actor asks.
        context: What the host holds for its plan.
        resources: The host, and the credential that it is sent with.
        redactor: Replaces credential values. What is new in it was redacted
            when it came in, but for the goal's own words.
    """
    arguments = ask.arguments
    return Asked(
        call=ToolCall(
            step=ask.step, tool=MODEL_REQUEST.name, arguments=arguments, attempt=ask.attempt
        ),
        context=context,
        spec=MODEL_REQUEST,
        arguments=arguments,
        resources=resources,
        shown=redactor.value(arguments),
        digests={"arguments_digest": ask.digest, "tool_digest": MODEL_REQUEST.name},
    )


def reply_to_mapping(reply: ModelReply) -> dict[str, object]:
    """Plain JSON for the record; ``reply_from_mapping`` reads it back."""
    usage = reply.usage
    return {
        "text": reply.text,
        "asks": [
            {"id": a.id, "name": a.name, "arguments": dict(a.arguments), "problem": a.problem}
            for a in reply.asks
        ],
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_tokens": usage.cached_tokens,
            "reported": usage.is_reported,
        },
        "finish": reply.finish,
        "model": reply.model,
        "message": dict(reply.message),
    }


def reply_from_mapping(raw: Mapping[str, object]) -> ModelReply:
    """Read an answer back; the same bytes whether it is fresh or out of the record."""
    usage = cast("Mapping[str, int]", raw["usage"])
    asks = cast("list[Mapping[str, object]]", raw["asks"])
    return ModelReply(
        text=str(raw["text"]),
        asks=tuple(
            ToolAsk(
                id=str(one["id"]),
                name=str(one["name"]),
                arguments=cast("Mapping[str, object]", one["arguments"]),
                problem=str(one["problem"]),
            )
            for one in asks
        ),
        usage=ModelUsage(
            input_tokens=usage["input_tokens"],
            output_tokens=usage["output_tokens"],
            cached_tokens=usage["cached_tokens"],
            is_reported=bool(usage["reported"]),
        ),
        finish=cast("Finish", raw["finish"]),
        model=str(raw["model"]),
        message=cast("Mapping[str, object]", raw["message"]),
    )


def recorded_reply(trace: Trace) -> ModelReply:
    """Answer a request from the record.

    Raises:
        ModelFailedError: It failed then; the same kind.
    """
    outcome = trace.outcome or {}
    if outcome.get("status") == "failed":
        retry_after_s = outcome.get("retry_after_s")
        raise ModelFailedError(
            kind=str(outcome.get("failure")),
            reason=str(outcome.get("error")),
            retry_after_s=retry_after_s if isinstance(retry_after_s, int | float) else None,
            is_billed=bool(outcome.get("billed")),
        )
    return reply_from_mapping(cast("Mapping[str, object]", outcome["value"]))
