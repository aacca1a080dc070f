"""Hosts behind the gateway: commands, own tools and servers reach them through the proxy alone."""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.gateway.client import TOKEN, Talk, hosted, over_http, talking
from tests.network.test_command import ASKING, EVIL, crowd, fetch, records
from tests.network.test_server import SCRIPT
from tests.plans.scene import wait_until

if TYPE_CHECKING:
    from tests.plans.scene import Scene
    from tests.plans.test_network import Server

PROMPTLY_S = 15.0
"""Far below the time after which a silent connection, or the server that holds it, would end."""


def profile(scene: Scene, *hosts: str, **facts: Any) -> tuple[str, str]:
    """Add a safety profile that names these hosts; gives the words that choose it."""
    raw = {"name": "tested", "hosts": list(hosts), **facts}
    scene.agents("safety-profile", "add", str(scene.write("p.yaml", json.dumps(raw))), expect=0)
    return "--safety-profile", "tested"


def fetching(scene: Scene, **facts: Any) -> tuple[str, str]:
    """Write a file with the server that fetches; gives the words that name it."""
    script = scene.write("server/fetching_server.py", SCRIPT.read_bytes())
    one = {"command": sys.executable, "args": [str(script)], **facts}
    raw = {"mcpServers": {"net": one}}
    return "--config", str(scene.write("servers.json", json.dumps(raw)))


def own_tools(scene: Scene, source: str) -> tuple[str, str]:
    return "--automation-profile", scene.automation(tools=[scene.own_tools(source).name])


def connections(scene: Scene, plan_id: str) -> list[tuple[str, str, int, str, int]]:
    """Who connected in which call, and where to, in the order of their ends."""
    asked = {r["call_id"]: r["body"]["arguments"] for r in records(scene, plan_id, "decision")}
    return [
        (
            asked[one["call_id"]]["caller"],
            asked[one["call_id"]].get("call", ""),
            one["body"]["value"]["port"],
            one["body"].get("error", ""),
            one["body"]["value"]["received_bytes"],
        )
        for one in records(scene, plan_id, "outcome")
    ]


def test_a_command_reaches_the_host_that_is_named_and_no_other(
    installed: Scene, server: Server
) -> None:
    line = f"{fetch(server.url + '/page')}; echo; {fetch(EVIL)}"
    with talking(installed, *profile(installed, "127.0.0.1")) as talk:
        told = talk.call("run_command", command=line)
        assert "hello" in told.text
        assert "'evil.example' is not among the hosts of profile 'tested'" in told.text
        assert server.seen == [("GET", "/page", "")]
        plan_id, status = talk.plan_id, talk.status
        assert [s["id"] for s in status["steps"]] == ["call-1"]
        assert [
            (v["kind"], v["tool"], v["resource_name"], v["profile"]) for v in status["violations"]
        ] == [("tool_access_denied", "connect", "host:evil.example", "tested")]
        assert status["cost"]["tool_calls"] == 2
        ((caller, call, port, error, received),) = connections(installed, plan_id)
        assert (caller, call, port, error) == ("run_command", "call-1", server.server_port, "")
        (line,) = status["connections"]
        assert line["sent_bytes"] > len("GET /page")
        assert line == {
            "host": "127.0.0.1",
            "port": server.server_port,
            "connections": 1,
            "open": 0,
            "sent_bytes": line["sent_bytes"],
            "received_bytes": received,
        }
    sql = "SELECT call_id FROM record WHERE plan_id = ? AND kind = 'outcome' ORDER BY position"
    assert installed.rows(sql, plan_id) == [("net:1",), ("call-1",)]
    installed.verify()


def test_no_other_way_out_is_there(scene: Scene, server: Server) -> None:
    direct = (
        "import socket\n"
        "for kind, place in ((socket.SOCK_STREAM, ('127.0.0.1', PORT)),"
        " (socket.SOCK_STREAM, ('192.0.2.1', 80)), (socket.SOCK_DGRAM, ('192.0.2.1', 53))):\n"
        "    one = socket.socket(socket.AF_INET, kind)\n"
        "    print(one.connect_ex(place))\n"
    ).replace("PORT", str(server.server_port))
    scene.file("direct.py", direct)
    with talking(scene, *profile(scene, "127.0.0.1", "192.0.2.1")) as talk:
        told = json.loads(talk.call("run_command", command="python3 direct.py").text)
        # Refused by the cell's own loopback, and nothing else can be reached.
        assert told["stdout"].split() == ["111", "101", "101"]
        assert connections(scene, talk.plan_id) == []
    assert server.seen == []


