"""Where does one message on a stream end, and when is it refused?

A frame is a length (unsigned, 32 bits, big-endian) and that many bytes of
JSON. The length is checked before the body is read, so that nobody can make
the other side hold more than ``MAX_FRAME`` bytes, and a total is counted, so
that nobody can send for ever. Only plain reads are used: descriptors that a
peer attaches are thrown away by the kernel.

The guest loads this file before its first message, therefore it imports
nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

MAX_FRAME: Final = 1 << 20
"""Bytes of one message's JSON, in both directions of both protocols."""
HEADER_BYTES: Final = 4
_CHUNK: Final = 1 << 16


class FrameError(Exception):
    """The stream does not hold what a frame must be; never leaves the boundary."""


def pack(payload: bytes) -> bytes:
    r"""Put the length before a payload.

    Raises:
        FrameError: The payload is empty or larger than ``MAX_FRAME``.

    >>> pack(b"{}")
    b'\x00\x00\x00\x02{}'
    """
    size = len(payload)
    if not 0 < size <= MAX_FRAME:
        raise FrameError(f"a message of {size} bytes; 1 to {MAX_FRAME} are admitted")
    return size.to_bytes(HEADER_BYTES, "big") + payload


class FrameReader:
    """Cuts a stream into payloads.

    Args:
        read: Gives up to that many bytes, at least one, or none at the end of
            the stream. Deadlines are its business.
        quota: Bytes that may come in all together; afterwards nothing is read.
    """

    def __init__(self, read: Callable[[int], bytes], *, quota: int) -> None:
        self._read = read
        self._left = quota
        self._held = b""

    def next(self) -> bytes | None:
        """Give the next payload; ``None`` when the stream ended between two frames.

        Raises:
            FrameError: The stream ended within a frame, the length is out of
                range, or the quota is used up.
        """
        if not self._held:
            # Nearly always one read holds exactly one message.
            data = self._counted(_CHUNK)
            size = int.from_bytes(data[:HEADER_BYTES], "big")
            if size + HEADER_BYTES == len(data) and 0 < size <= MAX_FRAME:
                return data[HEADER_BYTES:]
            self._held = data
            if not data:
                return None
        if not self._fill(HEADER_BYTES):
            if self._held:
                raise FrameError("the stream ended within a length")
            return None
        held = self._held
        size = int.from_bytes(held[:HEADER_BYTES], "big")
        if not 0 < size <= MAX_FRAME:
            raise FrameError(f"a message of {size} bytes; 1 to {MAX_FRAME} are admitted")
        end = HEADER_BYTES + size
        if not self._fill(end):
            raise FrameError("the stream ended within a message")
        held = self._held
        self._held = held[end:]
        return held[HEADER_BYTES:end]

    @property
    def has_more(self) -> bool:
        """Say whether bytes have come that belong to a later frame."""
        return bool(self._held)

    def _fill(self, wanted: int) -> bool:
        if len(self._held) >= wanted:
            return True
        parts = [self._held]
        have = len(self._held)
        while have < wanted:
            data = self._counted(max(_CHUNK, wanted - have))
            if not data:
                self._held = b"".join(parts)
                return False
            parts.append(data)
            have += len(data)
        self._held = b"".join(parts)
        return True

    def _counted(self, size: int) -> bytes:
        data = self._read(size)
        self._left -= len(data)
        if self._left < 0:
            raise FrameError("more bytes came than the channel's quota admits")
        return data
