"""The host's end of a port: who asks is what the host knows, and no call leaves anything open."""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import (
    PlanBudgetExceededError,
    RecordError,
    SecurityBoundaryViolation,
    ToolAccessDeniedError,
    ToolFailedError,
)
from cleveragents.policy.connection import Caller
from cleveragents.policy.host_rule import HostRules
from cleveragents.runtime import cell_proxy
from cleveragents.runtime.cell_proxy import CellNetwork, CellProxy
from cleveragents.runtime.proxy_limit import Meter, ProxyLimits
from cleveragents.tools.broker.tunnel import TunnelLimits, Tunnels
from tests.network.descriptor import open_descriptors
from tests.plans.scene import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cleveragents.terms.connection import Connection, Traffic

    Carry = Callable[[], Traffic]

EDGE = Tunnels(limits=TunnelLimits(farewell_s=0.02, head_s=5.0))
OVER = PlanBudgetExceededError(
    whose="plan 01", dimension="tool_calls", limit="1", spent="1", reserved="0", asked="1"
)


class Door:
    """Lets in, or raises, and keeps what it was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: list[tuple[Connection, Caller]] = []
        self.ended: list[Traffic] = []
        self.told: list[str] = []

    def __call__(self, connection: Connection, caller: Caller, carry: Carry) -> Traffic:
        self.asked.append((connection, caller))
        if self.error is not None:
            raise self.error
        traffic = carry()
        self.ended.append(traffic)
        return traffic


@contextmanager
def port_of(
    door: Door, resident: Caller | None = None, limits: ProxyLimits | None = None
) -> Iterator[tuple[CellProxy, Callable[[], socket.socket]]]:
    """A proxy at a port of this machine, and who connects to it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=8)
    listener.settimeout(0)
    place = listener.getsockname()
    network = CellNetwork(
        open_edge=lambda: EDGE,
        connect=door,
        hosts=HostRules.parse(["127.0.0.1"]),
        tools=frozenset({"run_command"}),
        watched=frozenset({"own"}),
        tell=door.told.append,
        limits=limits,
    )
    proxy = network.open(listener, resident)
    made: list[socket.socket] = []

    def connect() -> socket.socket:
        made.append(socket.create_connection(place, timeout=10))
        return made[-1]

    try:
        yield proxy, connect
    finally:
        try:
            proxy.close()
        finally:
            for one in made:
                one.close()


@contextmanager
def broken_port_of(door: Door) -> Iterator[tuple[CellProxy, Callable[[], socket.socket]]]:
    """One whose end must say, too, that something could not be recorded."""
    with ExitStack() as stack:
        yield stack.enter_context(port_of(door))
        with pytest.raises(RecordError):
            stack.close()


def said(client: socket.socket) -> bytes:
    data = b""
    try:
        while piece := client.recv(65536):
            data += piece
    except ConnectionError:
        pass
    return data


def ask(client: socket.socket, target: str = "127.0.0.1:9") -> bytes:
    try:
        client.sendall(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
        client.shutdown(socket.SHUT_WR)
    except OSError:
        # Closed unread, perhaps before it was written.
        return b""
    return said(client)


def test_the_caller_is_the_call_that_is_under_way() -> None:
    door = Door()
    with port_of(door) as (proxy, connect):
        for tool in ("run_command", "own"):
            with proxy.during(tool):
                assert ask(connect()).startswith(b"HTTP/1.1 502 ")
        assert [caller for _, caller in door.asked] == [Caller("run_command"), Caller("own")]
        assert [one.host for one, _ in door.asked] == ["127.0.0.1"] * 2


def test_a_program_may_ask_at_any_time_and_a_call_beside_it_ends_nothing() -> None:
    door = Door()
    with port_of(door, Caller(server="git")) as (proxy, connect):
        client = connect()
        with proxy.during("run_command"):
            pass
        assert ask(client).startswith(b"HTTP/1.1 502 ")
    assert door.asked[0][1].name == "MCP server git"
    assert Caller().name == "program"


def test_nothing_is_read_of_what_comes_while_nobody_calls() -> None:
    door = Door()
    with port_of(door) as (proxy, connect):
        with proxy.during("run_command"):
            pass
        assert ask(connect()) == b""
        with proxy.during("read_file"):
            assert ask(connect()) == b""
        # Waits in the kernel while a call ends: it is not taken for the next call's.
        early = connect()
        with proxy.during("run_command"):
            ask(connect())
        assert said(early) == b""
    assert len(door.asked) == 1


def test_a_call_ends_with_its_connections() -> None:
    door = Door()
    with socket.create_server(("127.0.0.1", 0)) as server, port_of(door) as (proxy, connect):
        with proxy.during("run_command"):
            client = connect()
            client.sendall(f"CONNECT 127.0.0.1:{server.getsockname()[1]} HTTP/1.1\r\n\r\n".encode())
            assert client.recv(12) == b"HTTP/1.1 200"
            silent = connect()
        assert [traffic.error for traffic in door.ended] == [
            "closed: what asked for it in the cell has ended"
        ]
        assert said(client).endswith(b"\r\n\r\n")
        assert said(silent) == b""
        with proxy.during("run_command"):
            # The cut of the call before does not reach this one.
            assert ask(connect()).startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (
            ToolAccessDeniedError(tool_name="connect", profile_name="p", reason="not this host"),
            b"403 Forbidden",
            b"not this host",
        ),
        (
            SecurityBoundaryViolation(subplan_id="01", resource_name="host:a.org", timestamp="now"),
            b"403 Forbidden",
            b"host:a.org",
        ),
        (OVER, b"403 Forbidden", b"a budget of this plan or above"),
        (ToolFailedError(tool_name="connect", reason="odd"), b"400 Bad Request", b"odd"),
    ],
)
def test_a_refusal_is_told_in_one_sentence(error: Exception, status: bytes, words: bytes) -> None:
    door = Door(error)
    with port_of(door) as (proxy, connect), proxy.during("run_command"):
        found = ask(connect())
        assert found.startswith(b"HTTP/1.1 " + status)
        assert words in found
    assert b"tool_calls" not in found
    refused = isinstance(error, ToolAccessDeniedError | SecurityBoundaryViolation)
    assert len(door.told) == refused


