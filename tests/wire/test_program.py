"""The program actors' wire: each message decodes to itself or is refused."""

from __future__ import annotations

import json
import os
import socket
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.boundary import program_channel
from cleveragents.boundary.channel import ChannelError
from cleveragents.boundary.frame import FrameError, FrameReader, pack
from cleveragents.boundary.message import MAX_DEPTH, MessageError
from cleveragents.boundary.program_channel import ProgramChannel, Quiet
from cleveragents.boundary.program_message import (
    Accepted,
    Answer,
    Ask,
    Begin,
    Decide,
    Failed,
    FromProgram,
    Open,
    Outcome,
    Progress,
    Refused,
    Submit,
    ToProgram,
    Welcome,
    decode_from_program,
    decode_to_program,
    encode,
)
from cleveragents.guest.program_client import Client, FailedError, RefusedError
from tests.wire.test_message import OBJECT, SEQ, TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator

FROM_PROGRAM: st.SearchStrategy[FromProgram] = st.one_of(
    st.builds(Begin, seq=SEQ),
    st.builds(Ask, seq=SEQ, tool=TEXT, arguments=OBJECT),
    st.builds(Open, seq=SEQ, resource=TEXT),
    st.builds(Progress, seq=SEQ, text=TEXT),
    st.builds(
        Decide,
        seq=SEQ,
        question=TEXT,
        choice=TEXT,
        alternatives=st.lists(TEXT, max_size=3).map(tuple),
        reason=TEXT,
        parent=TEXT,
    ),
    st.builds(Outcome, seq=SEQ, decision=TEXT, text=TEXT),
    st.builds(Submit, seq=SEQ, outputs=OBJECT, summary=TEXT),
)
TO_PROGRAM: st.SearchStrategy[ToProgram] = st.one_of(
    st.builds(
        Welcome,
        seq=SEQ,
        protocol=SEQ,
        plan_id=TEXT,
        name=TEXT,
        goal=TEXT,
        inputs=OBJECT,
        tools=st.lists(TEXT, max_size=3).map(tuple),
    ),
    st.builds(Answer, seq=SEQ, value=OBJECT),
    st.builds(Refused, seq=SEQ, code=TEXT, reason=TEXT),
    st.builds(Failed, seq=SEQ, code=TEXT, reason=TEXT),
    st.builds(Accepted, seq=SEQ),
)


@given(FROM_PROGRAM)
def test_a_programs_message_decodes_to_itself(message: FromProgram) -> None:
    assert decode_from_program(encode(message)) == message


@given(TO_PROGRAM)
def test_a_message_to_a_program_decodes_to_itself(message: ToProgram) -> None:
    assert decode_to_program(encode(message)) == message


@given(FROM_PROGRAM, TEXT)
def test_an_unknown_field_is_refused(message: FromProgram, name: str) -> None:
    fields = msgspec.to_builtins(message)
    if name in fields:
        return
    with pytest.raises(MessageError):
        decode_from_program(json.dumps(fields | {name: 1}).encode())


@given(st.binary(max_size=100) | st.just(b"[" * 200_000))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    for decode in (decode_from_program, decode_to_program):
        try:
            decode(data)
        except MessageError:
            continue


@pytest.mark.parametrize("field", ['"ask","tool":"t","arguments"', '"submit","outputs"'])
def test_what_is_nested_too_deeply_is_refused(field: str) -> None:
    def sent(depth: int) -> bytes:
        return f'{{"seq":1,"type":{field}:{{"a":{"[" * depth}1{"]" * depth}}}}}'.encode()

    decode_from_program(sent(MAX_DEPTH - 1))
    for depth in (MAX_DEPTH, 500):
        with pytest.raises(MessageError, match="nested too deeply"):
            decode_from_program(sent(depth))


def test_what_has_no_json_form_is_refused() -> None:
    with pytest.raises(MessageError):
        encode(Answer(seq=1, value={"a": object()}))


@pytest.fixture
def pair() -> Iterator[tuple[ProgramChannel, socket.socket]]:
    here, there = socket.socketpair()
    channel = ProgramChannel(here, quota=1000)
    with there:
        yield channel, there
    channel.close()


def frame(message: FromProgram) -> bytes:
    return pack(encode(message))


