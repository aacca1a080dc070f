"""The edge over real sockets on loopback: it connects where it was let, carries, counts, ends."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cleveragents.policy.host_rule import HostRules
from cleveragents.terms.connection import Connection, Traffic
from cleveragents.tools.broker import tunnel
from cleveragents.tools.broker.proxy_request import Asking, read_asking
from cleveragents.tools.broker.pump import CUT, CutError
from cleveragents.tools.broker.tunnel import TunnelLimits, Tunnels
from tests.tools.loopback import Names, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = HostRules.parse(["127.0.0.1"])
QUICK = TunnelLimits(
    head_bytes=200,
    head_s=0.1,
    look_up_s=0.2,
    connect_s=0.2,
    idle_s=0.2,
    linger_s=0.1,
    farewell_s=0.02,
)
PATIENT = TunnelLimits(farewell_s=0.02)


class Line:
    """A cell's side, the host's side of the same connection, and what cancels it."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.cell = socket.create_connection(listener.getsockname())
            self.host, _ = listener.accept()
        self.cell.settimeout(10)
        self.cancel = os.eventfd(0)

    def close(self) -> None:
        self.cell.close()
        self.host.close()
        os.close(self.cancel)

    def said(self) -> bytes:
        """Everything that the cell is told, to the end."""
        data = b""
        try:
            while piece := self.cell.recv(65536):
                data += piece
        except ConnectionResetError:
            pass
        return data


@pytest.fixture
def line() -> Iterator[Line]:
    with closing(Line()) as made:
        yield made


@contextmanager
def echo(answer: Callable[[socket.socket], None] | None = None) -> Iterator[int]:
    """A server that gives back what it gets, or does something else; gives its port."""

    def back(peer: socket.socket) -> None:
        while piece := peer.recv(65536):
            peer.sendall(piece)

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            try:
                (answer or back)(peer)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def held(released: threading.Event) -> None:
    released.wait(20)


def read_one(peer: socket.socket) -> None:
    peer.recv(100)


def to(port: int, host: str = "127.0.0.1") -> Asking:
    return Asking(Connection(host, port, "tunnel"))


def request(port: int, path: str = "/", *lines: str, method: str = "GET") -> Asking:
    head = "\r\n".join((f"{method} http://127.0.0.1:{port}{path} HTTP/1.1", *lines, "", ""))
    return read_asking(head.encode())


class Carried:
    """A connection that is being carried in a thread."""

    def __init__(self, line: Line, asking: Asking, tunnels: Tunnels | None = None) -> None:
        self._found: list[Traffic] = []
        edge = tunnels or Tunnels(limits=PATIENT)

        def work() -> None:
            self._found.append(edge.carry(line.host, asking, HERE, line.cancel))
            line.host.close()

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def traffic(self) -> Traffic:
        self._thread.join(20)
        (found,) = self._found
        return found


# -- reading ------------------------------------------------------------------


def test_a_head_that_comes_in_pieces_is_read(line: Line) -> None:
    found: list[Asking | None] = []
    reading = threading.Thread(target=lambda: found.append(Tunnels().read(line.host, line.cancel)))
    reading.start()
    for piece in (b"CONNECT a.o", b"rg:443 HTTP/1.1\r", b"\n\r\nrest"):
        line.cell.sendall(piece)
    reading.join(10)
    assert found == [Asking(Connection("a.org", 443, "tunnel"), rest=b"rest")]


def test_a_head_that_never_ends_is_bounded_in_size_and_time(line: Line) -> None:
    edge = Tunnels(limits=QUICK)
    line.cell.sendall(b"GET http://a.org/" + b"x" * 300)
    found = edge.read(line.host, line.cancel)
    assert found is not None
    assert "longer than 200 bytes" in found.connection.problem


def test_a_slow_one_ends_with_the_time_that_a_head_may_take(line: Line) -> None:
    line.cell.sendall(b"GET http://a.org/ HTTP/1.1\r\n")
    found = Tunnels(limits=QUICK).read(line.host, line.cancel)
    assert found is not None
    assert "within 0.1 s" in found.connection.problem


def test_one_that_ends_in_its_head_is_told_apart_from_one_that_says_nothing(line: Line) -> None:
    line.cell.sendall(b"GET")
    line.cell.shutdown(socket.SHUT_WR)
    found = Tunnels().read(line.host, line.cancel)
    assert found is not None
    assert found.connection.problem == "the request ended in its head"
    with closing(Line()) as other:
        other.cell.close()
        assert Tunnels().read(other.host, other.cancel) is None


def test_a_cancelled_one_asks_for_nothing(line: Line) -> None:
    os.eventfd_write(line.cancel, 1)
    assert Tunnels().read(line.host, line.cancel) is None


# -- tunnels ------------------------------------------------------------------


def test_a_tunnel_carries_both_ways_and_counts(line: Line) -> None:
    with echo() as port:
        carried = Carried(line, replace(to(port), rest=b"early "))
        assert line.cell.recv(39) == b"HTTP/1.1 200 Connection established\r\n\r\n"
        line.cell.sendall(b"hello")
        line.cell.shutdown(socket.SHUT_WR)
        assert line.said() == b"early hello"
        assert carried.traffic() == Traffic(sent=11, received=11, address="127.0.0.1")


