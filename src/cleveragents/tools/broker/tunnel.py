"""The host's way out for what runs in cells: read a request, connect to checked addresses, carry.

Everything that comes from a cell is bounded: the size and the time of a
request's head, the time of a look-up and of a connect, the silence of a
connection. Its socket is one that the cell may have kept a copy of: it is
never trusted to be non-blocking or blocking, each operation says so itself.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cleveragents.terms.connection import Traffic
from cleveragents.tools.broker.address import checked_addresses, system_resolve
from cleveragents.tools.broker.deadline import Deadline
from cleveragents.tools.broker.edge_error import EdgeError
from cleveragents.tools.broker.proxy_flow import Answer, Body, Through
from cleveragents.tools.broker.proxy_request import END, Asking, read_asking, unread_asking
from cleveragents.tools.broker.pump import CUT, CutError, Pump, receive, wait

if TYPE_CHECKING:
    from cleveragents.tools.broker.address import HostPredicate, Resolve

_ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_REASONS: Final = {400: "Bad Request", 403: "Forbidden", 502: "Bad Gateway"}


@dataclass(frozen=True, slots=True)
class TunnelLimits:
    """What one connection may use up."""

    head_bytes: int = 32 << 10
    """Of a request's first line and headers."""
    head_s: float = 15.0
    """From the connection to the end of the head."""
    look_up_s: float = 10.0
    connect_s: float = 10.0
    """For each address."""
    idle_s: float = 300.0
    """Silence in both directions."""
    linger_s: float = 30.0
    """The same, once one side has ended."""
    farewell_s: float = 1.0
    """How long a client that is refused may go on sending before the connection is reset."""


