"""Between our conversation and the library's messages, both ways.

What goes back to a provider is the answer that it gave, thinking signatures
included: ``ModelReply.message`` is the library's own JSON of it, cleaned of
what no JSON can hold and of what the provider did on its own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pydantic_ai import messages as lib
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings, merge_model_settings
from pydantic_ai.tools import ToolDefinition

from cleveragents.errors import ModelFailedError
from cleveragents.models.clean_json import clean, plain
from cleveragents.models.identity_cache import IdentityCache
from cleveragents.models.tool_ask import ask_of
from cleveragents.terms.model import ModelReply, ModelUsage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cleveragents.models.provider import Target
    from cleveragents.terms.model import Finish, ModelRequest, ModelTool

MAX_ASKS: Final = 512
"""Tool calls of one answer; more is no work, but a model that loops."""
MAX_NAME_CHARS: Final = 128
"""Of a called tool's name, and of a call's: a longer one is cut, and names no tool."""
MAX_TOKENS: Final = 10**9
"""Of one request, as its provider counts them; more is no count."""
NOTES_KEY: Final = "cleveragents"
"""Where in a message's ``metadata`` it says what was left out."""
_KEPT_BYTES: Final = 32 << 20
_FINISHES: Final[Mapping[str, Finish]] = {
    "stop": "stop",
    "tool_call": "tools",
    "length": "length",
    "content_filter": "refused",
}

_answers: Final[IdentityCache[lib.ModelResponse]] = IdentityCache(_KEPT_BYTES)
_parts: Final[IdentityCache[lib.ModelRequestPart]] = IdentityCache(_KEPT_BYTES)


def to_messages(request: ModelRequest) -> list[lib.ModelMessage]:
    """Convert a conversation.

    Raises:
        KeyError: A message is not of the form that ``ModelRequest`` names.
    """
    found: list[lib.ModelMessage] = []
    parts: list[lib.ModelRequestPart] = []
    for message in request.messages:
        if message["role"] == "assistant":
            _close(found, parts, request.instructions)
            parts = []
            found.append(_answer(message))
        else:
            parts.append(_part(message))
    _close(found, parts, request.instructions)
    return found


def _part(message: Mapping[str, object]) -> lib.ModelRequestPart:
    found = _parts.get(message)
    if found is None:
        text = clean(str(message["text"]))
        found = (
            lib.ToolReturnPart(
                tool_name=clean(str(message["name"])),
                content=text,
                tool_call_id=str(message["id"]),
                outcome="failed" if message["failed"] else "success",
            )
            if message["role"] == "tool"
            else lib.UserPromptPart(text)
        )
        _parts.put(message, found, weight=len(text))
    return found


def _close(
    found: list[lib.ModelMessage], parts: list[lib.ModelRequestPart], instructions: str
) -> None:
    if parts:
        found.append(lib.ModelRequest(parts=parts, instructions=clean(instructions) or None))


def _answer(message: Mapping[str, object]) -> lib.ModelResponse:
    found = _answers.get(message)
    if found is None:
        found = response_of(message["message"])
        _answers.put(message, found, weight=len(repr(found.parts)))
    return found


def response_of(message: object) -> lib.ModelResponse:
    """Read ``ModelReply.message`` back into the library's answer.

    Raises:
        ValueError: It is no such message.
    """
    (found,) = lib.ModelMessagesTypeAdapter.validate_python([message])
    if not isinstance(found, lib.ModelResponse):
        msg = "the message is no answer of a model"
        raise ValueError(msg)  # noqa: TRY004  # a value of a record, not an argument's type
    return found


def to_parameters(tools: Sequence[ModelTool]) -> ModelRequestParameters:
    """Convert tools; the provider's own are never among them."""
    return ModelRequestParameters(
        function_tools=[
            ToolDefinition(
                name=tool.name,
                description=tool.description,
                parameters_json_schema=dict(tool.parameters),
                # The schema is sent as it is: a provider's strict form would change it.
                strict=False,
            )
            for tool in tools
        ],
        native_tools=[],
    )


