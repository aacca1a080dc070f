"""A cell of the gateway and who answers at its port: opened together, closed together."""

from __future__ import annotations

import errno
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from cleveragents.config.mcp_server import ServerDefinition
from cleveragents.errors import RecordError, ToolFailedError
from cleveragents.gateway.live_hands import LiveHands, Turn
from cleveragents.runtime.server_port import ServerPorts
from tests.gateway.test_hands import Launcher, Servers, hands, launcher

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["hands", "launcher"]


class Proxy:
    """Notes what is asked of it, and whether its cell was dead by then."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.cell = network.launcher.cells[-1]
        self.is_spent = False

    @contextmanager
    def during(self, tool: str, call_id: str = "") -> Iterator[None]:
        self._network.said.append(f"during {tool} {call_id}")
        yield
        if self._network.error is not None:
            raise self._network.error

    def close(self) -> None:
        self._network.said.append(f"close {'after' if self.cell.closed else 'before'} its cell")


class Network:
    """Opens such proxies."""

    def __init__(self, launcher: Launcher, *tools: str) -> None:
        self.launcher = launcher
        self.tools = frozenset(tools)
        self.said: list[str] = []
        self.error: Exception | None = None
        self.shortage: OSError | None = None
        self.opened: list[Proxy] = []

    def open(self, listener: object) -> Proxy:
        assert listener is self.launcher.cells[-1].listener
        if self.shortage is not None:
            raise self.shortage
        self.opened.append(Proxy(self))
        return self.opened[-1]


def online(hands: LiveHands, launcher: Launcher) -> Network:
    network = Network(launcher, "run_command")
    hands.reach(cast("Any", network))
    return network


def call(hands: LiveHands, tool: str = "run_command", call_id: str = "call-1") -> None:
    with hands.turn(Turn(), tool, call_id):
        hands.call(tool, {}, timeout_s=1)


def test_a_call_is_known_to_the_port_of_its_own_cell(hands: LiveHands, launcher: Launcher) -> None:
    network = online(hands, launcher)
    call(hands)
    call(hands, call_id="call-2")
    assert network.said == ["during run_command call-1", "during run_command call-2"]
    assert len(launcher.cells) == 1


def test_a_cell_whose_port_cannot_be_served_is_not_left_behind(
    hands: LiveHands, launcher: Launcher
) -> None:
    network = online(hands, launcher)
    network.shortage = OSError(errno.EMFILE, "Too many open files")
    with pytest.raises(ToolFailedError, match="Too many open files"):
        call(hands)
    assert launcher.cells[0].closed == 1
    network.shortage = None
    call(hands)
    hands.close()
    assert launcher.cells[0].closed == 1


def test_a_call_comes_into_no_cell_that_is_spent(hands: LiveHands, launcher: Launcher) -> None:
    network = online(hands, launcher)
    call(hands)
    network.opened[0].is_spent = True
    network.said.clear()
    call(hands)
    assert network.said == ["close after its cell", "during run_command call-1"]
    assert len(launcher.cells) == 2


@pytest.mark.parametrize("tools", [None, ()])
def test_there_is_no_port_where_nothing_may_use_it(
    hands: LiveHands, launcher: Launcher, tools: tuple[str, ...] | None
) -> None:
    network = Network(launcher)
    if tools is not None:
        hands.reach(cast("Any", network))
    call(hands)
    assert [spec.network for spec in launcher.specs] == [False]
    hands.close()
    assert network.said == []


def test_a_port_is_closed_after_its_cell(hands: LiveHands, launcher: Launcher) -> None:
    network = online(hands, launcher)
    call(hands, "read_file")
    network.said.clear()
    launcher.cells[0].alive = False
    call(hands, "read_file")
    assert network.said[0] == "close after its cell"
    network.said.clear()
    hands.close()
    assert network.said == ["close after its cell"]


def test_every_cell_and_port_is_closed_whatever_ails_another(
    hands: LiveHands, launcher: Launcher
) -> None:
    network, servers = online(hands, launcher), Servers()
    hands.attend(cast("Any", servers))
    call(hands)
    broken = launcher.cells[0]
    broken.error, broken.alive = RecordError(problem="it does not end"), False
    with pytest.raises(RecordError, match="does not end"):
        # The next call finds it dead, and ends it before it takes another one.
        call(hands)
    network.said.clear()
    call(hands)
    with pytest.raises(RecordError, match="does not end"):
        hands.close()
    assert [cell.closed > 0 for cell in launcher.cells] == [True, True]
    assert network.said.count("close after its cell") == 2
    assert servers.said == ["close"]


def test_a_port_of_a_server_at_which_nobody_answers_is_closed() -> None:
    ports = ServerPorts()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = listener.getsockname()
        ports.serve(listener, ServerDefinition("net", "stdio", hosts=("127.0.0.1",)))()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(place, 5)


def test_a_connection_that_cannot_be_recorded_fails_the_call_for_good(
    hands: LiveHands, launcher: Launcher
) -> None:
    network = online(hands, launcher)
    network.error = RecordError(problem="the disk is full")
    with pytest.raises(RecordError, match="disk is full"):
        call(hands)