def test_much_goes_through_though_one_side_is_slow(line: Line) -> None:
    with echo() as port:
        carried = Carried(line, to(port))
        data = os.urandom(3_000_000)

        def write() -> None:
            line.cell.sendall(data)
            line.cell.shutdown(socket.SHUT_WR)

        writer = threading.Thread(target=write)
        writer.start()
        assert line.said().partition(b"\r\n\r\n")[2] == data
        writer.join()
        assert carried.traffic() == Traffic(len(data), len(data), "127.0.0.1")


def test_a_name_leads_to_the_addresses_that_were_checked(line: Line) -> None:
    names = Names({"here.test": [("203.0.113.9", "127.0.0.1")]})
    with echo() as port:
        edge = Tunnels(resolve=names, limits=QUICK)
        found = edge.carry(line.host, to(port, "here.test"), HostRules.parse(["*"]), line.cancel)
        assert "not a public address" in found.error
        assert found.address == ""
        line.host.close()
        assert line.said().startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        with socket.create_connection(("127.0.0.1", port)):
            assert names.asked == ["here.test"]


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "10.0.0.1", "::1", "::ffff:127.0.0.1", "fd00::1"]
)
def test_a_public_name_with_another_address_is_not_connected_to(line: Line, address: str) -> None:
    edge = Tunnels(resolve=Names({"a.org": [(address,)]}), limits=PATIENT)
    found = edge.carry(line.host, to(80, "a.org"), HostRules.parse(["*"]), line.cancel)
    assert found.error
    assert found.address == ""


def test_the_next_address_is_tried_and_the_last_failure_told(line: Line) -> None:
    rules = HostRules.parse(["here.test", "127.0.0.1", "127.0.0.2"])
    with echo() as port:
        edge = Tunnels(resolve=Names({"here.test": [("127.0.0.2", "127.0.0.1")]}))
        line.cell.shutdown(socket.SHUT_WR)
        found = edge.carry(line.host, to(port, "here.test"), rules, line.cancel)
        assert found == Traffic(address="127.0.0.1")
    with closing(Line()) as other:
        found = Tunnels(limits=PATIENT).carry(other.host, to(port), HERE, other.cancel)
        assert found.error == "'127.0.0.1' cannot be reached: connection refused"
        other.host.close()
        assert b"connection refused" in other.said()


def test_an_unknown_or_slow_name_ends_in_time(line: Line) -> None:
    hosts = HostRules.parse(["*"])
    found = Tunnels(resolve=Names({}), limits=PATIENT).carry(
        line.host, to(80, "a.org"), hosts, line.cancel
    )
    assert "cannot be looked up" in found.error
    released = threading.Event()

    def slow(host: str, port: int) -> tuple[str, ...]:
        released.wait(20)
        return ()

    with closing(Line()) as other:
        found = Tunnels(resolve=slow, limits=QUICK).carry(
            other.host, to(80, "a.org"), hosts, other.cancel
        )
        assert "longer than 0.2 s" in found.error
    with closing(Line()) as other:
        os.eventfd_write(other.cancel, 1)
        found = Tunnels(resolve=slow).carry(other.host, to(80, "a.org"), hosts, other.cancel)
        assert found.error == CUT
    released.set()


def test_a_host_that_does_not_answer_ends_in_time(line: Line) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        found = Tunnels(limits=QUICK).carry(line.host, to(port), HERE, line.cancel)
        assert found.error == "'127.0.0.1' cannot be reached: connection timed out"
        with closing(Line()) as other:
            os.eventfd_write(other.cancel, 1)
            assert Tunnels().carry(other.host, to(port), HERE, other.cancel).error == CUT
        for one in waiting:
            one.close()


def test_a_cut_ends_a_connect_that_is_under_way(line: Line) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        os.eventfd_write(line.cancel, 1)
        with pytest.raises(CutError):
            tunnel._dial("127.0.0.1", full.getsockname()[1], 10, line.cancel)
        for one in waiting:
            one.close()


