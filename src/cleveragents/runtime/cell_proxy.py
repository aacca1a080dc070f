"""The host's end of a cell's one port: who asks, is it admitted, carry it, record it.

Whose connection it is, is said by the socket that it came in on, which the
host holds for that cell, and by the call that the host has under way there;
never by anything that is sent. A call that has ended leaves no connection
behind: each is ended and recorded before the call's own outcome is.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol

from cleveragents.errors import (
    BudgetExceededError,
    RecordError,
    SecurityBoundaryViolation,
    ToolAccessDeniedError,
    ToolFailedError,
)
from cleveragents.policy.connection import Caller
from cleveragents.runtime.proxy_limit import Meter, ProxyLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cleveragents.policy.host_rule import HostRules
    from cleveragents.terms.connection import Connection, Traffic
    from cleveragents.tools.broker.proxy_request import Asking

    Carry = Callable[[], Traffic]
    Connect = Callable[[Connection, Caller, Carry], Traffic]

_REFUSED: Final = 403
_MALFORMED: Final = 400
_SHORTAGE_S: Final = 0.05
"""Pause after the host could not accept, being out of descriptors or memory."""
_END_S: Final = 30.0
"""How long the connections of an ended call may take to be gone; they are told at once."""
_NO_BUDGET: Final = "a budget of this plan or above it does not admit another connection"
_EVENT: Final = os.EFD_CLOEXEC | os.EFD_NONBLOCK
_SO_MEMINFO: Final = 55
_DROPS: Final = slice(32, 36)
"""The counter of what a socket's queue could not take, in what ``SO_MEMINFO`` gives."""


class Edge(Protocol):
    """What reads, connects and carries; see ``tools.broker.tunnel``."""

    def read(self, client: socket.socket, cancel: int) -> Asking | None:
        """Read a request; ``None`` when nothing was asked."""

    def carry(
        self, client: socket.socket, asking: Asking, hosts: HostRules, cancel: int
    ) -> Traffic:
        """Connect, and carry to the end; never raises."""

    def refuse(self, client: socket.socket, status: int, reason: str, cancel: int) -> None:
        """Answer in the host's own words."""


class CellNetwork:
    """What the cells of one plan may reach, and the door that each connection passes.

    Args:
        open_edge: Gives what connects, when the first connection comes.
        connect: The door, with what the host holds for the plan.
        hosts: What profiles and grant admit together; for addresses behind names.
        tools: Tools of the plan's own cell that may reach hosts; it has a port only when
            there are any.
        watched: Tools besides that run code of somebody's in the cell: what they try is refused.
        tell: Told in one line of what was refused.
        limits: For each cell.
    """

    def __init__(
        self,
        *,
        open_edge: Callable[[], Edge],
        connect: Connect,
        hosts: HostRules,
        tools: frozenset[str] = frozenset(),
        watched: frozenset[str] = frozenset(),
        tell: Callable[[str], None] = lambda _: None,
        limits: ProxyLimits | None = None,
    ) -> None:
        self.open_edge = open_edge
        self.connect = connect
        self.hosts = hosts
        self.tools = tools
        self.watched = watched | tools
        self.tell = tell
        self.limits = limits or ProxyLimits()

    def open(self, listener: socket.socket, resident: Caller | None = None) -> CellProxy:
        """Answer at a cell's port from now on.

        Args:
            listener: The socket that the cell handed over; the proxy's from now on.
            resident: The program or server that runs there all the time; left
                out: connections are admitted while a call is under way.
        """
        return CellProxy(listener, self, resident)


