"""The providers that speak a protocol of their own, answered by hand-written bodies."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.errors import ModelFailedError
from cleveragents.models.conversion import NOTES_KEY, response_of
from cleveragents.models.line import ModelLine
from cleveragents.terms.model import ModelUsage
from tests.models.asking import SECRET, USER, ask, request
from tests.models.loopback_server import Answer, LoopbackServer, fails, raw

if TYPE_CHECKING:
    from collections.abc import Callable

Body = dict[str, Any]

CLAUDE: Body = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "c2lnbmF0dXJl"},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {"path": "a"}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_input_tokens": 80,
        "cache_creation_input_tokens": 10,
    },
}
GEMINI: Body = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "I look."},
                    {
                        "functionCall": {"name": "read_file", "args": {"path": "a"}},
                        "thoughtSignature": "c2lnbmF0dXJl",
                    },
                ],
            },
            "finishReason": "STOP",
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 100,
        "candidatesTokenCount": 5,
        "totalTokenCount": 105,
        "cachedContentTokenCount": 80,
    },
    "modelVersion": "gemini-x",
    "responseId": "r1",
}
GPT: Body = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_700_000_000,
    "model": "gpt-x",
    "status": "completed",
    "output": [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [],
            "encrypted_content": "c2lnbmF0dXJl",
        },
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "read_file",
            "arguments": '{"path": "a"}',
            "status": "completed",
        },
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 100,
        "output_tokens": 5,
        "total_tokens": 105,
        "input_tokens_details": {"cached_tokens": 80},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
}
CASES = pytest.mark.parametrize(
    ("model", "body"),
    [
        ("anthropic:claude-opus-5", CLAUDE),
        ("google:gemini-2.5-pro", GEMINI),
        ("openai-responses:gpt-5-mini", GPT),
    ],
)


def plainly(body: Body) -> Answer:
    return raw(json.dumps(body))


@CASES
def test_an_answer_and_what_goes_back(line: ModelLine, model: str, body: Body) -> None:
    with LoopbackServer([plainly(body)]) as server:
        base = f"http://127.0.0.1:{server.port}"
        reply = ask(line, server, model=model, base_url=base)
        (one,) = reply.asks
        assert (reply.text, reply.finish) == ("I look.", "tools")
        assert (one.name, one.arguments, one.problem) == ("read_file", {"path": "a"}, "")
        assert reply.usage == ModelUsage(100, 5, 80)
        assert json.loads(json.dumps(reply.message)) == reply.message
        assert response_of(reply.message) == response_of(json.loads(json.dumps(reply.message)))
        result = {"role": "tool", "id": one.id, "name": one.name, "text": "A", "failed": False}
        answer = {"role": "assistant", "message": reply.message}
        ask(line, server, request(USER, answer, result), model=model, base_url=base)
        sent = json.dumps(server.bodies[1])
    # The signature of its thinking goes back untouched, or the provider refuses the next turn.
    assert "c2lnbmF0dXJl" in sent
    assert '"A"' in sent
    assert "I look." in sent


@CASES
def test_the_key_and_nothing_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, model: str, body: Body
) -> None:
    for name in (
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "GOOGLE_API_KEY",
        "GEMINI_API_KEY",
        "OPENAI_API_KEY",
    ):
        monkeypatch.setenv(name, "of-the-environment")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "x-spy: 1")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    line = ModelLine()
    with LoopbackServer([plainly(body)]) as server:
        base = f"http://127.0.0.1:{server.port}"
        ask(line, server, model=model, base_url=base)
        ask(line, server, model=model, base_url=base, secret=None)
        keyed, bare = (json.dumps([path, headers]) for _, path, headers in server.requests)
    line.close()
    assert SECRET in keyed
    assert SECRET not in bare
    for sent in (keyed, bare):
        assert "of-the-environment" not in sent
        assert "put-in-at-the-edge" not in sent
        assert "x-spy" not in sent


@CASES
@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "unauthorised"), (429, "overloaded"), (500, "outage"), (302, "refused_by_provider")],
)
def test_what_a_provider_answers_instead(
    line: ModelLine, model: str, body: Body, status: int, kind: str
) -> None:
    with LoopbackServer([fails(status)]) as server:
        error = failed(line, server, model)
        assert len(server.bodies) == 1
    assert error.kind == kind


@CASES
def test_a_provider_that_dies(line: ModelLine, model: str, body: Body) -> None:
    with LoopbackServer([replace(plainly(body), dies="middle")]) as server:
        assert failed(line, server, model).kind in {"outage", "bad_reply"}


def failed(
    line: ModelLine,
    server: LoopbackServer,
    model: str,
    on_text: Callable[[str], None] | None = None,
) -> ModelFailedError:
    base = f"http://127.0.0.1:{server.port}"
    with pytest.raises(ModelFailedError) as caught:
        ask(line, server, model=model, base_url=base, on_text=on_text)
    return caught.value


def test_a_stream_of_anthropic_that_ends_too_soon_is_no_answer(line: ModelLine) -> None:
    events: list[Body] = [
        {"type": "message_start", "message": {**CLAUDE, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "half"},
        },
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 5},
        },
        {"type": "message_stop"},
    ]

    def stream(count: int) -> Answer:
        said = "".join(
            f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events[:count]
        )
        return raw(said, content_type="text/event-stream")

    heard: list[str] = []
    model = "anthropic:claude-opus-5"
    with LoopbackServer([stream(6)]) as server:
        base = f"http://127.0.0.1:{server.port}"
        reply = ask(line, server, model=model, base_url=base, on_text=heard.append)
        assert (reply.text, reply.finish, heard) == ("half", "stop", ["half"])
    with LoopbackServer([stream(3)]) as server:
        assert failed(line, server, model, heard.append).kind in {"bad_reply", "outage"}
    assert heard == ["half", "half"]


def test_what_the_provider_ran_itself_is_left_out_and_noted(line: ModelLine) -> None:
    own = {
        "type": "server_tool_use",
        "id": "srvtoolu_1",
        "name": "web_search",
        "input": {"query": "x"},
    }
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    body = {**CLAUDE, "content": [own, found, *CLAUDE["content"]]}
    with LoopbackServer([plainly(body)]) as server:
        base = f"http://127.0.0.1:{server.port}"
        reply = ask(line, server, model="anthropic:claude-opus-5", base_url=base)
    assert [one.name for one in reply.asks] == ["read_file"]
    assert "web_search" not in json.dumps(reply.message["parts"])
    assert reply.message["metadata"] == {
        NOTES_KEY: ["left out: builtin-tool-call", "left out: builtin-tool-return"]
    }


def test_nothing_is_kept_at_openai_and_the_prompt_is_cached_at_anthropic(line: ModelLine) -> None:
    with LoopbackServer([plainly(GPT)]) as server:
        ask(line, server, model="openai-responses:gpt-5-mini")
        assert server.requests[0][1] == "/v1/responses"
        assert server.bodies[0]["store"] is False
        assert server.bodies[0]["max_output_tokens"] == 500
    with LoopbackServer([plainly(CLAUDE)]) as server:
        base = f"http://127.0.0.1:{server.port}"
        ask(line, server, model="anthropic:claude-opus-5", base_url=base)
        assert "cache_control" in json.dumps(server.bodies[0])
        assert server.bodies[0]["max_tokens"] == 500
    with LoopbackServer([plainly(GEMINI)]) as server:
        base = f"http://127.0.0.1:{server.port}"
        ask(line, server, model="google:gemini-2.5-pro", base_url=base)
        assert server.bodies[0]["generationConfig"]["maxOutputTokens"] == 500


def test_openai_chat_and_ollama_name_the_limit_as_their_servers_do(line: ModelLine) -> None:
    from tests.models.loopback_server import says

    with LoopbackServer([says("x")]) as server:
        ask(line, server, model="openai-chat:gpt-5-mini")
        ask(line, server, model="ollama:qwen3")
        chat, ollama = server.bodies
    assert (chat["max_completion_tokens"], ollama["max_tokens"]) == (500, 500)
    assert "max_tokens" not in chat
    assert "max_completion_tokens" not in ollama