@pytest.mark.parametrize("hosts", [None, []])
def test_without_a_network_nothing_is_there(
    scene: Scene, server: Server, hosts: list[str] | None
) -> None:
    line = f"env | grep -i -e proxy -e cert; {fetch(server.url)}; ls /etc/ssl"
    words = ("--safety-profile", "no-network") if hosts is None else profile(scene, *hosts)
    with talking(scene, *words, *fetching(scene, hosts=["127.0.0.1"], effects=["read"])) as talk:
        assert json.loads(talk.call("run_command", command=line).text)["stdout"] == ""
        assert talk.call("net__fetch", url=server.url).text == "no proxy"
        assert talk.status["violations"] == []
    assert server.seen == []


def test_an_own_tool_reaches_hosts_when_it_says_so_and_only_then(
    installed: Scene, server: Server
) -> None:
    sly = ASKING.replace("asking", "sly")
    words = own_tools(
        installed, f'@tool(effects={{"read", "network"}}){ASKING}\n\n@tool(effects={{"read"}}){sly}'
    )
    with talking(installed, *profile(installed, "127.0.0.1"), *words) as talk:
        assert "hello" in talk.call("asking", url=server.url).text
        assert "sly has no 'network' among its effects" in talk.call("sly", url=server.url).text
        assert [(v["rule"], v["resource_name"]) for v in talk.status["violations"]] == [
            ("effects", "host:127.0.0.1")
        ]
        found = connections(installed, talk.plan_id)
        assert [one[:2] for one in found] == [("asking", "call-1")]
    assert len(server.seen) == 1


def test_cells_in_which_nothing_may_reach_a_host_have_no_port(scene: Scene, server: Server) -> None:
    words = own_tools(scene, f'@tool(effects={{"read"}}){ASKING}')
    read_only = ("--safety-profile", "read-only")
    servers = fetching(scene, hosts=["127.0.0.1"], effects=["read", "network"])
    with talking(scene, *read_only, *words, *servers) as talk:
        assert "no proxy" in talk.call("asking", url=server.url).text
        # The server beside it has one: its own definition names a host, which no rule does.
        assert "private host" in talk.call("net__fetch", url=server.url).text
    assert server.seen == []


def test_a_server_reaches_the_hosts_of_its_definition_within_those_of_the_profile(
    installed: Scene, server: Server
) -> None:
    words = (*profile(installed, "127.0.0.1", "*"), *fetching(installed, hosts=["127.0.0.1"]))
    with talking(installed, *words) as talk:
        assert "hello" in talk.call("net__fetch", url=server.url + "/page").text
        refused = talk.call("net__fetch", url=EVIL).text
        assert "not among the hosts of MCP server 'net'" in refused
        assert [(v["rule"], v["resource_name"]) for v in talk.status["violations"]] == [
            ("server.hosts", "host:evil.example")
        ]
        plan_id = talk.plan_id
    assert [one[:4] for one in connections(installed, plan_id)] == [
        ("MCP server net", "", server.server_port, "")
    ]
    assert server.seen == [("GET", "/page", "")]
    installed.verify()


def test_a_server_without_hosts_has_no_network(scene: Scene, server: Server) -> None:
    with talking(scene, *profile(scene, "127.0.0.1"), *fetching(scene)) as talk:
        assert talk.call("net__fetch", url=server.url).text == "no proxy"
        assert talk.status["violations"] == []


def slow(server: Server, mark: str = "") -> str:
    """A command that holds a connection open."""
    return f"{fetch(server.url + '/slow')}{mark}"


def under_way(server: Server, count: int = 1) -> None:
    wait_until(lambda: len(server.seen) == count, "the requests")


def settled(scene: Scene, plan_id: str) -> None:
    """Whatever was let in has an outcome, and nothing came after the end of its call."""
    rows = scene.rows(
        "SELECT kind, call_id FROM record WHERE plan_id = ? AND call_id > '' ORDER BY position",
        plan_id,
    )
    begun = [call_id for kind, call_id in rows if kind == "decision"]
    ended = [call_id for kind, call_id in rows if kind == "outcome"]
    assert sorted(begun) == sorted(ended)
    scene.verify()


def test_a_connection_is_told_of_the_call_that_made_it(installed: Scene, server: Server) -> None:
    with talking(installed, *profile(installed, "127.0.0.1")) as talk:
        first = talk.start("run_command", command=slow(server))
        under_way(server)
        told = talk.call("run_command", command=fetch(server.url + "/page"))
        assert "hello" in told.text
        assert not first.done()
        (line,) = talk.status["connections"]
        assert (line["connections"], line["open"]) == (2, 1)
        server.released.set()
        assert not first.result(timeout=20).is_error
        plan_id = talk.plan_id
    assert [(c[1], c[3]) for c in connections(installed, plan_id)] == [
        ("call-2", ""),
        ("call-1", ""),
    ]
    settled(installed, plan_id)