class CellProxy:
    """One cell's port. Connections are served by a thread each, up to a limit."""

    def __init__(
        self, listener: socket.socket, network: CellNetwork, resident: Caller | None
    ) -> None:
        self._listener = listener
        self._network = network
        self._resident = resident
        self._caller = resident
        """Whose call is under way; ``None``: nobody's, and nothing is admitted."""
        self._turn = threading.Lock()
        self._changed = threading.Condition()
        self._wake, self._cancel = _two_events()
        self._open = 0
        self._is_closed = False
        self._is_unread = False
        self._broken: RecordError | None = None
        self._meter = Meter(network.limits)
        self._thread: threading.Thread | None = None
        if resident is not None:
            self._start()

    @property
    def is_spent(self) -> bool:
        """Say whether what an ended call asked may still come, as if the next one asked it.

        The kernel of the cell goes on for its dead processes: of a connection that the queue
        could not take it sends the request again, seconds later. No further call may be made
        in such a cell.
        """
        return self._is_unread or _turned_away(self._listener) > 0

    @contextmanager
    def during(self, tool: str, call_id: str = "") -> Iterator[None]:
        """Admit the connections of one call, and leave none when it has ended.

        Args:
            tool: What is called.
            call_id: Which call it is, where other cells of the plan have calls at the same time.

        Raises:
            RecordError: Something of a connection could not be recorded.
        """
        if self._resident is not None or tool not in self._network.watched:
            yield
            return
        with self._turn:
            self._start()
            with self._changed:
                self._caller = Caller(tool=tool, call_id=call_id)
            try:
                yield
            finally:
                self._settle()
            self._check()

    def close(self) -> None:
        """Answer no more, and wait until every connection has ended. May be called again.

        Raises:
            RecordError: Something of a connection could not be recorded.
        """
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._caller = None
        os.eventfd_write(self._wake, 1)
        if self._thread is not None:
            self._thread.join()
        self._settle()
        self._listener.close()
        if not self._open:
            os.close(self._wake)
            os.close(self._cancel)
        self._check()

    def _start(self) -> None:
        if self._thread is None:
            # A daemon: nothing of it is worth holding up the end of the host for.
            self._thread = threading.Thread(target=self._accept, name="cell port", daemon=True)
            self._thread.start()

    def _settle(self) -> None:
        """End what the call has left: its processes are dead already."""
        with self._changed:
            self._caller = None
            while (unread := self._next()) is not None:
                # It asked for nothing that anybody has read.
                unread.close()
            os.eventfd_write(self._cancel, 1)
            if self._changed.wait_for(lambda: self._open == 0, _END_S):
                with suppress(BlockingIOError):
                    os.eventfd_read(self._cancel)
            else:
                self._broken = RecordError(
                    problem="a connection of a cell does not end",
                    hint="what it carried cannot be recorded; see 'agents plan explain'",
                )

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken

    # What comes

    def _accept(self) -> None:
        while True:
            poll = select.poll()
            poll.register(self._wake, select.POLLIN)
            with self._changed:
                if self._is_closed:
                    return
                if self._open < self._network.limits.connections:
                    poll.register(self._listener, select.POLLIN)
            ready = dict(poll.poll())
            if self._wake in ready:
                os.eventfd_read(self._wake)
            if len(ready) > (self._wake in ready):
                self._take_next()

    def _take_next(self) -> None:
        with self._changed:
            client = self._next()
            if client is None:
                return
            if self._caller is None or not self._meter.admits():
                client.close()
                return
            self._open += 1
            worker = threading.Thread(
                target=self._serve, args=(client, self._caller), name="cell connection", daemon=True
            )
        try:
            worker.start()
        except RuntimeError:
            # The host cannot start a thread: the cell waits, the host goes on.
            self._leave(client)
            time.sleep(_SHORTAGE_S)

    def _next(self) -> socket.socket | None:
        while True:
            try:
                return self._listener.accept()[0]
            except ConnectionError:
                # It was gone again before anybody looked.
                continue
            except BlockingIOError:
                return None
            except OSError:
                # What waits is taken later, perhaps when its call has ended.
                self._is_unread = True
                time.sleep(_SHORTAGE_S)
                return None

    def _leave(self, client: socket.socket) -> None:
        client.close()
        with self._changed:
            self._open -= 1
            self._changed.notify_all()
            # Under the lock: closing the descriptor waits for the last one to have left.
            with suppress(BlockingIOError):
                os.eventfd_write(self._wake, 1)

    # One connection

    def _serve(self, client: socket.socket, caller: Caller) -> None:
        try:
            self._answer(client, caller)
        except RecordError as error:
            with self._changed:
                self._broken = error
                # Nothing more may happen that cannot be recorded.
                self._caller = None
        finally:
            self._leave(client)

    def _answer(self, client: socket.socket, caller: Caller) -> None:
        edge = self._network.open_edge()
        asking = edge.read(client, self._cancel)
        if asking is None:
            return
        connection, hosts = asking.connection, self._network.hosts
        try:
            self._network.connect(
                connection, caller, lambda: edge.carry(client, asking, hosts, self._cancel)
            )
        except ToolFailedError as error:
            self._fault(edge, client, _MALFORMED, error.reason)
        except BudgetExceededError:
            # Whose limit it was, and its figures, are for the record and for people.
            self._fault(edge, client, _REFUSED, _NO_BUDGET)
        except (ToolAccessDeniedError, SecurityBoundaryViolation) as error:
            self._network.tell(f"connection to {connection.name}: {error.message}")
            self._fault(edge, client, _REFUSED, error.message)

    def _fault(self, edge: Edge, client: socket.socket, status: int, reason: str) -> None:
        with self._changed:
            is_last = self._meter.fault()
        if is_last:
            self._network.tell("too many refused connections: the cell's port is shut for a while")
        edge.refuse(client, status, reason, self._cancel)


def _turned_away(listener: socket.socket) -> int:
    """Count the connections for which the queue of a listening socket had no room.

    Source:
        sock_diag(7), ``SK_MEMINFO_DROPS``.
    """
    try:
        counts = listener.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _DROPS.stop)
    except OSError:
        # A kernel that does not say, or a port that is closed.
        return 0
    return int.from_bytes(counts[_DROPS], sys.byteorder)


def _two_events() -> tuple[int, int]:
    first = os.eventfd(0, _EVENT)
    try:
        return first, os.eventfd(0, _EVENT)
    except OSError:
        os.close(first)
        raise
