"""The frames: every payload comes out as it went in, everything else is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.boundary.frame import HEADER_BYTES, MAX_FRAME, FrameError, FrameReader, pack


def reader_of(*chunks: bytes, quota: int = 1 << 30) -> FrameReader:
    waiting = list(chunks)
    return FrameReader(lambda _: waiting.pop(0) if waiting else b"", quota=quota)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(marks)]


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=5), st.lists(st.integers(0, 1000)))
def test_payloads_come_out_in_order_however_the_stream_is_cut(
    payloads: list[bytes], places: list[int]
) -> None:
    reader = reader_of(*cut(b"".join(pack(one) for one in payloads), places))

    assert [reader.next() for _ in payloads] == payloads
    assert reader.next() is None


@given(st.binary(max_size=64))
def test_any_bytes_give_payloads_or_are_refused(data: bytes) -> None:
    reader = reader_of(data)
    try:
        while (payload := reader.next()) is not None:
            assert 0 < len(payload) <= MAX_FRAME
    except FrameError:
        return


def test_the_largest_message_is_admitted_and_one_byte_more_is_not() -> None:
    assert reader_of(pack(b"x" * MAX_FRAME)).next() == b"x" * MAX_FRAME
    with pytest.raises(FrameError, match="1048577 bytes"):
        pack(b"x" * (MAX_FRAME + 1))


@pytest.mark.parametrize("size", [0, MAX_FRAME + 1, 2**32 - 1])
def test_a_length_out_of_range_is_refused_before_the_body_is_read(size: int) -> None:
    asked: list[int] = []

    def read(wanted: int) -> bytes:
        asked.append(wanted)
        return size.to_bytes(HEADER_BYTES, "big") if len(asked) == 1 else b"x" * wanted

    with pytest.raises(FrameError, match="1 to 1048576"):
        FrameReader(read, quota=1 << 30).next()
    assert len(asked) == 1


def test_an_empty_payload_cannot_be_packed() -> None:
    with pytest.raises(FrameError):
        pack(b"")


@pytest.mark.parametrize(
    ("data", "problem"),
    [(b"\0\0", "within a length"), (b"\0\0\0\x05ab", "within a message")],
)
def test_a_stream_that_ends_within_a_frame_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(FrameError, match=problem):
        reader_of(data).next()


def test_the_quota_counts_what_comes_in_over_all_messages() -> None:
    reader = reader_of(pack(b"a" * 10), pack(b"b" * 10), quota=20)
    assert reader.next() == b"a" * 10
    with pytest.raises(FrameError, match="quota"):
        reader.next()


def test_bytes_of_a_later_frame_are_seen() -> None:
    reader = reader_of(pack(b"a") + pack(b"b"))
    reader.next()
    assert reader.has_more
    reader.next()
    assert not reader.has_more