def test_a_cell_that_is_used_again_connects_for_its_next_call(scene: Scene, server: Server) -> None:
    with talking(scene, *profile(scene, "127.0.0.1")) as talk:
        for _ in range(3):
            assert "hello" in talk.call("run_command", command=fetch(server.url)).text
        # A program that outlives its call does not: it, and what it had open, is dead.
        left = (
            f"({fetch('-v ' + server.url + '/slow')} 2> /tmp/log) &"
            " until grep -q '^> GET' /tmp/log; do sleep 0.05; done"
        )
        assert not talk.call("run_command", command=left).is_error
        assert "hello" in talk.call("run_command", command=fetch(server.url)).text
        plan_id = talk.plan_id
    found = [c[1] for c in connections(scene, plan_id)]
    assert [c for c in found if c != "call-4"] == ["call-1", "call-2", "call-3", "call-5"]
    settled(scene, plan_id)


def test_no_call_is_made_in_a_cell_whose_kernel_may_still_ask_for_the_one_before(
    scene: Scene, server: Server
) -> None:
    with talking(scene, *profile(scene, "127.0.0.1")) as talk:

        def said(line: str) -> str:
            return str(json.loads(talk.call("run_command", command=line).text)["stdout"])

        assert "hello" in said(f"touch /tmp/mark; {fetch(server.url)}")
        assert "mark" in said("ls /tmp")
        assert "mark" in said(crowd("ls /tmp"))
        found = said(f"ls /tmp; {fetch(server.url)}")
        assert "mark" not in found
        assert "hello" in found


def test_a_call_that_the_client_cancels_leaves_no_connection(
    installed: Scene, server: Server
) -> None:
    with talking(installed, *profile(installed, "127.0.0.1")) as talk:
        call = talk.start("run_command", command=slow(server))
        under_way(server)
        call.cancel()
        wait_until(lambda: installed.count("outcome") == 2, "both ends")
        assert "cancelled" in installed.outcome(talk.plan_id, "call-1")["error"]
        assert [c[1] for c in connections(installed, talk.plan_id)] == ["call-1"]
        # The next one has a cell and a port of its own.
        assert "hello" in talk.call("run_command", command=fetch(server.url)).text
        plan_id = talk.plan_id
    settled(installed, plan_id)


def test_one_that_is_cancelled_ends_nothing_of_another(scene: Scene, server: Server) -> None:
    with talking(scene, *profile(scene, "127.0.0.1")) as talk:
        calls = [talk.start("run_command", command=slow(server)) for _ in range(2)]
        under_way(server, 2)
        calls[0].cancel()
        wait_until(lambda: scene.count("outcome") == 2, "the end of one")
        assert not calls[1].done()
        server.released.set()
        assert "hello" in str(calls[1].result(timeout=20).content[0])
        plan_id = talk.plan_id
    settled(scene, plan_id)


@pytest.mark.parametrize("way", ["client", "cancel"])
def test_the_end_of_the_plan_ends_and_records_every_connection(
    installed: Scene, server: Server, way: str
) -> None:
    words = (*profile(installed, "127.0.0.1"), *fetching(installed, hosts=["127.0.0.1"]))
    with talking(installed, *words) as talk:
        talk.start("run_command", command=slow(server))
        talk.start("net__fetch", url=server.url + "/slow")
        under_way(server, 2)
        plan_id = talk.plan_id
        if way == "cancel":
            installed.agents("plan", "cancel", plan_id, expect=0)
            wait_until(lambda: installed.status(plan_id)["state"] == "cancelled", "its end", 10)
    wait_until(lambda: installed.status(plan_id)["state"] != "processing", "its end", 10)
    callers = sorted(c[0] for c in connections(installed, plan_id))
    assert callers == ["MCP server net", "run_command"]
    settled(installed, plan_id)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_while_connections_are_open(
    scene: Scene, server: Server, number: signal.Signals
) -> None:
    scene.environ["TOKEN"] = TOKEN
    words = (*profile(scene, "127.0.0.1"), *fetching(scene, hosts=["127.0.0.1"]))
    with hosted(scene, *words, "--http", "0", "--token-env", "TOKEN") as host:
        with over_http(host) as talk:
            talk.start("run_command", command=slow(server))
            talk.start("net__fetch", url=server.url + "/slow")
            under_way(server, 2)
            began = time.monotonic()
            assert host.end(number) == 0
            assert time.monotonic() - began < PROMPTLY_S
        assert len(connections(scene, host.plan_id)) == 2
        settled(scene, host.plan_id)


