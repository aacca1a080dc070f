"""How does the host listen to a program that may lie, stall, flood or never speak?

Like ``channel``, but the program starts the talking: silence is no fault, a
message that was begun and is not finished in time is one.
"""

from __future__ import annotations

import enum
import select
import time
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.channel import ChannelError
from cleveragents.boundary.frame import FrameError, FrameReader, pack
from cleveragents.boundary.message import MessageError
from cleveragents.boundary.program_message import decode_from_program, encode

if TYPE_CHECKING:
    import socket

    from cleveragents.boundary.program_message import FromProgram, ToProgram

MESSAGE_S: Final = 10.0
"""How long a message may take from its first byte to its last."""
QUOTA_BYTES: Final = 256 << 20
"""What one program may send in its life."""


class Quiet(enum.Enum):
    """No message, for one of two reasons."""

    SILENT = "nothing was said in time"
    ENDED = "the program has closed its channel, or has ended"


class ProgramChannel:
    """The host's end of one program's socket pair. One thread at a time.

    Args:
        sock: A connected stream socket; owned by the channel from now on.
        quota: Bytes that the program may send in all.
    """

    def __init__(self, sock: socket.socket, *, quota: int = QUOTA_BYTES) -> None:
        self._sock = sock
        self._deadline = 0.0
        self._reader = FrameReader(self._read, quota=quota)
        self._last_seq = 0
        self._problem = ""

    def receive(self, *, timeout_s: float) -> FromProgram | Quiet:
        """Wait for the next message.

        Raises:
            ChannelError: What came is no message, is out of order, not
                finished in time or past the quota; nothing is read afterwards.
        """
        if self._problem:
            raise ChannelError(self._problem)
        if not self._reader.has_more and not self._is_readable(timeout_s):
            return Quiet.SILENT
        self._deadline = time.monotonic() + MESSAGE_S
        try:
            payload = self._reader.next()
            if payload is None:
                return Quiet.ENDED
            message = decode_from_program(payload)
        except TimeoutError as error:
            raise self._end(f"a message was not finished within {MESSAGE_S:g} s") from error
        except FrameError as error:
            raise self._end(str(error)) from error
        except MessageError as error:
            raise self._end(f"it sent what is no message: {error}") from error
        except OSError:
            return Quiet.ENDED
        if message.seq != self._last_seq + 1:
            raise self._end(
                f"message {message.seq} came after message {self._last_seq}:"
                " repeated, skipped or out of order"
            )
        self._last_seq = message.seq
        return message

    def send(self, message: ToProgram, *, timeout_s: float) -> None:
        """Answer a message.

        Raises:
            MessageError: It has no JSON form; nothing was sent.
            FrameError: It is too large; nothing was sent.
            ChannelError: The program does not read, or is gone.
        """
        data = pack(encode(message))
        if self._problem:
            raise ChannelError(self._problem)
        try:
            self._sock.settimeout(timeout_s)
            self._sock.sendall(data)
        except TimeoutError as error:
            raise self._end("it does not read what it is sent") from error
        except OSError as error:
            raise self._end("it has closed its channel") from error

    def close(self) -> None:
        """Close the descriptor."""
        self._problem = self._problem or "the channel is closed"
        self._sock.close()

    def _end(self, problem: str) -> ChannelError:
        self._problem = problem
        return ChannelError(problem)

    def _is_readable(self, timeout_s: float) -> bool:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def _read(self, size: int) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._sock.recv(size)
