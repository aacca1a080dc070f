"""What another profile would have said of the connections of cells."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.mcp.server_scene import run
from tests.network.test_command import ASKING, EVIL, fetch
from tests.network.test_server import fetching
from tests.plans.scene import shell, tool

if TYPE_CHECKING:
    from tests.plans.scene import Scene
    from tests.plans.test_network import Server

HOME = {"name": "home", "hosts": ["127.0.0.1"]}
Connections = dict[str, dict[str, Any]]


def replayed(scene: Scene, plan_id: str, profile: str) -> Connections:
    """The connections of a plan under another profile, by what was to be reached."""
    data = scene.agents("audit", "replay", plan_id, "--safety-profile", profile, expect=0).data
    asked = {call["call_id"]: call["arguments"] for call in scene.explained(plan_id)}
    return {
        str(asked[call["call_id"]]["host"]): call
        for call in data["calls"]
        if call["call_id"].startswith("net:")
    }


def added(scene: Scene, profile: dict[str, Any]) -> str:
    scene.agents("safety-profile", "add", str(scene.write("p.yaml", json.dumps(profile))))
    return str(profile["name"])


def turns(found: Connections) -> dict[str, str]:
    return {host: f"{one['was']} -> {one['now']}" for host, one in found.items()}


def test_a_commands_connections_are_decided_as_the_gate_would(
    anybody: Scene, server: Server
) -> None:
    home = added(anybody, HOME)
    # It waits for its answer: what nobody has read before the call ends was never asked.
    odd = (
        "exec 3<>/dev/tcp/127.0.0.1/3128;"
        " printf 'GET http://0177.0.0.1/ HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3"
    )
    line = f"{fetch(server.url)}; {fetch(EVIL)}; bash -c {json.dumps(odd)}"
    done = anybody.run([shell("a", line)], "--safety-profile", home)
    assert len(server.seen) == 1
    same = replayed(anybody, done.plan_id, home)
    assert turns(same) == {
        "127.0.0.1": "allowed -> allowed",
        "evil.example": "denied -> denied",
        "": "allowed -> allowed",
    }
    assert same["127.0.0.1"]["rule"] == "home: hosts"
    assert same["evil.example"]["decided_by"] == "home"
    assert "not among the hosts" in same["evil.example"]["reason"]
    assert "could not be read" in same[""]["reason"]
    other = replayed(anybody, done.plan_id, "unrestricted")
    assert turns(other) | {"": ""} == {
        "127.0.0.1": "allowed -> denied",
        "evil.example": "denied -> allowed",
        "": "",
    }
    assert "private host" in other["127.0.0.1"]["reason"]
    offline = replayed(anybody, done.plan_id, "no-network")
    assert {one["rule"] for host, one in offline.items() if host} == {"effects"}
    assert {one["now"] for host, one in offline.items() if host} == {"denied"}
    assert len(server.seen) == 1


def test_a_programs_connections_and_its_start(scene: Scene, server: Server) -> None:
    home = added(scene, HOME)
    line = f"{fetch(server.url)}; {fetch(EVIL)}; true"
    plan = {"name": "programmed", "actor": {"kind": "program", "command": ["sh", "-c", line]}}
    plan_id = scene.run(plan, "--safety-profile", home).plan_id
    assert turns(replayed(scene, plan_id, "read-only")) == {
        "127.0.0.1": "allowed -> denied",
        "evil.example": "denied -> allowed",
    }
    assert {one["now"] for one in replayed(scene, plan_id, "sandboxed").values()} == {"denied"}
    for profile, now in (("read-only", "denied"), ("no-network", "allowed")):
        words = ("audit", "replay", plan_id, "--safety-profile", profile)
        calls = scene.agents(*words, expect=0).data["calls"]
        (start,) = [call for call in calls if call["tool"] == "program"]
        assert (start["was"], start["now"], start["rule"]) == (
            "allowed",
            now,
            "effects" if now == "denied" else "effects: execute",
        )


def test_the_hosts_of_a_servers_definition_stay_as_they_were(scene: Scene, server: Server) -> None:
    steps = [
        tool("net__fetch", "a", url=server.url),
        tool("net__fetch", "b", url=EVIL),
    ]
    profile = scene.profile(hosts=["127.0.0.1", "*"])
    definition = fetching(scene, hosts=["127.0.0.1"])
    plan_id = run(scene, steps, "--automation-profile", profile, net=definition).plan_id
    found = replayed(scene, plan_id, "unrestricted")
    assert turns(found) == {"127.0.0.1": "allowed -> denied", "evil.example": "denied -> denied"}
    assert found["evil.example"]["rule"] == "server.hosts"
    assert "MCP server 'net'" in found["evil.example"]["reason"]


def test_the_connection_of_a_tool_that_is_gone_says_so(scene: Scene, server: Server) -> None:
    own = scene.own_tools(f'@tool(effects={{"read", "network"}}){ASKING}')
    profile = scene.automation(tools=[own.name], safety_profile=HOME)
    steps = [tool("asking", "a", url=server.url)]
    plan_id = scene.run(steps, "--automation-profile", profile).plan_id
    (one,) = replayed(scene, plan_id, "unrestricted").values()
    assert (one["was"], one["now"], one["rule"]) == ("allowed", "unknown", "registry")
    assert "no tool is named 'asking' any more" in one["reason"]
