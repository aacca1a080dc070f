"""Carries bytes between a cell's connection and the host's own until both are done.

One thread for a connection, one look at a time at both sockets. The cell's
one may be shared with a hostile process: each operation asks not to wait.
"""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cleveragents.tools.broker.proxy_flow import Through
from cleveragents.tools.broker.proxy_request import MalformedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.tools.broker.proxy_flow import Flow

PIECE_BYTES: Final = 64 << 10
"""Taken at once; nothing more is taken before it was passed on."""
CUT: Final = "closed: what asked for it in the cell has ended"
_READABLE: Final = select.POLLIN | select.POLLHUP | select.POLLERR


class CutError(Exception):
    """The host ends a connection, because the call or the cell behind it has ended."""


def wait(interests: Mapping[int, int], cancel: int, timeout_s: float) -> dict[int, int]:
    """Wait until one of some descriptors is ready; empty when none is in time.

    Args:
        interests: What is waited for at each descriptor.
        cancel: A descriptor that becomes readable when nobody wants to wait any more.
        timeout_s: At most so long.
    """
    poll = select.poll()
    for descriptor, events in interests.items():
        poll.register(descriptor, events)
    poll.register(cancel, select.POLLIN)
    return dict(poll.poll(max(timeout_s, 0) * 1000))


def receive(sock: socket.socket) -> bytes | None:
    """Take what is there; ``None``: nothing now; empty: the peer has ended, in whatever way."""
    try:
        return sock.recv(PIECE_BYTES, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    except OSError:
        return b""


class _Way:
    """One direction."""

    def __init__(self, source: socket.socket, sink: socket.socket, flow: Flow) -> None:
        self.source = source
        self.sink = sink
        self.flow = flow
        self.buffer = bytearray()
        self.has_ended = False
        """Nothing more comes from the source."""
        self.is_shut = False
        self.taken = 0
        self.passed = 0

    @property
    def wants_more(self) -> bool:
        return not (self.has_ended or self.flow.is_complete or self.buffer)

    @property
    def is_done(self) -> bool:
        return (self.has_ended or self.flow.is_complete) and not self.buffer

    def take(self, data: bytes) -> None:
        self.taken += len(data)
        self.buffer += self.flow.take(data)

    def read(self) -> None:
        try:
            data = self.source.recv(PIECE_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if data:
            self.take(data)
        else:
            self.has_ended = True
            self.flow.end()

    def write(self) -> None:
        if self.buffer:
            with suppress(BlockingIOError):
                count = self.sink.send(self.buffer, socket.MSG_DONTWAIT)
                del self.buffer[:count]
                self.passed += count
        if self.is_done and self.has_ended and not self.is_shut:
            self.is_shut = True
            with suppress(OSError):
                self.sink.shutdown(socket.SHUT_WR)


class Pump:
    """One connection of a cell and the host's own for it.

    Args:
        client: The cell's side.
        upstream: The other side.
        out: What of the cell's bytes is passed on.
        back: What of the answer is.
        cancel: A descriptor that becomes readable when this is to end.
    """

    def __init__(
        self,
        client: socket.socket,
        upstream: socket.socket,
        *,
        out: Flow,
        back: Flow,
        cancel: int,
    ) -> None:
        self._client = client
        self._out = _Way(client, upstream, out)
        self._back = _Way(upstream, client, back)
        self._cancel = cancel

    @property
    def sent(self) -> int:
        """Bytes that went to the other side."""
        return self._out.passed

    @property
    def received(self) -> int:
        """Bytes that came from the other side."""
        return self._back.taken

    def tell_client(self, data: bytes) -> None:
        """Say something to the client before anything is passed on."""
        self._back.buffer += data

    def tell_upstream(self, data: bytes) -> None:
        """Say something to the other side before anything is passed on."""
        self._out.buffer += data

    def run(self, rest: bytes, *, idle_s: float, linger_s: float) -> str:
        """Carry to the end.

        Args:
            rest: What the client sent already.
            idle_s: Silence that ends the connection.
            linger_s: The same, once one side has ended.

        Returns:
            Why it did not end by itself; empty: it did.
        """
        try:
            self._out.take(rest)
            while not self._is_done():
                is_half = self._out.has_ended or self._back.has_ended
                limit_s = linger_s if is_half else idle_s
                ready = wait(self._interests(), self._cancel, limit_s)
                if self._cancel in ready:
                    return "" if self._client_is_gone() else CUT
                if not ready:
                    return f"it was silent for {limit_s:g} s"
                self._step(ready)
        except MalformedError as error:
            return str(error)
        except OSError as error:
            # A client that leaves early is none of the other side's failures.
            return "" if self._client_is_gone() else (error.strerror or "it broke").lower()
        return ""

    def _is_done(self) -> bool:
        if isinstance(self._back.flow, Through):
            return self._out.is_done and self._back.is_done
        return self._back.is_done

    def _interests(self) -> dict[int, int]:
        interests: dict[int, int] = {}
        for way in (self._out, self._back):
            source, sink = way.source.fileno(), way.sink.fileno()
            if way.wants_more:
                interests[source] = interests.get(source, 0) | select.POLLIN
            if way.buffer:
                interests[sink] = interests.get(sink, 0) | select.POLLOUT
        if not (self._out.wants_more or self._out.has_ended):
            client = self._client.fileno()
            interests[client] = interests.get(client, 0) | select.POLLRDHUP
        return interests

    def _step(self, ready: Mapping[int, int]) -> None:
        for way in (self._out, self._back):
            events = ready.get(way.source.fileno(), 0)
            if way.wants_more and events & _READABLE:
                way.read()
            way.write()
        if self._out.flow.is_complete and ready.get(self._client.fileno(), 0) & select.POLLRDHUP:
            # It asks for nothing more: a client may end its side and wait, or be gone.
            self._out.has_ended = self._out.is_shut = True

    def _client_is_gone(self) -> bool:
        if self._out.has_ended:
            return True
        poll = select.poll()
        poll.register(self._client, select.POLLRDHUP)
        return bool(poll.poll(0))
