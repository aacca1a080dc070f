"""An answer that another client is given again: whole, or with what was left out named."""

from __future__ import annotations

from typing import Any

import pytest

from cleveragents.tools.mcp_failure import ServerFailedError
from cleveragents.tools.mcp_result import MAX_WHOLE_BYTES, whole_value_of

TEXT = {"type": "text", "text": "x"}
MIB = 1 << 20


def test_what_fits_is_left_as_it_is() -> None:
    block = {"type": "image", "data": "AAEC", "mimeType": "image/png", "_meta": {"a/b": None}}
    answer = {"content": [block, TEXT], "structuredContent": {"n": None}, "_meta": {"a/c": 1}}
    assert whole_value_of(answer) == {
        "content": [block, TEXT],
        "structured": {"n": None},
        "meta": {"a/c": 1},
    }


@pytest.mark.parametrize("answer", [{}, {"content": "x"}, {"_meta": 7}])
def test_an_answer_may_hold_nothing(answer: dict[str, object]) -> None:
    assert whole_value_of(answer) == {"content": []}


def test_what_the_protocol_says_of_its_own_session_is_left_out() -> None:
    meta = {"io.modelcontextprotocol/serverInfo": {}, "modelcontextprotocol.io/x": 1}
    assert "meta" not in whole_value_of({"content": [], "_meta": meta})


@pytest.mark.parametrize("key", ["structuredContent", "_meta"])
@pytest.mark.parametrize("part", [{"a": float("nan")}, {"a": "\ud800"}, {"a": "x" * 5 * MIB}])
def test_what_no_record_could_keep_is_left_out(key: str, part: dict[str, object]) -> None:
    assert whole_value_of({"content": [TEXT], key: part}) == {"content": [TEXT], "truncated": True}


def test_blocks_are_kept_in_their_order_until_the_room_is_used_up() -> None:
    blocks = [
        {"type": "text", "text": "é" * MIB},
        {"type": "audio", "data": "A" * 3 * MIB, "mimeType": "audio/wav"},
        {"type": "text", "text": "y" * 3 * MIB},
        TEXT,
        {"type": "text", "text": "z" * MIB},
    ]
    value = whole_value_of({"content": blocks})
    kept: Any = value["content"]
    assert value["truncated"] is True
    assert kept[0] == blocks[0]
    assert kept[1]["text"] == "[audio audio/wav, 3145728 characters of base64, left out]"
    assert 0 < len(kept[2]["text"]) < 2 * MIB
    assert kept[3] == TEXT
    assert len(kept[4]["text"]) < 300
    assert sum(len(str(one).encode()) for one in kept) < MAX_WHOLE_BYTES + 1_000


def test_strange_blocks_become_text() -> None:
    value = whole_value_of({"content": [{"type": "text", "text": "a\ud800"}]})
    assert value == {"content": [{"type": "text", "text": "a?"}], "truncated": True}


def test_there_is_an_end_to_blocks() -> None:
    value = whole_value_of({"content": [TEXT] * 1_200})
    assert value == {"content": [TEXT] * 1_000, "truncated": True}


def test_a_tool_that_says_it_failed_has_failed() -> None:
    with pytest.raises(ServerFailedError, match=r"^x y$"):
        whole_value_of({"content": [{"type": "text", "text": "x\n y"}], "isError": True})
    with pytest.raises(ServerFailedError, match="does not say why"):
        whole_value_of({"isError": True})
