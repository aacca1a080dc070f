"""The network of cells through the front door: the installed command, real cells, real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.plans.scene import kill, shell, tool, wait_until

if TYPE_CHECKING:
    from tests.plans.scene import Done, Scene
    from tests.plans.test_network import Server

EVIL = "http://evil.example/"


def fetch(url: str) -> str:
    """A line that asks the host's loopback: not the cell's own, which these variables spare."""
    return f"NO_PROXY= no_proxy= curl -sS --max-time 20 {url}"


CROWD = (
    "import socket; crowd = [socket.socket() for _ in range(400)];"
    " [(one.setblocking(False), one.connect_ex(('127.0.0.1', 3128))) for one in crowd]"
)
"""More connections at once than the host serves and the kernel of the cell keeps waiting."""


def crowd(then: str = "true") -> str:
    """A line that leaves a mark in its cell and more connections than there is room for."""
    return f'touch /tmp/mark && python3 -c "{CROWD}" && {then}'


def records(scene: Scene, plan_id: str, kind: str) -> list[dict[str, Any]]:
    found = scene.agents("audit", "list", "--plan", plan_id, "--kind", kind, expect=0).data
    return [r for r in found["records"] if r["call_id"].startswith("net:")]


def out(scene: Scene, done: Done, step: str = "a") -> str:
    return str(scene.value(done.plan_id, step)["stdout"])


def test_a_command_reaches_the_host_that_is_named_and_no_other(
    installed: Scene, server: Server
) -> None:
    line = f"{fetch(server.url + '/page')}; echo; {fetch(EVIL)}; {fetch('https://evil.example/')}"
    profile = installed.profile(hosts=["127.0.0.1"])
    done = installed.run([shell("a", line)], "--automation-profile", profile)
    assert out(installed, done).splitlines()[0].strip() == "hello"
    assert "'evil.example' is not among the hosts of profile 'tested'" in out(installed, done)
    assert server.seen == [("GET", "/page", "")]
    status = installed.status(done.plan_id)
    assert [s["id"] for s in status["steps"]] == ["a"]
    assert [
        (v["kind"], v["tool"], v["resource_name"], v["profile"]) for v in status["violations"]
    ] == [("tool_access_denied", "connect", "host:evil.example", "tested")] * 2
    (outcome,) = records(installed, done.plan_id, "outcome")
    value = outcome["body"]["value"]
    assert (value["host"], value["port"]) == ("127.0.0.1", server.server_port)
    assert value["sent_bytes"] > 0
    assert value["received_bytes"] > len("hello")
    (decision,) = records(installed, done.plan_id, "decision")
    assert decision["body"]["arguments"]["caller"] == "run_command"
    assert decision["body"]["rule"] == "tested: hosts"
    # Decided, made and recorded before the command's own end was.
    sql = "SELECT call_id FROM record WHERE plan_id = ? AND kind = 'outcome' ORDER BY position"
    assert installed.rows(sql, done.plan_id) == [("net:1",), ("a",)]
    plain = installed.agents("audit", "list", "--plan", done.plan_id)
    assert f"{value['received_bytes']}" in plain.out
    explained = {c["call_id"]: c for c in installed.explained(done.plan_id)}
    assert explained["net:2"]["status"] == "denied"
    installed.verify()


def test_unrestricted_reaches_no_private_host_and_finds_no_name_by_itself(
    scene: Scene, server: Server
) -> None:
    line = f"{fetch(server.url)}; {fetch('http://localhost:1/')}; getent hosts example.com; true"
    done = scene.run([shell("a", line)])
    assert "private host" in out(scene, done)
    assert server.seen == []
    assert {v["resource_name"] for v in done.data["violations"]} == {
        "host:127.0.0.1",
        "host:localhost",
    }


@pytest.mark.parametrize("name", ["no-network", "hosts: []"])
def test_without_the_grant_nothing_is_there(scene: Scene, server: Server, name: str) -> None:
    line = f"env | grep -i -e proxy -e cert; {fetch(server.url)}; ls /etc/ssl"
    words = ["--safety-profile", name]
    if name == "hosts: []":
        words = ["--automation-profile", scene.profile(hosts=[])]
    done = scene.run([shell("a", line)], *words)
    assert out(scene, done) == ""
    assert done.data["violations"] == []
    assert server.seen == []
    assert scene.count("decision") == 1


ASKING = '''
def asking(url: str) -> str:
    """Asks through the proxy that its environment names."""
    import os
    import socket

    if "HTTP_PROXY" not in os.environ:
        return "no proxy"
    with socket.create_connection(("127.0.0.1", 3128), 5) as sock:
        sock.sendall(f"GET {url} HTTP/1.1\\r\\n\\r\\n".encode())
        return sock.makefile("rb").read().decode()
'''


def test_an_own_tool_reaches_hosts_when_it_says_so_and_only_then(
    scene: Scene, server: Server
) -> None:
    sly = ASKING.replace("asking", "sly")
    own = scene.own_tools(
        f'@tool(effects={{"read", "network"}}){ASKING}\n\n@tool(effects={{"read"}}){sly}'
    )
    profile = scene.automation(
        tools=[own.name], safety_profile={"name": "tested", "hosts": ["127.0.0.1"]}
    )
    steps = [tool("asking", "a", url=server.url), tool("sly", "b", url=server.url)]
    done = scene.run(steps, "--automation-profile", profile)
    assert scene.value(done.plan_id, "a")["value"].endswith("hello  ")
    assert "sly has no 'network' among its effects" in scene.value(done.plan_id, "b")["value"]
    assert len(server.seen) == 1
    assert [v["rule"] for v in done.data["violations"]] == ["effects"]
    # Under read-only only the tool that says so gives the cell a network at all.
    limited = scene.automation(tools=[own.name], safety_profile="read-only")
    done = scene.run(steps, "--automation-profile", limited)
    assert "private host" in scene.value(done.plan_id, "a")["value"]


def test_a_read_only_plan_without_such_a_tool_has_no_network(scene: Scene) -> None:
    own = scene.own_tools(f'@tool(effects={{"read"}}){ASKING}')
    profile = scene.automation(tools=[own.name], safety_profile="read-only")
    done = scene.run([tool("asking", "a", url=EVIL)], "--automation-profile", profile)
    assert scene.value(done.plan_id, "a")["value"] == "no proxy"


def subplan(hosts: list[str], line: str) -> dict[str, Any]:
    return {
        "id": "child",
        "subplan": {
            "name": "child",
            "delegate": {"tools": ["run_command"], "read": ["."], "write": ["."], "hosts": hosts},
            "steps": [shell("a", line)],
        },
    }


def test_a_subplan_reaches_what_it_was_handed(scene: Scene, server: Server) -> None:
    profile = scene.profile(hosts=["127.0.0.1", "*"])
    line = f"{fetch(server.url + '/child')}; {fetch(EVIL)}"
    done = scene.run([subplan(["127.0.0.1"], line)], "--automation-profile", profile)
    (child,) = done.data["subplans"]
    assert server.seen == [("GET", "/child", "")]
    assert [(v["kind"], v["resource_name"], v["subplan_id"]) for v in done.data["violations"]] == [
        ("security_boundary", "host:evil.example", child["plan_id"])
    ]
    stdout = scene.value(child["plan_id"], "a")["stdout"]
    assert "host:evil.example" in stdout
    assert "tested" not in stdout


def test_a_subplan_that_was_handed_no_host_has_no_network(scene: Scene, server: Server) -> None:
    profile = scene.profile(hosts=["127.0.0.1", "*"])
    line = f"env | grep -i proxy; {fetch(server.url)}"
    done = scene.run([subplan([], line)], "--automation-profile", profile)
    assert scene.value(done.data["subplans"][0]["plan_id"], "a")["stdout"] == ""
    assert (server.seen, done.data["violations"]) == ([], [])


def test_a_program_reaches_what_its_plan_may(scene: Scene, server: Server) -> None:
    line = f"{fetch(server.url + '/program')} > got.txt; {fetch(EVIL)} >> got.txt; true"
    plan = {"name": "programmed", "actor": {"kind": "program", "command": ["sh", "-c", line]}}
    profile = scene.profile(hosts=["127.0.0.1"])
    done = scene.run(plan, "--automation-profile", profile, "--apply")
    assert scene.text("got.txt").startswith("hello")
    assert "evil.example" in scene.text("got.txt")
    assert [v["resource_name"] for v in done.data["violations"]] == ["host:evil.example"]
    (decision,) = records(scene, done.plan_id, "decision")
    assert decision["body"]["arguments"]["caller"] == "program"
    scene.verify()


def test_connections_count_against_the_calls_that_a_plan_may_make(
    scene: Scene, server: Server
) -> None:
    profile = scene.automation(
        safety_profile={"name": "tested", "hosts": ["127.0.0.1"]}, budget={"max_tool_calls": 3}
    )
    line = "; ".join([fetch(server.url)] * 4)
    done = scene.run([shell("a", line)], "--automation-profile", profile)
    assert len(server.seen) == 2
    assert "a budget of this plan" in out(scene, done)
    assert {v["kind"] for v in done.data["violations"]} == {"budget_exceeded"}
    assert done.data["cost"]["tool_calls"] == 3
    scene.verify()


@pytest.mark.parametrize("has_connected", [True, False])
def test_a_command_that_was_cut_off_after_it_had_connected_waits_for_a_person(
    scene: Scene, server: Server, has_connected: bool
) -> None:
    first = fetch(server.url + "/slow") if has_connected else "true"
    line = f"echo once >> a.txt; {first}; if [ -e wait ]; then sleep 60; fi"
    scene.file("wait")
    profile = scene.profile(hosts=["127.0.0.1"])
    host = scene.start(*scene.words([shell("a", line)], "--automation-profile", profile))
    if has_connected:
        wait_until(lambda: len(server.seen) == 1, "the request")
    else:
        wait_until(lambda: scene.count("decision") == 1, "the command")
    kill(host)
    server.released.set()
    plan_id = scene.rows("SELECT plan_id FROM plan")[0][0]
    if not has_connected:
        host = scene.start("plan", "resume", plan_id)
        wait_until(lambda: scene.count("decision") == 2, "the command again")
        kill(host)
        return
    waiting = scene.agents("plan", "resume", plan_id, expect=7).data["waiting"]
    assert [(one["call_id"], one["tool"]) for one in waiting] == [("a", "run_command")]
    assert len(server.seen) == 1
    scene.agents("plan", "approve", plan_id, "a", expect=0)
    host = scene.start("plan", "resume", plan_id)
    wait_until(lambda: len(server.seen) == 2, "the request again")
    kill(host)
    ids = {r["call_id"] for r in records(scene, plan_id, "decision")}
    assert ids == {"net:1", "net:2"}


def test_a_command_that_is_answered_from_the_record_connects_to_nothing(
    scene: Scene, server: Server
) -> None:
    steps = [shell("a", fetch(server.url)), shell("b", "if [ -e wait ]; then sleep 60; fi")]
    scene.file("wait")
    profile = scene.profile(hosts=["127.0.0.1"])
    host = scene.start(*scene.words(steps, "--automation-profile", profile))
    wait_until(lambda: scene.count("decision") == 3, "the second command")
    kill(host)
    plan_id = scene.rows("SELECT plan_id FROM plan")[0][0]
    host = scene.start("plan", "resume", plan_id)
    wait_until(lambda: scene.count("decision") == 4, "the second command again")
    kill(host)
    assert len(server.seen) == 1
    assert scene.value(plan_id, "a")["stdout"].startswith("hello")


def test_no_call_is_made_in_a_cell_whose_kernel_may_still_ask_for_the_one_before(
    scene: Scene, server: Server
) -> None:
    quiet = f"touch /tmp/mark; {fetch(server.url)}"
    look = "test -e /tmp/mark && echo marked || echo fresh"
    steps = [shell("a", quiet), shell("b", look), shell("c", crowd(look))]
    steps += [shell("d", f"{look}; {fetch(server.url)}")]
    done = scene.run(steps, "--automation-profile", scene.profile(hosts=["127.0.0.1"]))
    assert "marked" in out(scene, done, "b")
    assert "marked" in out(scene, done, "c")
    assert out(scene, done, "d").startswith("fresh\nhello")
