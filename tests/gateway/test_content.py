"""What a server gives reaches the gateway's client as it is, or says what was left out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.gateway.call_desk import Told
from cleveragents.gateway.rendering import answer_of
from mcp import MCPError
from tests.gateway.client import TOKEN, Answer, hosted, over_http, talking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp_types import CallToolResult, Tool

    from tests.gateway.client import Talk
    from tests.plans.scene import Scene

HERE = Path(__file__).parent


def config(scene: Scene) -> tuple[str, ...]:
    name = "content_server.py"
    script = scene.write(f"server/{name}", (HERE / name).read_text(encoding="utf-8"))
    server = {"command": sys.executable, "args": [str(script)], "trusted": True}
    file = scene.write("servers.json", json.dumps({"mcpServers": {"own": server}}))
    return "--safety-profile", "read-only", "--config", str(file)


@pytest.fixture
def talk(scene: Scene) -> Iterator[Talk]:
    with talking(scene, *config(scene)) as made:
        yield made


def result(talk: Talk, tool: str, **more: Any) -> CallToolResult:
    async def call() -> CallToolResult:
        return await talk.client.call_tool(f"own__{tool}", {}, **more)

    return talk.portal.call(call)


def plain(found: CallToolResult) -> dict[str, Any]:
    return found.model_dump(mode="json", by_alias=True, exclude_unset=True)


def tools(talk: Talk) -> dict[str, Tool]:
    return {tool.name: tool for tool in talk.portal.call(talk.client.list_tools).tools}


def test_every_kind_of_block_arrives_as_it_was(talk: Talk) -> None:
    found = plain(result(talk, "everything"))
    note = {"audience": ["user"], "priority": 0.5}
    assert found["content"] == [
        {"type": "text", "text": "one", "annotations": note, "_meta": {"own.example/a": [1, None]}},
        {"type": "text", "text": "two"},
        {"type": "image", "data": "AAEC", "mimeType": "image/png", "annotations": note},
        {"type": "audio", "data": "AAEC", "mimeType": "audio/wav"},
        {
            "type": "resource_link",
            "name": "a file",
            "uri": "file:///a.txt",
            "mimeType": "text/plain",
        },
        {
            "type": "resource",
            "resource": {"uri": "x:///b", "mimeType": "image/png", "blob": "AAEC"},
        },
    ]
    # What the protocol itself says about the other session is not said about this one.
    meta = found["_meta"]
    assert meta.pop("io.modelcontextprotocol/serverInfo")["name"] == "cleveragents"
    assert meta == {"own.example/b": {"c": 1}}
    recorded = talk.scene.outcome(talk.plan_id, "call-1")["value"]
    assert recorded == {"content": found["content"], "meta": meta}


def test_a_structure_arrives_with_its_schema(talk: Talk) -> None:
    listed = tools(talk)["own__shaped"]
    assert listed.output_schema is not None
    assert listed.output_schema["additionalProperties"] is False
    found = result(talk, "shaped")
    assert found.structured_content == {"n": 1, "note": None}
    assert plain(found)["content"] == [{"type": "text", "text": "text"}]


def test_a_schema_that_leads_elsewhere_is_not_listed_and_the_structure_still_comes(
    talk: Talk,
) -> None:
    assert tools(talk)["own__odd"].output_schema is None
    assert result(talk, "odd").structured_content == {"n": 1, "note": None}


def test_a_structure_that_is_missing_or_too_large_fails_the_call(talk: Talk) -> None:
    for name in ("shapeless", "vast"):
        found = Answer.of(result(talk, name))
        assert found.is_error
        assert found.text == (
            f"own__{name} ran, but its structured result is missing or was too long"
        )
    assert [step["status"] for step in talk.status["steps"]] == ["done", "done"]


def test_what_is_too_large_is_named_in_its_place(talk: Talk) -> None:
    first, second, last, note = plain(result(talk, "large"))["content"]
    assert (first["type"], len(first["data"])) == ("image", 3 << 20)
    assert second["text"] == "[image image/png, 3145728 characters of base64, left out]"
    assert last["text"] == "text"
    assert "too long" in note["text"]


def test_titles_and_hints_are_listed_harmless_and_icons_are_not(talk: Talk) -> None:
    listed = tools(talk)["own__few"]
    assert listed.title == "Title of few\\u202e"
    assert listed.icons is None
    assert listed.annotations is not None
    assert plain_hints(listed) == {
        "readOnlyHint": True,
        "destructiveHint": False,
        "idempotentHint": True,
        "openWorldHint": False,
    }
    own = tools(talk)["read_file"]
    assert (own.title, own.output_schema) == (None, None)
    assert "idempotentHint" not in plain_hints(own)


def plain_hints(tool: Tool) -> dict[str, Any]:
    assert tool.annotations is not None
    return tool.annotations.model_dump(by_alias=True, exclude_none=True)


def progress(talk: Talk) -> list[tuple[float, float | None, str | None]]:
    heard = []

    async def hear(done: float, total: float | None, text: str | None) -> None:
        heard.append((done, total, text))

    assert not result(talk, "steps", progress_callback=hear).is_error
    return heard


def test_progress_is_handed_on_in_numbers_that_grow(talk: Talk) -> None:
    assert progress(talk) == [(1, 4, None), (2, 4, None), (4, 4, None)]
    assert b"again" not in talk.scene.kept()


def test_progress_is_handed_on_over_http(scene: Scene) -> None:
    scene.environ["TOKEN"] = TOKEN
    words = (*config(scene), "--http", "0", "--token-env", "TOKEN")
    with hosted(scene, *words) as host, over_http(host) as talk:
        assert progress(talk) == [(1, 4, None), (2, 4, None), (4, 4, None)]


def test_a_server_is_asked_for_progress_only_if_the_client_asks(talk: Talk) -> None:
    assert Answer.of(result(talk, "few")).text == "asked: False"

    async def hear(done: float, total: float | None, text: str | None) -> None:
        raise AssertionError((done, total, text))

    assert Answer.of(result(talk, "few", progress_callback=hear)).text == "asked: True"
    assert Answer.of(result(talk, "steps")).text == "text"


def test_a_name_that_no_tool_has_is_an_error_of_the_protocol_and_recorded(talk: Talk) -> None:
    for name in ("nothing", "own__nothing"):
        with pytest.raises(MCPError, match=f"no tool is named '{name}'") as caught:
            talk.call(name)
        assert caught.value.code == -32602
    # One that there is, and that is not admitted, is a result that a model can read.
    refused = talk.call("write_file", path="b", content="")
    assert "(rule effects)" in refused.text
    assert [step["status"] for step in talk.status["steps"]] == ["denied"] * 3


def test_content_that_redaction_has_broken_is_told_as_text() -> None:
    told = Told({"content": [{"type": "[redacted:ODD]", "text": "x"}]})
    found = answer_of(told, None, is_modern=True)
    assert Answer.of(found) == Answer('[{"type": "[redacted:ODD]", "text": "x"}]', is_error=False)


def test_a_structure_that_is_no_object_is_text_for_an_older_client() -> None:
    told = Told({"content": [{"type": "text", "text": "x"}], "structured": [1, None]})
    newer, older = (answer_of(told, None, is_modern=is_modern) for is_modern in (True, False))
    assert (newer.structured_content, Answer.of(newer).text) == ([1, None], "x")
    assert (older.structured_content, Answer.of(older).text) == (None, "x\n[1, null]")
