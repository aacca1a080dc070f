"""The host waits by one system call for most messages, and never longer than it said."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from cleveragents.boundary.channel import Channel, ChannelError
from cleveragents.boundary.frame import HEADER_BYTES, pack
from cleveragents.boundary.message import Invoke, Reply, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER = Reply(seq=1, value={"text": "x" * 3000})
GOOD = pack(encode(ANSWER))


@pytest.fixture
def pair() -> Iterator[tuple[Channel, socket.socket]]:
    here, there = socket.socketpair()
    channel = Channel(here)
    with there:
        yield channel, there
    channel.close()


def test_each_wait_has_its_own_deadline(pair: tuple[Channel, socket.socket]) -> None:
    channel, there = pair
    there.sendall(GOOD)
    assert channel.receive(timeout_s=60) == ANSWER

    start = time.monotonic()
    with pytest.raises(ChannelError, match=r"no answer within 0.03 s"):
        channel.receive(timeout_s=0.03)
    assert time.monotonic() - start < 30  # not the minute of the wait before


@pytest.mark.parametrize("size", [1, 3, HEADER_BYTES, HEADER_BYTES + 1, 1000])
def test_a_message_in_pieces_is_one_message(pair: tuple[Channel, socket.socket], size: int) -> None:
    channel, there = pair

    def send() -> None:
        for start in range(0, len(GOOD), size):
            there.sendall(GOOD[start : start + size])

    sending = threading.Thread(target=send)
    sending.start()
    assert channel.receive(timeout_s=30) == ANSWER
    sending.join()

    # The next one is waited for as if nothing had been.
    there.sendall(GOOD)
    assert channel.receive(timeout_s=30) == ANSWER


def test_half_a_message_is_as_late_as_silence(pair: tuple[Channel, socket.socket]) -> None:
    channel, there = pair
    there.sendall(GOOD[:-1])
    with pytest.raises(ChannelError, match="no answer within"):
        channel.receive(timeout_s=0.03)


def test_what_the_buffer_does_not_hold_is_sent_as_it_is_read(
    pair: tuple[Channel, socket.socket],
) -> None:
    channel, there = pair
    big = Invoke(seq=1, tool="t", arguments={"a": "x" * 900_000}, phase="run")
    got = bytearray()

    def read() -> None:
        while len(got) < len(pack(encode(big))):
            got.extend(there.recv(50_000))

    reading = threading.Thread(target=read)
    reading.start()
    channel.send(big, timeout_s=30)
    reading.join()
    assert bytes(got) == pack(encode(big))
