"""A conversation and its answers, converted without a server."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai import messages as lib

from cleveragents.models.conversion import response_of, to_messages, to_reply, to_settings
from cleveragents.models.provider import target_of
from cleveragents.terms.model import ModelEndpoint, ModelRequest

TEXTS = st.text(st.characters(), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
PARTS: st.SearchStrategy[lib.ModelResponsePart] = st.one_of(
    st.builds(lib.TextPart, TEXTS),
    st.builds(lib.ThinkingPart, TEXTS, signature=st.none() | TEXTS, provider_name=st.just("p")),
    st.builds(
        lib.ToolCallPart,
        TEXTS,
        st.none() | TEXTS | st.dictionaries(TEXTS, VALUES, max_size=3),
        TEXTS,
    ),
    st.builds(lib.NativeToolCallPart, TEXTS, provider_name=st.just("p")),
    st.builds(lib.FilePart, st.just(lib.BinaryContent(b"\xff\x00", media_type="image/png"))),
)


@given(st.lists(PARTS, max_size=5))
def test_any_answer_is_kept_as_json_and_goes_back_the_same(
    parts: list[lib.ModelResponsePart],
) -> None:
    reply = to_reply(lib.ModelResponse(parts=parts, finish_reason="stop"), fallback_model="m")
    # Strictly: no NaN, no lone surrogate.
    text = json.dumps(reply.message, ensure_ascii=False, allow_nan=False).encode().decode()
    again = response_of(json.loads(text))
    assert again == response_of(reply.message)
    calls = [part for part in again.parts if isinstance(part, lib.ToolCallPart)]
    assert [(one.tool_call_id, one.tool_name) for one in calls] == [
        (one.id, one.name) for one in reply.asks
    ]
    assert len({one.id for one in reply.asks}) == len(reply.asks)
    assert not any(isinstance(part, lib.NativeToolCallPart | lib.FilePart) for part in again.parts)
    for one in reply.asks:
        json.dumps(one.arguments, allow_nan=False).encode()
    to_messages(ModelRequest("", ({"role": "assistant", "message": reply.message},)))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_have_is_a_problem(value: float) -> None:
    part = lib.ToolCallPart("t", {"a": value}, "c")
    (one,) = to_reply(lib.ModelResponse(parts=[part]), fallback_model="m").asks
    assert one.problem.startswith("the arguments are not JSON: ")
    assert one.arguments == {}


def test_a_provider_that_does_not_say_who_answered() -> None:
    reply = to_reply(lib.ModelResponse(parts=[]), fallback_model="asked-for")
    assert (reply.model, reply.finish, reply.usage.is_reported) == ("asked-for", "unknown", False)


def test_what_is_no_answer_does_not_go_back() -> None:
    request = lib.ModelMessagesTypeAdapter.dump_python(
        [lib.ModelRequest(parts=[lib.UserPromptPart("x")])], mode="json"
    )[0]
    for wrong in (request, {}, None, {"kind": "response", "parts": 5}):
        with pytest.raises(ValueError, match=r".+"):
            response_of(wrong)


def test_an_answer_is_read_once() -> None:
    message = {
        "role": "assistant",
        "message": {"kind": "response", "parts": [{"content": "x", "part_kind": "text"}]},
    }
    one, two = (to_messages(ModelRequest("", (message,)))[0] for _ in range(2))
    assert one is two


@pytest.mark.parametrize(
    ("model", "base_url", "tier"),
    [
        ("openai:gpt-5-mini", "", "default"),
        ("openai-chat:gpt-5-mini", "", "default"),
        ("openai:gpt-5-mini", "https://llm.corp/v1", None),
        ("anthropic:claude-opus-5", "", None),
    ],
)
def test_openai_serves_at_the_tier_whose_price_is_held(
    model: str, base_url: str, tier: str | None
) -> None:
    target = target_of(ModelEndpoint(model, base_url))
    settings = to_settings(target, max_output_tokens=5, timeout_s=7) or {}
    assert settings.get("service_tier") == tier
    # Once, and within its time: whether it is sent again is decided and paid elsewhere.
    assert (settings["max_retries"], settings["timeout"], settings["max_tokens"]) == (0, 7, 5)