def test_what_cannot_be_recorded_stops_everything() -> None:
    door = Door(RecordError(problem="the disk is full"))

    def call(proxy: CellProxy, connect: Callable[[], socket.socket]) -> None:
        with proxy.during("run_command"):
            assert ask(connect()) == b""
            assert ask(connect()) == b""

    with broken_port_of(door) as (proxy, connect):
        with pytest.raises(RecordError, match="disk is full"):
            call(proxy, connect)
        assert len(door.asked) == 1


def test_a_failure_of_the_call_itself_is_the_one_that_is_raised() -> None:
    def call(proxy: CellProxy, connect: Callable[[], socket.socket]) -> None:
        with proxy.during("run_command"):
            ask(connect())
            raise KeyError

    with (
        broken_port_of(Door(RecordError(problem="the disk is full"))) as (proxy, connect),
        pytest.raises(KeyError),
    ):
        call(proxy, connect)


def test_more_than_may_be_open_wait_their_turn() -> None:
    door = Door()
    limits = ProxyLimits(connections=2)
    with port_of(door, limits=limits) as (proxy, connect), proxy.during("run_command"):
        first, second, third = connect(), connect(), connect()
        third.sendall(b"CONNECT 127.0.0.1:9 HTTP/1.1\r\n\r\n")
        third.settimeout(0.2)
        with pytest.raises(TimeoutError):
            third.recv(1)
        first.close()
        third.settimeout(10)
        assert third.recv(12) == b"HTTP/1.1 502"
        second.close()
    assert len(door.asked) == 1


def test_a_window_begins_anew_when_it_is_over() -> None:
    now = [100.0]
    meter = Meter(ProxyLimits(faults=2, total=5, window_s=60), clock=lambda: now[0])
    assert meter.admits()
    assert [meter.fault(), meter.fault()] == [False, True]
    assert not meter.admits()
    now[0] = 160.0
    assert [meter.admits() for _ in range(6)] == [True] * 5 + [False]


def test_a_flood_of_refusals_shuts_the_port() -> None:
    door = Door(ToolAccessDeniedError(tool_name="connect", profile_name="p", reason="no"))
    limits = ProxyLimits(faults=3, window_s=60)
    with port_of(door, limits=limits) as (proxy, connect), proxy.during("run_command"):
        for _ in range(3):
            assert b"403" in ask(connect())
        for _ in range(5):
            assert ask(connect()) == b""
        assert len(door.asked) == 3
        assert door.told[-1].startswith("too many refused connections")


def test_no_window_holds_more_than_its_total() -> None:
    door = Door()
    limits = ProxyLimits(total=2)
    with port_of(door, limits=limits) as (proxy, connect), proxy.during("run_command"):
        assert ask(connect())
        assert ask(connect())
        assert ask(connect()) == b""