def test_several_messages_may_come_at_once(pair: tuple[ProgramChannel, socket.socket]) -> None:
    channel, there = pair
    there.sendall(frame(Begin(seq=1)) + frame(Progress(seq=2, text="x")))
    assert channel.receive(timeout_s=1) == Begin(seq=1)
    assert channel.receive(timeout_s=1) == Progress(seq=2, text="x")
    assert channel.receive(timeout_s=0) is Quiet.SILENT
    there.close()
    assert channel.receive(timeout_s=1) is Quiet.ENDED


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (frame(Begin(seq=1)) + frame(Begin(seq=1)), "message 1 came after message 1"),
        (frame(Begin(seq=1)) + frame(Begin(seq=3)), "message 3 came after message 1"),
        (frame(Begin(seq=0)), "message 0 came after message 0"),
        (b"\xff\xff\xff\xff", "a message of 4294967295 bytes"),
        (frame(Progress(seq=1, text="x" * 2000)), "quota"),
        (pack(b"{}"), "no message"),
    ],
)
def test_the_first_fault_ends_the_conversation(
    pair: tuple[ProgramChannel, socket.socket], sent: bytes, problem: str
) -> None:
    channel, there = pair
    there.sendall(sent)
    with pytest.raises(ChannelError, match=problem):
        [channel.receive(timeout_s=1) for _ in range(3)]
    with pytest.raises(ChannelError, match=problem):
        channel.receive(timeout_s=1)
    with pytest.raises(ChannelError, match=problem):
        channel.send(Accepted(seq=1), timeout_s=1)


@pytest.mark.parametrize("allowed_s", [0.03, -1.0])
def test_a_message_that_is_not_finished_is_late(
    pair: tuple[ProgramChannel, socket.socket], monkeypatch: pytest.MonkeyPatch, allowed_s: float
) -> None:
    monkeypatch.setattr(program_channel, "MESSAGE_S", allowed_s)
    channel, there = pair
    there.sendall(frame(Begin(seq=1))[:-1])
    with pytest.raises(ChannelError, match="not finished within"):
        channel.receive(timeout_s=1)


def test_a_reset_is_an_end(pair: tuple[ProgramChannel, socket.socket]) -> None:
    channel, there = pair
    channel.send(Accepted(seq=1), timeout_s=1)
    there.close()
    assert channel.receive(timeout_s=1) is Quiet.ENDED
    with pytest.raises(ChannelError, match="closed its channel"):
        channel.send(Accepted(seq=1), timeout_s=1)


def test_a_program_that_does_not_read(pair: tuple[ProgramChannel, socket.socket]) -> None:
    with pytest.raises(ChannelError, match="does not read"):
        pair[0].send(Answer(seq=1, value={"a": "x" * 1_000_000}), timeout_s=0.02)


def test_an_answer_that_is_too_large_is_not_sent(
    pair: tuple[ProgramChannel, socket.socket],
) -> None:
    with pytest.raises(FrameError):
        pair[0].send(Answer(seq=1, value={"a": "x" * 1_100_000}), timeout_s=1)


def test_the_client_speaks_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = socket.socketpair()
    answers: list[ToProgram] = [
        Welcome(seq=1, protocol=1, plan_id="P", name="n", goal="g", inputs={"a": 1}, tools=()),
        Answer(seq=2, value={"text": "t"}),
        Refused(seq=3, code="security_boundary", reason="no"),
        Failed(seq=4, code="tool_failed", reason="broken"),
        Answer(seq=5, value={"x": 1}),
        Accepted(seq=6),
        Answer(seq=7, value={"decision": "d2"}),
        Accepted(seq=8),
        Accepted(seq=9),
    ]
    heard: list[FromProgram] = []

    def host() -> None:
        reader = FrameReader(here.recv, quota=1 << 20)
        for message in answers:
            payload = reader.next()
            assert payload is not None
            heard.append(decode_from_program(payload))
            here.sendall(pack(encode(message)))
        here.close()

    serving = threading.Thread(target=host)
    serving.start()
    monkeypatch.setenv("CLEVERAGENTS_CHANNEL", str(there.fileno()))
    client = Client.connect()
    assert client.begin()["inputs"] == {"a": 1}
    assert client.ask("read_file", path="p") == {"text": "t"}
    with pytest.raises(RefusedError, match="no") as refused:
        client.ask("write_file", path="p")
    assert refused.value.code == "security_boundary"
    with pytest.raises(FailedError, match="broken") as failed:
        client.ask("read_file", path="absent")
    assert failed.value.code == "tool_failed"
    assert client.open("file:a") == {"x": 1}
    client.progress("half")
    assert client.decide("q", "c", alternatives=["a"], reason="r", parent="d1") == "d2"
    client.conclude("d2", "well")
    client.submit({"o": 1}, "done")
    serving.join()
    with there, pytest.raises((ConnectionError, OSError)):
        client.progress("too late")
    assert [type(m) for m in heard[:6]] == [Begin, Ask, Ask, Ask, Open, Progress]
    assert heard[1] == Ask(seq=2, tool="read_file", arguments={"path": "p"})
    assert heard[6] == Decide(7, "q", "c", alternatives=("a",), reason="r", parent="d1")
    assert heard[7] == Outcome(8, "d2", "well")
    assert heard[8] == Submit(seq=9, outputs={"o": 1}, summary="done")


def test_the_client_says_when_the_host_is_gone() -> None:
    here, there = socket.socketpair()
    with there:
        here.shutdown(socket.SHUT_WR)
        with here, pytest.raises(ConnectionError, match="closed the channel"):
            Client(os.dup(there.fileno())).progress("x")