class Tunnels:
    """Carries the connections of cells; one serves all plans and threads.

    Args:
        resolve: Gives a name's addresses.
        limits: For each connection.
    """

    def __init__(
        self, *, resolve: Resolve = system_resolve, limits: TunnelLimits | None = None
    ) -> None:
        self._resolve = resolve
        self._limits = limits or TunnelLimits()

    def read(self, client: socket.socket, cancel: int) -> Asking | None:
        """Read what a client asks for.

        Args:
            client: The connection of something in a cell.
            cancel: A descriptor that becomes readable when this is to end.

        Returns:
            The request, perhaps one with a problem; ``None`` when the client
            ended without a word, or this was cancelled.
        """
        data = b""
        ends = time.monotonic() + self._limits.head_s
        while END not in data:
            left_s = ends - time.monotonic()
            if left_s <= 0:
                return unread_asking(f"no whole request came within {self._limits.head_s:g} s")
            ready = wait({client.fileno(): select.POLLIN}, cancel, left_s)
            if cancel in ready:
                return None
            if not ready:
                continue
            piece = receive(client)
            if piece == b"":
                return unread_asking("the request ended in its head") if data else None
            data += piece or b""
            if len(data) > self._limits.head_bytes and END not in data[: self._limits.head_bytes]:
                return unread_asking(f"its head is longer than {self._limits.head_bytes} bytes")
        return read_asking(data)

    def carry(
        self, client: socket.socket, asking: Asking, hosts: HostPredicate, cancel: int
    ) -> Traffic:
        """Connect to what was decided on, and carry bytes both ways to the end.

        Args:
            client: The connection of something in a cell.
            asking: Its request, which was let in.
            hosts: Which addresses the plan may reach at all.
            cancel: A descriptor that becomes readable when this is to end.

        Returns:
            How it went; never raises.
        """
        try:
            upstream = self._connect(asking, hosts, cancel)
        except (EdgeError, CutError) as error:
            self.refuse(client, 502, str(error.args[0]), cancel)
            return Traffic(error=str(error.args[0]))
        with upstream:
            return self._pumped(client, upstream, asking, cancel)

    def _pumped(
        self,
        client: socket.socket,
        upstream: socket.socket,
        asking: Asking,
        cancel: int,
    ) -> Traffic:
        address = _peer(upstream)
        is_tunnel = asking.connection.form == "tunnel"
        out = Through() if is_tunnel else Body(asking.body)
        back = Through() if is_tunnel else Answer(has_body=not asking.is_head)
        pump = Pump(client, upstream, out=out, back=back, cancel=cancel)
        if is_tunnel:
            pump.tell_client(_ESTABLISHED)
        else:
            pump.tell_upstream(asking.head)
        error = pump.run(asking.rest, idle_s=self._limits.idle_s, linger_s=self._limits.linger_s)
        if isinstance(back, Answer) and error and not back.has_begun:
            self.refuse(client, 502, error, cancel)
        return Traffic(sent=pump.sent, received=pump.received, address=address, error=error)

    def refuse(self, client: socket.socket, status: int, reason: str, cancel: int) -> None:
        """Answer a request in the host's own words, and let the client read them."""
        body = f"cleveragents: {reason}\n".encode("utf-8", "replace")
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        with suppress(OSError):
            client.send(head.encode("ascii") + body, socket.MSG_DONTWAIT)
            client.shutdown(socket.SHUT_WR)
        # Closing while bytes are unread resets the connection, and the answer may be lost.
        ends = time.monotonic() + self._limits.farewell_s
        while (left_s := ends - time.monotonic()) > 0:
            ready = wait({client.fileno(): select.POLLIN}, cancel, left_s)
            if cancel in ready or (ready and receive(client) == b""):
                return

    def _connect(self, asking: Asking, hosts: HostPredicate, cancel: int) -> socket.socket:
        connection = asking.connection
        addresses = self._look_up(connection.host, connection.port, hosts, cancel)
        failure = "no address"
        for address in addresses:
            found = _dial(address, connection.port, self._limits.connect_s, cancel)
            if isinstance(found, socket.socket):
                return found
            failure = found
        raise EdgeError(f"{connection.host!r} cannot be reached: {failure}")

    def _look_up(self, host: str, port: int, hosts: HostPredicate, cancel: int) -> tuple[str, ...]:
        """Look a name up in a thread of its own, so that a cancel does not wait for it."""
        found: list[tuple[str, ...] | EdgeError] = []
        ours, theirs = socket.socketpair()

        def work() -> None:
            # Its end is what is waited for.
            with theirs:
                try:
                    found.append(
                        checked_addresses(
                            host,
                            port,
                            hosts=hosts,
                            resolve=self._resolve,
                            deadline=Deadline(self._limits.look_up_s),
                        )
                    )
                except EdgeError as error:
                    found.append(error)

        with ours:
            threading.Thread(target=work, name="cell name look-up", daemon=True).start()
            ready = wait({ours.fileno(): select.POLLIN}, cancel, self._limits.look_up_s + 1)
        if cancel in ready:
            raise CutError(CUT)
        if not found:
            raise EdgeError(f"{host!r} cannot be looked up in time")
        if isinstance(found[0], EdgeError):
            raise found[0]
        return found[0]


def _peer(upstream: socket.socket) -> str:
    try:
        return str(upstream.getpeername()[0])
    except OSError:
        # It has gone again already.
        return ""


def _dial(address: str, port: int, limit_s: float, cancel: int) -> socket.socket | str:
    """Connect to one address; give the socket, or why there is none."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with ExitStack() as stack:
        try:
            upstream = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            return (error.strerror or "no socket").lower()
        stack.enter_context(upstream)
        code = upstream.connect_ex((address, port))
        if code == errno.EINPROGRESS:
            ready = wait({upstream.fileno(): select.POLLOUT}, cancel, limit_s)
            if cancel in ready:
                raise CutError(CUT)
            code = upstream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            code = code if ready else errno.ETIMEDOUT
        if code:
            return os.strerror(code).lower()
        upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stack.pop_all()
        return upstream