def test_a_look_up_that_keeps_no_time_is_left_alone(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def stuck(*_: object, **__: object) -> tuple[str, ...]:
        released.wait(20)
        return ()

    monkeypatch.setattr(tunnel, "checked_addresses", stuck)
    found = Tunnels(limits=QUICK).carry(line.host, to(80, "a.org"), HERE, line.cancel)
    released.set()
    assert found.error == "'a.org' cannot be looked up in time"


def test_a_peer_that_has_gone_at_once_has_no_address() -> None:
    with socket.socket() as unconnected:
        assert tunnel._peer(unconnected) == ""


def test_an_address_of_a_family_that_the_host_lacks_is_told(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A number that no family has: the kernel's own refusal.
    monkeypatch.setattr(socket, "AF_INET6", 63)
    found = Tunnels().carry(line.host, to(80, "::1"), HostRules.parse(["::1"]), line.cancel)
    assert "not supported" in found.error


def test_silence_ends_a_connection(line: Line) -> None:
    with echo() as port:
        carried = Carried(line, to(port), Tunnels(limits=QUICK))
        assert carried.traffic().error == "it was silent for 0.2 s"


def test_a_connection_of_an_ended_call_is_cut(line: Line) -> None:
    with echo() as port:
        carried = Carried(line, to(port))
        line.cell.recv(39)
        os.eventfd_write(line.cancel, 1)
        assert carried.traffic() == Traffic(address="127.0.0.1", error=CUT)


def test_a_client_that_has_gone_before_the_cut_has_just_ended(line: Line) -> None:
    released = threading.Event()
    with echo(lambda _: held(released)) as port:
        carried = Carried(line, to(port))
        line.cell.recv(39)
        line.cell.sendall(b"x")
        line.cell.close()
        os.eventfd_write(line.cancel, 1)
        assert carried.traffic().error == ""
        released.set()


def test_a_server_that_breaks_off_is_told(line: Line) -> None:
    def reset(peer: socket.socket) -> None:
        peer.recv(1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with echo(reset) as port:
        carried = Carried(line, to(port))
        line.cell.sendall(b"x")
        found = carried.traffic()
    assert found == Traffic(1, 0, "127.0.0.1", "connection reset by peer")


# -- plain requests -------------------------------------------------------------


def test_a_plain_request_is_answered_and_the_connection_ends(line: Line) -> None:
    with serving() as server:
        carried = Carried(line, request(server.port, "/echo?a", "X-Mine: 1"))
        said = line.said()
        assert said.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"connection: close" in said
        assert carried.traffic().error == ""
        assert [(one.method, one.path) for one in server.seen] == [("GET", "/echo?a")]
        assert server.seen[0].headers["connection"] == "close"
        assert server.seen[0].headers["x-mine"] == "1"


def test_a_second_request_on_the_same_connection_goes_nowhere(line: Line) -> None:
    with serving() as server:
        first = request(server.port, "/", "Content-Length: 3", method="POST")
        more = f"abcGET http://127.0.0.1:{server.port}/second HTTP/1.1\r\n\r\n".encode()
        carried = Carried(line, replace(first, rest=more))
        assert line.said().endswith(b"hello")
        assert carried.traffic().error == ""
        assert [(one.path, one.body) for one in server.seen] == [("/", b"abc")]


def test_a_head_request_ends_with_its_head(line: Line) -> None:
    with serving() as server:
        carried = Carried(line, request(server.port, method="HEAD"))
        assert line.said().endswith(b"\r\n\r\n")
        assert carried.traffic().error == ""


@pytest.mark.parametrize("path", ["/nonsense", "/drip-headers"])
def test_an_answer_that_is_none_is_a_bad_gateway(line: Line, path: str) -> None:
    with serving() as server:
        if path == "/drip-headers":
            line.cell.settimeout(10)
            os.eventfd_write(line.cancel, 1)
        carried = Carried(line, request(server.port, path))
        assert carried.traffic().error
        assert line.said().startswith((b"HTTP/1.1 502", b""))


def test_a_request_whose_body_breaks_off_is_told(line: Line) -> None:
    released = threading.Event()
    with echo(lambda _: held(released)) as port:
        asked = request(port, "/", "Content-Length: 9", method="POST")
        carried = Carried(line, replace(asked, rest=b"abc"))
        line.cell.shutdown(socket.SHUT_WR)
        found = carried.traffic()
        released.set()
    assert found.error == "it ended in the middle of a body"


def test_a_client_that_leaves_does_not_keep_a_silent_server(line: Line) -> None:
    released = threading.Event()
    with echo(lambda _: held(released)) as port:
        carried = Carried(line, request(port), Tunnels(limits=replace(QUICK, idle_s=30.0)))
        line.cell.close()
        found = carried.traffic()
        released.set()
    assert found.error == "it was silent for 0.1 s"


def test_a_server_that_ends_without_an_answer_is_told(line: Line) -> None:
    with echo(read_one) as port:
        carried = Carried(line, request(port))
        assert carried.traffic().error == "it ended before its answer"
        assert line.said().startswith(b"HTTP/1.1 502 Bad Gateway\r\n")


def test_a_refused_client_that_goes_on_sending_reads_the_reason(line: Line) -> None:
    line.cell.sendall(b"x" * 10_000)

    def refuse() -> None:
        Tunnels().refuse(line.host, 403, "no", line.cancel)
        line.host.close()

    refusing = threading.Thread(target=refuse)
    refusing.start()
    line.cell.shutdown(socket.SHUT_WR)
    assert line.said().endswith(b"\r\n\r\ncleveragents: no\n")
    refusing.join(10)
    assert not refusing.is_alive()


def test_a_client_that_is_gone_is_refused_all_the_same(line: Line) -> None:
    line.cell.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.cell.close()
    Tunnels().refuse(line.host, 400, "no", line.cancel)
