"""The host's end of a channel: deadlines, order, and the end for good after the first fault."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from cleveragents.boundary.channel import Channel, ChannelError
from cleveragents.boundary.frame import FrameError, pack
from cleveragents.boundary.message import Commit, Invoke, MessageError, Reply, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

GOOD = pack(encode(Reply(seq=1, value={"a": 1})))


@pytest.fixture
def pair() -> Iterator[tuple[Channel, socket.socket]]:
    here, there = socket.socketpair()
    channel = Channel(here, quota=5_000_000)
    with there:
        yield channel, there
    channel.close()


def test_a_message_goes_through(pair: tuple[Channel, socket.socket]) -> None:
    channel, there = pair
    channel.send(Commit(seq=7), timeout_s=1)
    assert there.recv(100) == pack(encode(Commit(seq=7)))
    there.sendall(GOOD)
    assert channel.receive(timeout_s=1) == Reply(seq=1, value={"a": 1})


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (b"\0\0\0\0", "a message of 0 bytes"),
        (b"\xff\xff\xff\xff", "a message of 4294967295 bytes"),
        (pack(b"{}"), "what is no message"),
        (GOOD + GOOD, "more than one answer"),
        (GOOD + b"\0", "more than one answer"),
    ],
)
def test_the_first_fault_ends_the_channel_for_good(
    pair: tuple[Channel, socket.socket], sent: bytes, problem: str
) -> None:
    channel, there = pair
    there.sendall(sent)
    with pytest.raises(ChannelError, match=problem):
        channel.receive(timeout_s=1)

    there.sendall(GOOD)
    with pytest.raises(ChannelError, match=problem):
        channel.receive(timeout_s=1)
    with pytest.raises(ChannelError, match=problem):
        channel.send(Commit(seq=1), timeout_s=1)


def test_silence_ends_at_the_deadline(pair: tuple[Channel, socket.socket]) -> None:
    with pytest.raises(ChannelError, match=r"no answer within 0.02 s"):
        pair[0].receive(timeout_s=0.02)


def test_a_deadline_that_has_passed_waits_for_nothing(
    pair: tuple[Channel, socket.socket],
) -> None:
    with pytest.raises(ChannelError, match="no answer"):
        pair[0].receive(timeout_s=0)


def test_one_byte_after_another_is_as_late_as_silence(
    pair: tuple[Channel, socket.socket],
) -> None:
    channel, there = pair
    stop = threading.Event()

    def drip() -> None:
        for byte in GOOD[:-1] * 1000:
            if stop.wait(0.005):
                return
            there.sendall(bytes([byte]))

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        with pytest.raises(ChannelError, match="no answer within"):
            channel.receive(timeout_s=0.06)
    finally:
        stop.set()
        dripping.join()


def test_the_quota_ends_it() -> None:
    here, there = socket.socketpair()
    channel = Channel(here, quota=10)
    with there:
        there.sendall(GOOD)
        with pytest.raises(ChannelError, match="quota"):
            channel.receive(timeout_s=1)
    channel.close()


def test_a_cell_that_is_gone(pair: tuple[Channel, socket.socket]) -> None:
    channel, there = pair
    there.close()
    with pytest.raises(ChannelError, match="the cell has ended"):
        channel.receive(timeout_s=1)


def test_a_cell_that_is_gone_cannot_be_written_to(pair: tuple[Channel, socket.socket]) -> None:
    channel, there = pair
    there.close()
    with pytest.raises(ChannelError, match="the cell has ended"):
        channel.send(Commit(seq=1), timeout_s=1)


def test_a_reset_is_an_end(pair: tuple[Channel, socket.socket]) -> None:
    channel, there = pair
    channel.send(Commit(seq=1), timeout_s=1)
    there.close()  # with unread data: the kernel resets
    with pytest.raises(ChannelError, match="the cell has ended"):
        channel.receive(timeout_s=1)


def test_a_cell_that_does_not_read(pair: tuple[Channel, socket.socket]) -> None:
    big = Invoke(seq=1, tool="t", arguments={"a": "x" * 1_000_000}, phase="run")
    with pytest.raises(ChannelError, match="does not read"):
        pair[0].send(big, timeout_s=0.02)


def test_what_cannot_be_sent_leaves_the_channel_whole(
    pair: tuple[Channel, socket.socket],
) -> None:
    channel, there = pair
    with pytest.raises(MessageError):
        channel.send(Invoke(seq=1, tool="t", arguments={"a": object()}, phase="run"), timeout_s=1)
    with pytest.raises(FrameError):
        channel.send(
            Invoke(seq=1, tool="t", arguments={"a": "x" * 1_100_000}, phase="run"), timeout_s=1
        )
    there.sendall(GOOD)
    assert channel.receive(timeout_s=1) == Reply(seq=1, value={"a": 1})


def test_a_closed_channel_says_so() -> None:
    here, there = socket.socketpair()
    channel = Channel(here)
    channel.close()
    with there, pytest.raises(ChannelError, match="the cell has ended"):
        channel.receive(timeout_s=1)