def to_settings(
    target: Target, *, max_output_tokens: int, timeout_s: float
) -> ModelSettings | None:
    """Say how a request is sent: once, within its time, and without being kept there."""
    settings = ModelSettings(
        max_tokens=max_output_tokens,
        timeout=timeout_s,
        max_retries=0,
        framing_announcement="never",
    )
    if target.protocol == "anthropic":
        # A conversation is sent again with every turn: read from the cache, it costs a tenth.
        settings["cache"] = True
    if target.provider.name == "openai" and target.is_own_host:
        # The price that is held is this tier's, whatever a project's own default is.
        settings["service_tier"] = "default"
    if target.protocol == "openai-responses":
        from pydantic_ai.models.openai import OpenAIResponsesModelSettings  # noqa: PLC0415

        # The record keeps the conversation; nobody else needs to.
        return merge_model_settings(settings, OpenAIResponsesModelSettings(openai_store=False))
    return settings


def to_reply(response: lib.ModelResponse, *, fallback_model: str) -> ModelReply:
    """Convert an answer.

    Args:
        response: Complete.
        fallback_model: Named when the provider does not say which model answered.

    Raises:
        ModelFailedError: It calls more tools than any work needs, or cannot be kept.
    """
    kept, notes = _kept_parts(response.parts)
    calls = [part for part in kept if isinstance(part, lib.ToolCallPart)]
    if len(calls) > MAX_ASKS:
        raise ModelFailedError(
            kind="bad_reply",
            reason=f"the answer calls {len(calls)} tools at once; at most {MAX_ASKS} are read",
            is_billed=True,
        )
    metadata = {NOTES_KEY: notes} if notes else None
    stored = replace(response, parts=kept, metadata=metadata, provider_details=None)
    (dumped,) = lib.ModelMessagesTypeAdapter.dump_python(
        # Its usage stands beside it; what is empty need not be kept with every answer.
        [stored],
        mode="json",
        exclude_none=True,
        exclude={"__all__": {"usage"}},
    )
    return ModelReply(
        text="".join(part.content for part in kept if isinstance(part, lib.TextPart)),
        asks=tuple(map(ask_of, calls)),
        usage=usage_of(response),
        finish=_finish(response, has_calls=bool(calls)),
        model=clean(response.model_name or fallback_model)[:MAX_NAME_CHARS],
        message=plain(dumped),
    )


def _kept_parts(
    parts: Sequence[lib.ModelResponsePart],
) -> tuple[list[lib.ModelResponsePart], list[str]]:
    kept: list[lib.ModelResponsePart] = []
    notes: list[str] = []
    seen: Counter[str] = Counter()
    for part in parts:
        if isinstance(part, lib.TextPart | lib.ThinkingPart):
            kept.append(replace(part, content=clean(part.content)))
        elif isinstance(part, lib.ToolCallPart):
            kept.append(_named(part, seen))
        else:
            # What the provider ran itself passed no door, and was never asked for.
            notes.append(f"left out: {part.part_kind}")
    return kept, notes


def _named(part: lib.ToolCallPart, seen: Counter[str]) -> lib.ToolCallPart:
    """Give a call a name that no other of the answer has: its result goes back under it."""
    call_id = clean(part.tool_call_id)[:MAX_NAME_CHARS]
    seen[call_id] += 1
    if seen[call_id] > 1:
        call_id = f"{call_id[: MAX_NAME_CHARS - 8]}-{seen[call_id]}"
    return replace(
        part,
        tool_name=clean(part.tool_name)[:MAX_NAME_CHARS],
        tool_call_id=call_id,
        args=_clean_json(part.args),
    )


def usage_of(response: lib.ModelResponse) -> ModelUsage:
    """Read what an answer used, as its provider counts it; not reported where it cannot be."""
    usage = response.usage
    counts = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens)
    # A count below nothing is none: it would give money back. Nor is one that no request can
    # have: it would use a budget up by a word, or be more than the record can hold.
    is_sound = all(isinstance(count, int) and 0 <= count <= MAX_TOKENS for count in counts)
    if usage.unmeasured_requests or not is_sound or not any(counts[:2]):
        return ModelUsage(is_reported=False)
    input_tokens, output_tokens, cached = counts
    return ModelUsage(input_tokens, output_tokens, min(cached, input_tokens))


def _finish(response: lib.ModelResponse, *, has_calls: bool) -> Finish:
    finish = _FINISHES.get(response.finish_reason or "", "unknown")
    # A cut answer is a cut answer, also when what was cut is a call.
    if has_calls and finish in {"stop", "unknown"}:
        return "tools"
    return finish


def _clean_json(args: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    if isinstance(args, dict):
        return {clean(str(key)): plain(item) for key, item in args.items()}
    return None if args is None else clean(args)