def test_a_client_that_goes_away_over_http_leaves_no_connection(
    scene: Scene, server: Server
) -> None:
    scene.environ["TOKEN"] = TOKEN
    words = (*profile(scene, "127.0.0.1"), "--http", "0", "--token-env", "TOKEN")
    with hosted(scene, *words) as host:
        with over_http(host) as talk:
            call = talk.start("run_command", command=slow(server))
            under_way(server)
            call.cancel()
            wait_until(lambda: scene.count("outcome") == 2, "both ends")
        assert host.end() == 0
        settled(scene, host.plan_id)


def test_many_calls_with_many_connections_at_once_all_end(scene: Scene, server: Server) -> None:
    automation = scene.automation(
        subplans={"max_parallel": 4}, budget={"max_tool_calls": 10_000, "max_seconds": 600}
    )
    words = (*profile(scene, "127.0.0.1"), *fetching(scene, hosts=["127.0.0.1"], parallel=4))
    line = " & ".join([fetch(server.url), fetch(EVIL)] * 4) + " & wait"
    with talking(scene, *words, "--automation-profile", automation) as talk:
        calls = [talk.start("run_command", command=line) for _ in range(12)]
        calls += [talk.start("net__fetch", url=server.url) for _ in range(12)]
        assert not [c for c in calls if c.result(timeout=60).is_error]
        plan_id, status = talk.plan_id, talk.status
        assert status["cost"]["tool_calls"] == 24 + 12 * 4 + 12
        assert len(status["violations"]) == 12 * 4
    per_call = [c[1] for c in connections(scene, plan_id) if c[0] == "run_command"]
    assert {per_call.count(one) for one in per_call} == {4}
    assert len(server.seen) == 12 * 4 + 12
    settled(scene, plan_id)


def test_connections_count_against_the_calls_of_the_gateway(scene: Scene, server: Server) -> None:
    line = "; ".join([fetch(server.url)] * 4)
    words = (*profile(scene, "127.0.0.1"), "--max-tool-calls", "3")
    with talking(scene, *words) as talk:
        assert "a budget of this plan" in talk.call("run_command", command=line).text
        assert {v["kind"] for v in talk.status["violations"]} == {"budget_exceeded"}
        assert talk.status["cost"]["tool_calls"] == 3
    assert len(server.seen) == 2


def began(talk: Talk) -> int:
    """When the server was started that answers now, in ns since 1970."""
    return int(talk.call("net__fetch", url="began:").text)


def test_a_server_that_was_asked_for_its_tools_takes_the_first_call_too(scene: Scene) -> None:
    with talking(scene, *profile(scene, "127.0.0.1"), *fetching(scene)) as talk:
        listed = time.time_ns()
        assert began(talk) < listed


def test_one_whose_cell_would_hide_more_by_now_is_started_anew(scene: Scene) -> None:
    with talking(scene, *profile(scene, "127.0.0.1"), *fetching(scene)) as talk:
        scene.file(".env", "x")
        listed = time.time_ns()
        assert (first := began(talk)) > listed
        assert began(talk) == first


def test_so_is_one_that_reaches_hosts_which_it_could_not_before_there_was_a_plan(
    scene: Scene, server: Server
) -> None:
    words = (*profile(scene, "127.0.0.1"), *fetching(scene, hosts=["127.0.0.1"]))
    with talking(scene, *words) as talk:
        listed = time.time_ns()
        assert began(talk) > listed
        assert "hello" in talk.call("net__fetch", url=server.url).text


def test_a_call_of_a_server_that_the_client_cancels_ends_and_the_server_goes_on(
    installed: Scene, server: Server
) -> None:
    words = (*profile(installed, "127.0.0.1"), *fetching(installed, hosts=["127.0.0.1"]))
    with talking(installed, *words) as talk:
        first = began(talk)
        call = talk.start("net__fetch", url=server.url + "/slow")
        under_way(server)
        call.cancel()
        wait_until(lambda: installed.count("outcome") == 2, "its end")
        assert "cancelled" in installed.outcome(talk.plan_id, "call-2")["error"]
        # What the server has open is its own.
        assert talk.status["connections"][0]["open"] == 1
        server.released.set()
        assert began(talk) == first
        # It was told.
        assert len(json.loads(talk.call("net__fetch", url="cancelled:").text)) == 1
        plan_id = talk.plan_id
    settled(installed, plan_id)
