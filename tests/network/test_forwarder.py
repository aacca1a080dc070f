"""The socket that a cell gives away, and the host that takes nothing else for it."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from cleveragents.boundary.cell_port import take_port
from cleveragents.boundary.greeting import WallError
from cleveragents.guest import forwarder
from cleveragents.terms import cell_network
from tests.network.descriptor import open_descriptors

if TYPE_CHECKING:
    from pathlib import Path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def test_the_listening_socket_arrives_and_nothing_of_it_stays() -> None:
    port = free_port()
    ours, theirs = socket.socketpair()
    before = open_descriptors()
    forwarder.hand_over(theirs.detach(), port=port)
    with take_port(ours, port=port) as listener:
        assert listener.gettimeout() == 0
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            accepted, _ = listener.accept()
            with accepted:
                client.sendall(b"hello")
                assert accepted.recv(5) == b"hello"
    # The two ends of the pair are gone as well.
    assert len(open_descriptors()) == len(before) - 2


def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_open() -> None:
    ours, theirs = socket.socketpair()
    with ours, socket.create_server(("127.0.0.1", 0)) as taken:
        before = len(open_descriptors())
        with pytest.raises(OSError, match="in use"):
            forwarder.hand_over(theirs.detach(), port=taken.getsockname()[1])
        assert len(open_descriptors()) == before - 1
        with pytest.raises(WallError, match="handed over"):
            take_port(ours)


@pytest.mark.parametrize(
    "what", ["nothing", "two", "a file", "a pipe", "udp", "unix", "connected", "elsewhere"]
)
def test_nothing_else_is_taken_for_the_port(what: str) -> None:
    ours, theirs = socket.socketpair()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1] ^ (what == "elsewhere")
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    pair = socket.socketpair()
    reading, writing = os.pipe()
    client = socket.create_connection(listener.getsockname())
    sent = {
        "nothing": [],
        "two": [listener.fileno(), listener.fileno()],
        "a file": [os.open("/dev/null", os.O_RDONLY)],
        "a pipe": [reading],
        "udp": [udp.fileno()],
        "unix": [pair[0].fileno()],
        "connected": [client.fileno()],
        "elsewhere": [listener.fileno()],
    }[what]
    socket.send_fds(theirs, [b"L"], sent)
    before = len(open_descriptors())
    try:
        with pytest.raises(WallError):
            take_port(ours, port=port)
        assert len(open_descriptors()) == before - 1
    finally:
        for descriptor in (reading, writing, *(sent if what == "a file" else ())):
            os.close(descriptor)
        for one in (theirs, listener, udp, client, *pair):
            one.close()


def test_a_port_that_was_not_sent_is_not_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(WallError, match="handed over"):
        take_port(ours)


def test_more_descriptors_than_anybody_would_send_are_all_closed() -> None:
    ours, theirs = socket.socketpair()
    with theirs, socket.create_server(("127.0.0.1", 0)) as listener:
        socket.send_fds(theirs, [b"L"], [listener.fileno()] * 200)
        before = len(open_descriptors())
        with pytest.raises(WallError, match="handed over"):
            take_port(ours)
        assert len(open_descriptors()) == before - 1


def test_the_proxy_and_the_authorities_are_named_to_what_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment = {"PATH": "/bin"}
    monkeypatch.setattr(forwarder, "CERTIFICATES", str(tmp_path))
    forwarder.announce(environment)
    assert environment == {"PATH": "/bin", **cell_network.VARIABLES}
    assert environment["HTTPS_PROXY"] == f"http://127.0.0.1:{cell_network.PORT}"


def test_without_authorities_no_program_is_told_of_a_file_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    absent = str(tmp_path / "absent")
    monkeypatch.setattr(forwarder, "CERTIFICATES", absent)
    monkeypatch.setattr(forwarder, "VARIABLES", {"HTTP_PROXY": "x", "SSL_CERT_FILE": absent})
    environment: dict[str, str] = {}
    forwarder.announce(environment)
    assert environment == {"HTTP_PROXY": "x"}
