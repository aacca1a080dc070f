"""The messages: each decodes to itself or is refused; host and guest speak the same."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.boundary.frame import FrameReader
from cleveragents.boundary.message import (
    MAX_DEPTH,
    PROTOCOL,
    Abandon,
    Commit,
    Configure,
    Failure,
    FromGuest,
    FromHost,
    Hello,
    Invoke,
    MessageError,
    OwnTool,
    Prepared,
    Reply,
    decode_from_guest,
    decode_from_host,
    encode,
)
from cleveragents.guest import confine, tool_wire

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SEQ = st.integers(0, 2**62)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=4)
DIGESTS = st.dictionaries(TEXT, st.none() | TEXT, max_size=3)
FROM_HOST: st.SearchStrategy[FromHost] = st.one_of(
    st.builds(
        Configure,
        tools=st.lists(TEXT, max_size=3).map(tuple),
        own=st.lists(st.builds(OwnTool, name=TEXT, path=TEXT, digest=TEXT), max_size=2).map(tuple),
    ),
    st.builds(
        Invoke, seq=SEQ, tool=TEXT, arguments=OBJECT, phase=st.sampled_from(["run", "prepare"])
    ),
    st.builds(Commit, seq=SEQ),
    st.builds(Abandon, seq=SEQ),
)
FROM_GUEST: st.SearchStrategy[FromGuest] = st.one_of(
    st.builds(Hello, protocol=SEQ, checks=st.dictionaries(TEXT, TEXT, max_size=3), landlock=SEQ),
    st.builds(Reply, seq=SEQ, value=OBJECT),
    st.builds(Prepared, seq=SEQ, before=DIGESTS, after=DIGESTS),
    st.builds(Failure, seq=SEQ, code=TEXT, message=TEXT),
)


@given(FROM_GUEST)
def test_a_guests_message_decodes_to_itself(message: FromGuest) -> None:
    assert decode_from_guest(encode(message)) == message


@given(FROM_HOST)
def test_a_hosts_message_decodes_to_itself_on_both_sides(message: FromHost) -> None:
    payload = encode(message)
    assert decode_from_host(payload) == message
    assert tool_wire.decode(payload) == json.loads(payload)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    with suppress(MessageError):
        decode_from_guest(data)
    with suppress(tool_wire.WireError):
        tool_wire.decode(data)


@given(FROM_GUEST, TEXT, JSON)
def test_an_unknown_field_is_refused(message: FromGuest, name: str, value: Any) -> None:
    fields = msgspec.to_builtins(message)
    if name in fields:
        return
    with pytest.raises(MessageError):
        decode_from_guest(json.dumps(fields | {name: value}).encode())


@given(FROM_GUEST, st.data())
def test_a_missing_field_is_refused(message: FromGuest, data: st.DataObject) -> None:
    fields = msgspec.to_builtins(message)
    del fields[data.draw(st.sampled_from(sorted(fields)))]
    with pytest.raises(MessageError):
        decode_from_guest(json.dumps(fields).encode())


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"reply","seq":1,"value":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",
        b'{"type":"reply","seq":1,"value":{"a":' + b"[" * 400_000 + b"]" * 400_000 + b"}}",
        b'{"type":"reply","seq":"1","value":{}}',
        b'{"type":"reply","seq":1.5,"value":{}}',
        b'{"type":"reply","seq":1,"value":[]}',
        b'{"type":"reply","seq":1,"value":{"a":"\xff"}}',
        b'{"type":"reply","seq":1,"value":{"a":"\\ud800"}}',
        b'{"type":"invoke","seq":1,"tool":"x","arguments":{},"phase":"run"}',
        b'{"type":"Reply","seq":1,"value":{}}',
        b'{"seq":1,"value":{}}',
        b'{"type":"reply","seq":1,"value":{}}{}',
        b"[]",
        b"null",
        b"\x80\x04N.",
    ],
    ids=lambda payload: repr(payload[:40]),
)
def test_a_hostile_message_is_refused(payload: bytes) -> None:
    with pytest.raises(MessageError):
        decode_from_guest(payload)


def test_what_is_nested_too_deeply_is_refused() -> None:
    def reply(depth: int) -> bytes:
        return b'{"type":"reply","seq":1,"value":{"a":' + b"[" * depth + b"]" * depth + b"}}"

    assert isinstance(decode_from_guest(reply(MAX_DEPTH - 1)), Reply)
    for depth in (MAX_DEPTH, 500, 990):
        with pytest.raises(MessageError, match=r"nested too deeply|recursion"):
            decode_from_guest(reply(depth))


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 100_000,
        b"[]",
        b'{"type":"reply","seq":1,"value":{}}',
        b'{"type":"commit"}',
        b'{"type":"commit","seq":true}',
        b'{"type":"commit","seq":1,"more":1}',
        b'{"type":"invoke","seq":1,"tool":1,"arguments":{},"phase":"run"}',
    ],
    ids=lambda payload: repr(payload[:40]),
)
def test_the_guest_refuses_what_is_no_message_of_the_hosts(payload: bytes) -> None:
    with pytest.raises(tool_wire.WireError):
        tool_wire.decode(payload)


def test_a_value_without_json_form_is_refused_before_it_is_sent() -> None:
    with pytest.raises(MessageError):
        encode(Reply(seq=1, value={"a": object()}))


def unframed(frame: bytes) -> FromGuest:
    waiting = [frame]
    reader = FrameReader(lambda _: waiting.pop() if waiting else b"", quota=1 << 30)
    payload = reader.next()
    assert payload is not None
    return decode_from_guest(payload)


@given(SEQ, OBJECT)
def test_the_guests_answers_are_the_hosts_messages(seq: int, value: dict[str, Any]) -> None:
    assert unframed(tool_wire.answer("reply", seq, value=value)) == Reply(seq=seq, value=value)


@given(SEQ, DIGESTS, DIGESTS)
def test_the_guests_prepared_is_the_hosts(
    seq: int, before: dict[str, str | None], after: dict[str, str | None]
) -> None:
    frame = tool_wire.answer("prepared", seq, before=before, after=after)
    assert unframed(frame) == Prepared(seq=seq, before=before, after=after)


@given(SEQ, st.text(max_size=50), st.text(max_size=50))
def test_any_failure_can_be_sent(seq: int, code: str, message: str) -> None:
    answer = unframed(tool_wire.failure(seq, code.encode("utf-8", "replace").decode(), message))
    assert isinstance(answer, Failure)
    assert answer.seq == seq
    assert "\n" not in answer.message


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"a": float("nan")}, "unsendable"),
        ({"a": "\udcff"}, "unsendable"),
        ({"a": b""}, "unsendable"),
        ({"a": "x" * 1_100_000}, "too_large"),
    ],
    ids=["not a number", "not UTF-8", "no JSON", "too large"],
)
def test_a_result_that_cannot_be_sent_fails_its_call_only(
    value: dict[str, object], code: str
) -> None:
    answer = unframed(tool_wire.answer("reply", 3, value=value))
    assert isinstance(answer, Failure)
    assert (answer.seq, answer.code) == (3, code)


@given(st.dictionaries(TEXT, TEXT, max_size=4), st.integers(0, 99))
def test_the_hello_built_by_hand_is_the_hosts(checks: dict[str, str], version: int) -> None:
    answer = unframed(confine.hello(checks, version=version))
    assert isinstance(answer, Hello)
    assert answer.protocol == PROTOCOL
    assert answer.landlock == version
    if all(ord(c) < 0xD800 for text in (*checks, *checks.values()) for c in text):
        assert answer.checks == checks
