"""How does the host speak to one cell without ever waiting or reading too much?

Identity is the descriptor: what comes in here is that cell's word and nobody
else's, whatever it says of itself. Every wait has a deadline for the whole
message, so that one byte a minute is as late as silence. The first thing that
is wrong ends the channel for good: nothing is read from it afterwards.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.frame import FrameError, FrameReader, pack
from cleveragents.boundary.message import MessageError, decode_from_guest, encode

if TYPE_CHECKING:
    from cleveragents.boundary.message import FromGuest, FromHost

DEFAULT_QUOTA_BYTES: Final = 8 << 30
"""What one cell may send in its life; about 10,000 of the largest messages."""


class ChannelError(Exception):
    """The channel is at its end; the message says why. Never leaves the boundary."""


class Channel:
    """The host's end of one cell's socket pair. One thread at a time.

    Args:
        sock: A connected stream socket; owned by the channel from now on.
        quota: Bytes that the cell may send in all.
    """

    def __init__(self, sock: socket.socket, *, quota: int = DEFAULT_QUOTA_BYTES) -> None:
        sock.settimeout(None)
        self._sock = sock
        self._patience = -1.0
        """What the kernel waits by itself for the first bytes of a message."""
        self._deadline = 0.0
        self._has_begun = False
        self._reader = FrameReader(self._read, quota=quota)
        self._problem = ""

    def send(self, message: FromHost, *, timeout_s: float) -> None:
        """Send one message.

        Raises:
            MessageError: The message has no JSON form; the channel goes on.
            FrameError: It is too large; nothing was sent, the channel goes on.
            ChannelError: The cell does not read, or is gone.
        """
        data = pack(encode(message))
        self._check()
        try:
            self._send(data, timeout_s)
        except TimeoutError as error:
            raise self._end("the cell does not read what it is sent") from error
        except OSError as error:
            raise self._end("the cell has ended") from error

    def receive(self, *, timeout_s: float) -> FromGuest:
        """Wait for one whole message.

        Raises:
            ChannelError: Nothing came in time, the cell has ended, or what
                came is no message.
        """
        self._check()
        self._deadline = time.monotonic() + timeout_s
        self._has_begun = False
        try:
            self._wait_at_most(timeout_s)
            payload = self._reader.next()
            if payload is None:
                raise self._end("the cell has ended")
            message = decode_from_guest(payload)
        except TimeoutError as error:
            raise self._end(f"no answer within {timeout_s:g} s") from error
        except FrameError as error:
            raise self._end(str(error)) from error
        except MessageError as error:
            raise self._end(f"the cell sent what is no message: {error}") from error
        except OSError as error:
            raise self._end("the cell has ended") from error
        if self._reader.has_more:
            # The protocol is one answer to one question.
            raise self._end("the cell sent more than one answer")
        return message

    def close(self) -> None:
        """Close the descriptor; whoever waits on it is told that the cell has ended."""
        self._problem = self._problem or "the cell has ended"
        self._sock.close()

    def _check(self) -> None:
        if self._problem:
            raise ChannelError(self._problem)

    def _end(self, problem: str) -> ChannelError:
        self._problem = self._problem or problem
        return ChannelError(self._problem)

    def _send(self, data: bytes, timeout_s: float) -> None:
        try:
            sent = self._sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            # Nearly always: it had room, and nothing had to be waited for.
            return
        try:
            self._sock.settimeout(timeout_s)
            self._sock.sendall(memoryview(data)[sent:])
        finally:
            self._sock.settimeout(None)

    def _wait_at_most(self, timeout_s: float) -> None:
        """Have the kernel keep the time: one system call a message instead of three."""
        if timeout_s != self._patience:
            whole = int(timeout_s)
            # Zero would be "for ever".
            part = max(int((timeout_s - whole) * 1_000_000), 0 if whole else 1)
            self._sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", whole, part)
            )
            self._patience = timeout_s

    def _read(self, size: int) -> bytes:
        if not self._has_begun:
            self._has_begun = True
            try:
                return self._sock.recv(size)
            except BlockingIOError as error:
                raise TimeoutError from error
        # A message in pieces: the deadline is that of the whole.
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        try:
            self._sock.settimeout(left)
            return self._sock.recv(size)
        finally:
            self._sock.settimeout(None)
