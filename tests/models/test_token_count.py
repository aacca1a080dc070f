"""The bound holds, and counting a long conversation stays cheap."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from cleveragents.models.conversion import to_messages, to_parameters
from cleveragents.models.identity_cache import IdentityCache
from cleveragents.models.token_count import PER_MESSAGE, PER_REQUEST, PER_TOOL, upper_bound
from cleveragents.terms.model import ModelRequest, ModelTool
from tests.models.asking import READ, USER, ask, request
from tests.models.loopback_server import LoopbackServer, calls, says

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.models.line import ModelLine

TEXTS = st.text(max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def user(text: str) -> Mapping[str, object]:
    return {"role": "user", "text": text}


def result(text: str, *, failed: bool = False) -> Mapping[str, object]:
    return {"role": "tool", "id": "call_1", "name": "read_file", "text": text, "failed": failed}


def answer(text: str, args: str) -> Mapping[str, object]:
    parts = [
        {"content": text, "part_kind": "text"},
        {"tool_name": "read_file", "args": args, "tool_call_id": "c", "part_kind": "tool-call"},
    ]
    return {"role": "assistant", "message": {"parts": parts, "kind": "response"}}


def wire_bytes(asked: ModelRequest) -> int:
    """Bytes of all that the library is handed, however it is written out."""
    total = len(asked.instructions.encode())
    for message in to_messages(asked):
        for part in message.parts:
            for value in vars(part).values():
                total += len(value.encode()) if isinstance(value, str) else 0
            if part.part_kind == "tool-return":
                total += len(part.model_response_str().encode())
    for tool in to_parameters(asked.tools).function_tools:
        total += len(json.dumps([tool.name, tool.description, tool.parameters_json_schema]))
    return total


@given(
    st.lists(
        st.one_of(
            TEXTS.map(user),
            st.builds(result, TEXTS, failed=st.booleans()),
            st.builds(answer, TEXTS, JSON.map(json.dumps)),
        ),
        max_size=6,
    ),
    TEXTS,
    st.dictionaries(TEXTS, JSON, max_size=3),
)
def test_there_are_no_more_tokens_than_bytes(
    messages: list[Mapping[str, object]], words: str, schema: dict[str, object]
) -> None:
    asked = ModelRequest(words, tuple(messages), (ModelTool("t", words, schema),))
    # Every token is at least a byte; what frames a message has its constant besides.
    assert upper_bound(asked) >= PER_REQUEST + PER_MESSAGE * len(messages) + PER_TOOL
    bare = upper_bound(asked) - PER_REQUEST - PER_MESSAGE * len(messages) - PER_TOOL
    assert bare + 600 * (len(messages) + 1) >= wire_bytes(asked)


def test_what_really_goes_over_the_wire_is_less(line: ModelLine) -> None:
    with LoopbackServer([calls(("read_file", {"path": "ä" * 500}), text="é"), says("x")]) as server:
        reply = ask(line, server)
        (one,) = reply.asks
        back = {
            "role": "tool",
            "id": one.id,
            "name": one.name,
            "text": "\x00\x1b" * 200,
            "failed": True,
        }
        asked = request(USER, {"role": "assistant", "message": reply.message}, back)
        ask(line, server, asked)
        body = server.bodies[1]
    texts = [message.get("content") or "" for message in body["messages"]]
    texts += [call["function"]["arguments"] for call in body["messages"][2]["tool_calls"]]
    sent = sum(len(text.encode()) for text in texts) + len(json.dumps(body["tools"]))
    assert upper_bound(asked) > sent


def test_each_part_counts() -> None:
    bare = upper_bound(ModelRequest("", ()))
    assert bare == PER_REQUEST
    assert upper_bound(ModelRequest("abc", ())) == bare + 3
    assert upper_bound(ModelRequest("€", ())) == bare + 3
    assert upper_bound(ModelRequest("", (user("abc"),))) == bare + PER_MESSAGE + 3
    assert upper_bound(ModelRequest("", (), (READ,))) > bare + PER_TOOL + len(READ.description)
    plain, failed = (
        upper_bound(ModelRequest("", (result("x" * 1_000, failed=is_failed),)))
        for is_failed in (False, True)
    )
    assert failed == plain + 1_000
    wild = upper_bound(ModelRequest("", (result("\x00" * 1_000, failed=True),)))
    assert wild == plain + 5_000
    assert upper_bound(ModelRequest("", ({"role": "user", "text": ["odd", 1]},))) > bare + 3


def test_an_answer_is_counted_once_and_by_what_goes_back() -> None:
    message = {
        "role": "assistant",
        "message": {"parts": [{"content": "x" * 100}], "usage": "y" * 999},
    }
    first = upper_bound(ModelRequest("", (message,)))
    assert 200 <= first - PER_REQUEST - PER_MESSAGE < 300
    # Counted by its identity: that it must not change is the caller's promise.
    message["message"] = {"parts": []}
    assert upper_bound(ModelRequest("", (message,))) == first
    assert upper_bound(ModelRequest("", (dict(message),))) < first


def test_what_is_kept_is_bounded() -> None:
    cache: IdentityCache[int] = IdentityCache(100)
    keys = [object() for _ in range(4)]
    for at, key in enumerate(keys):
        cache.put(key, at, weight=40)
        cache.put(key, 99, weight=40)
    assert [cache.get(key) for key in keys] == [None, None, 2, 3]
    # The one that was asked for last stays.
    assert cache.get(keys[2]) == 2
    cache.put(keys[0], 0, weight=40)
    assert [cache.get(key) for key in keys] == [0, None, 2, None]
    heavy = object()
    cache.put(heavy, 1, weight=101)
    assert cache.get(heavy) is None