def test_a_host_without_threads_or_descriptors_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_proxy, "_SHORTAGE_S", 0.001)
    door = Door()
    real_start = threading.Thread.start
    failing = ["cell connection"]

    def start(thread: threading.Thread) -> None:
        if thread.name in failing:
            failing.clear()
            raise RuntimeError("can't start new thread")
        real_start(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with port_of(door) as (proxy, connect), proxy.during("run_command"):
        assert ask(connect()) == b""
        assert ask(connect()).startswith(b"HTTP/1.1 502 ")


class Listener:
    """A listening socket that fails before it works."""

    def __init__(self, *errors: OSError) -> None:
        self._real = socket.create_server(("127.0.0.1", 0))
        self._real.settimeout(0)
        self.errors = list(errors)
        self.place = self._real.getsockname()

    def fileno(self) -> int:
        return self._real.fileno()

    def accept(self) -> tuple[socket.socket, object]:
        if self.errors:
            raise self.errors.pop(0)
        return self._real.accept()

    def getsockopt(self, level: int, name: int, size: int) -> bytes:
        return self._real.getsockopt(level, name, size)

    def close(self) -> None:
        self._real.close()


def test_a_failing_accept_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_proxy, "_SHORTAGE_S", 0.001)
    door = Door()
    listener = Listener(ConnectionAbortedError(), OSError(errno.EMFILE, "too many open files"))
    network = CellNetwork(
        open_edge=lambda: EDGE,
        connect=door,
        hosts=HostRules.parse(["127.0.0.1"]),
        tools=frozenset({"run_command"}),
    )
    proxy = network.open(listener)  # type: ignore[arg-type]  # as much of a socket as is used
    with proxy.during("run_command"), socket.create_connection(listener.place, 10) as client:
        assert ask(client).startswith(b"HTTP/1.1 502 ")
    proxy.close()
    proxy.close()
    assert not listener.errors


@pytest.mark.parametrize("error", [None, OSError(errno.EMFILE, "too many open files")])
def test_what_could_not_be_accepted_at_the_end_of_its_call_spends_the_cell(
    monkeypatch: pytest.MonkeyPatch, error: OSError | None
) -> None:
    monkeypatch.setattr(cell_proxy, "_SHORTAGE_S", 0.001)
    listener = Listener()
    network = CellNetwork(
        open_edge=lambda: EDGE,
        connect=Door(),
        hosts=HostRules.parse(["127.0.0.1"]),
        tools=frozenset({"run_command"}),
    )
    proxy = network.open(listener)  # type: ignore[arg-type]  # as much of a socket as is used
    with proxy.during("run_command"):
        listener.errors += [error] if error else []
    assert proxy.is_spent is (error is not None)
    proxy.close()


def make_hard_of_hearing(listener: socket.socket) -> None:
    """Drop what follows the first word of a connection, as the kernel does when a queue is full."""
    # Of a packet's flags: is it a SYN?
    program = [(0x30, 0, 0, 13), (0x45, 0, 1, 2), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
    attach = struct.pack("HL", len(program), ctypes.addressof(code))
    listener.setsockopt(socket.SOL_SOCKET, 26, attach)


def test_the_kernel_may_ask_again_for_a_program_that_is_dead_and_then_the_cell_is_spent() -> None:
    door = Door()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        network = CellNetwork(
            open_edge=lambda: EDGE,
            connect=door,
            hosts=HostRules.parse(["127.0.0.1"]),
            tools=frozenset({"run_command"}),
            watched=frozenset({"own"}),
        )
        proxy = network.open(listener)
        with proxy.during("own"):
            make_hard_of_hearing(listener)
            with socket.create_connection(listener.getsockname(), 10) as dead:
                dead.sendall(b"CONNECT 127.0.0.1:9 HTTP/1.1\r\n\r\n")
        assert proxy.is_spent
        listener.setsockopt(socket.SOL_SOCKET, 27, 0)
        # What would happen to the next call in that cell; so there is none.
        with proxy.during("run_command"):
            wait_until(lambda: bool(door.asked), "the request of the call before")
        proxy.close()
    assert [caller for _, caller in door.asked] == [Caller("run_command")]


def test_a_connection_that_does_not_end_is_a_record_that_cannot_be_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cell_proxy, "_END_S", 0.05)
    asked, released = threading.Event(), threading.Event()

    class Stuck(Door):
        def __call__(self, connection: Connection, caller: Caller, carry: Carry) -> Traffic:
            asked.set()
            released.wait(20)
            return super().__call__(connection, caller, carry)

    door = Stuck()

    def call(proxy: CellProxy, connect: Callable[[], socket.socket]) -> None:
        with proxy.during("run_command"):
            connect().sendall(b"CONNECT 127.0.0.1:9 HTTP/1.1\r\n\r\n")
            assert asked.wait(20)

    with (
        broken_port_of(door) as (proxy, connect),
        pytest.raises(RecordError, match="does not end"),
    ):
        call(proxy, connect)
    released.set()
    wait_until(
        lambda: not any(t.name == "cell connection" for t in threading.enumerate()), "its end"
    )


def test_a_closed_port_leaves_nothing_behind() -> None:
    before = open_descriptors()
    threads = threading.active_count()
    with port_of(Door(), Caller()) as (_, connect):
        ask(connect())
    assert open_descriptors() == before
    # A connection's thread says that it is done before it is gone.
    wait_until(lambda: threading.active_count() == threads, "the end of its threads")
