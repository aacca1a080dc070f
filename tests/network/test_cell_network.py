"""A real cell with a network, against what is in it: as root, and again as an ordinary user."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.boundary.cell_spec import OwnToolFile
from cleveragents.errors import IsolationUnavailableError, ToolAccessDeniedError
from cleveragents.policy.host_rule import HostRules
from cleveragents.runtime.cell_proxy import CellNetwork, CellProxy
from cleveragents.runtime.proxy_limit import ProxyLimits
from cleveragents.terms import cell_network
from cleveragents.tools.broker.tunnel import TunnelLimits, Tunnels
from cleveragents.tools.own_tool import describe
from tests.boundary.cell_scene import House, as_ordinary_user, the_house
from tests.network.descriptor import open_descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cleveragents.boundary.cell import Cell
    from cleveragents.policy.connection import Caller
    from cleveragents.terms.connection import Connection, Traffic

__all__ = ["the_house"]

USER = 65517
"""Nobody's, and not one that root's cells would take."""
FILE = Path(__file__).with_name("net_attack.py")
NAMES = tuple(spec.name for spec in describe(FILE))
LIMITS = ProxyLimits(connections=8)
EDGE = Tunnels(limits=TunnelLimits(head_s=0.2, farewell_s=0.05))


class Connected:
    """A cell, its port, and what was asked there."""

    def __init__(self, cell: Cell) -> None:
        listener = cell.take_listener()
        assert listener is not None
        self.cell = cell
        self.asked: list[Connection] = []
        self.callers: list[str] = []
        self.ended: list[Traffic] = []
        self.proxy: CellProxy = CellNetwork(
            open_edge=lambda: EDGE,
            connect=self._connect,
            hosts=HostRules.parse(["127.0.0.1"]),
            tools=frozenset((*NAMES, "run_command")),
            limits=LIMITS,
        ).open(listener)

    def _connect(
        self, connection: Connection, caller: Caller, carry: Callable[[], Traffic]
    ) -> Traffic:
        self.asked.append(connection)
        self.callers.append(caller.tool)
        if connection.problem or connection.host != "127.0.0.1":
            raise ToolAccessDeniedError(
                tool_name="connect", profile_name="p", reason=connection.problem or "not this host"
            )
        self.ended.append(carry())
        return self.ended[-1]

    def call(self, tool: str, **arguments: object) -> Any:
        with self.proxy.during(tool):
            value = self.cell.call(tool, arguments, timeout_s=60)
        return value if tool == "run_command" else value["value"]


@contextmanager
def connected(made: House, kind: str = "copy") -> Iterator[Connected]:
    digest = "sha256:" + hashlib.sha256(FILE.read_bytes()).hexdigest()
    own = tuple(OwnToolFile(name, FILE, digest) for name in NAMES)
    spec = replace(made.spec(kind), own_tools=own, network=True)
    cell = made.launcher.start(spec)
    found = Connected(cell)
    try:
        yield found
    finally:
        cell.close()
        found.proxy.close()


@pytest.fixture(scope="module")
def inside(the_house: House) -> Iterator[Connected]:
    with connected(the_house) as found:
        yield found


def test_a_named_host_is_reached_through_the_port_and_no_other(inside: Connected) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        assert inside.call("say", data=f"CONNECT {place} HTTP/1.1\r\n\r\n", wait_s=0.3).startswith(
            "HTTP/1.1 200"
        )
        assert inside.ended[-1].address == "127.0.0.1"
        refused = inside.call("say", data="CONNECT other.org:443 HTTP/1.1\r\n\r\n")
        assert refused.startswith("HTTP/1.1 403")
        assert refused.endswith("not this host\n")


def test_there_is_no_other_way_out(inside: Connected) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("127.0.0.1", 0))
        found = inside.call(
            "around", host="127.0.0.1", tcp=tcp.getsockname()[1], udp=udp.getsockname()[1]
        )
    assert not {way: said for way, said in found.items() if said.startswith("done")}
    assert len(found) == 12


def test_nothing_of_the_port_is_left_in_the_cell(inside: Connected) -> None:
    sockets = [one for one in inside.call("descriptors") if one.startswith("socket:")]
    assert sockets == []
    listing = str(inside.call("run_command", command="ls -l /proc/self/fd")["stdout"])
    assert "socket:" not in listing


def test_a_command_finds_the_proxy_and_the_authorities(inside: Connected) -> None:
    said = str(inside.call("run_command", command=["env"])["stdout"])
    found = dict(line.split("=", 1) for line in said.splitlines())
    expected = dict(cell_network.VARIABLES)
    if not Path(cell_network.CERTIFICATES).exists():
        expected = {k: v for k, v in expected.items() if v != cell_network.CERTIFICATES}
    assert {name: found.get(name) for name in expected} == expected
    names = {"PATH", "HOME", "LANG", "PWD", "TMPDIR", *expected}
    assert set(found) <= names
    seen = inside.call("run_command", command=f"head -c 4 {cell_network.CERTIFICATES}; ls /etc/ssl")
    if Path(cell_network.CERTIFICATES).exists():
        assert str(seen["stdout"]).endswith("certs\n")


def test_a_flood_is_bounded_and_the_host_goes_on(the_house: House) -> None:
    with connected(the_house) as found:
        found.call("run_command", command="true")
        before = len(open_descriptors())
        assert found.call("flood", count=400)["kept"] > 0
        assert len(open_descriptors()) == before
        asked = len(found.asked)
        assert 0 < asked <= LIMITS.faults + LIMITS.connections
        # Nothing of the flood is in the way of what comes after it.
        assert found.call("run_command", command="echo on")["stdout"] == "on\n"
        assert len(found.asked) == asked


@pytest.mark.parametrize(
    "data",
    [
        "CONNECT 2130706433:80 HTTP/1.1\r\n\r\n",
        "CONNECT 0x7f.1:80 HTTP/1.1\r\n\r\n",
        "CONNECT user@127.0.0.1:80 HTTP/1.1\r\n\r\n",
        "CONNECT 127.0.0.1\r\n\r\n",
        "GET http://127.0.0.1/ HTTP/1.1\r\nHost: other.org\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\r\n\r\n",
        "\r\n\r\n",
    ],
)
def test_what_cannot_be_read_in_one_way_is_refused(the_house: House, data: str) -> None:
    with connected(the_house) as found:
        assert found.call("say", data=data).startswith("HTTP/1.1 403")
        assert found.asked[-1].problem
        assert found.ended == []


def test_a_head_without_end_is_bounded_in_size_and_in_time(the_house: House) -> None:
    with connected(the_house) as found:
        assert "longer than" in found.call("say", data="GET http://127.0.0.1/" + "x" * 100_000)
        assert "within 0.2 s" in found.call("say", data="GET http://127.0.0.1/ HTTP/1.1\r\n")


def test_a_process_that_holds_on_is_killed_and_holds_up_nobody(the_house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, connected(the_house) as found:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        started = time.monotonic()
        assert found.call("linger", place=place).startswith("HTTP/1.1 200")
        assert time.monotonic() - started < 20
        assert len(found.ended) == 1


def test_no_descriptor_comes_with_a_connection(inside: Connected) -> None:
    before = len(open_descriptors())
    said = inside.call("pass_descriptors")
    assert not said.startswith("done") or said == "done: 1"
    assert len(open_descriptors()) == before


def test_the_caller_is_what_the_host_knows(inside: Connected) -> None:
    inside.call("sly", data="CONNECT other.org:443 HTTP/1.1\r\n\r\n")
    assert inside.callers[-1] == "sly"


def test_a_cell_without_a_network_has_no_port_and_no_variable(the_house: House) -> None:
    cell = the_house.launcher.start(the_house.spec("copy"))
    try:
        assert cell.take_listener() is None
        said = str(cell.call("run_command", {"command": "env; ls /etc/ssl"})["stdout"])
        assert "proxy" not in said.lower()
        assert "SSL" not in said
        command = "exec 3<>/dev/tcp/127.0.0.1/3128"
        found = cell.call("run_command", {"command": ["bash", "-c", command]})
        assert found["exit_code"] != 0
    finally:
        cell.close()


def test_a_port_that_nobody_takes_ends_with_its_cell(the_house: House) -> None:
    before = len(open_descriptors())
    cell = the_house.launcher.start(replace(the_house.spec("copy"), network=True))
    cell.close()
    assert len(open_descriptors()) == before


def test_a_pre_warmed_cell_with_a_network_that_nobody_takes_ends_too(the_house: House) -> None:
    spec = replace(the_house.spec("copy"), network=True)
    cell = the_house.launcher.warm(spec).take(spec.digest())
    assert cell is not None
    listener = cell.take_listener()
    assert listener is not None
    listener.close()
    assert cell.take_listener() is None
    cell.close()
    the_house.launcher.warm(replace(spec, tools=()))


def test_a_cell_that_hands_over_no_port_does_not_start(
    the_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cleveragents.boundary.bubblewrap._channel_argument", _without_network)
    with pytest.raises(IsolationUnavailableError, match="did not start"):
        the_house.launcher.start(replace(the_house.spec("copy"), network=True))


def _without_network(descriptors: Any) -> str:
    return ",".join(str(number) for number in descriptors.channels)


def test_everything_again_as_an_ordinary_user() -> None:
    if os.geteuid() != 0:
        return  # This run is that half.
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
        os.chown(home, USER, USER)
        done = subprocess.run(
            as_ordinary_user(
                USER,
                [
                    *("env", "-i", f"HOME={home}", "PATH=/usr/bin:/bin", "TMPDIR=/var/tmp"),
                    *("PYTHONDONTWRITEBYTECODE=1", f"PYTHONPATH={root}"),
                    *(sys.executable, "-m", "pytest", "--tb=short", __file__),
                ],
            ),
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
