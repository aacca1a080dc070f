"""MCP servers on stdio: they reach what both the profile and their own definition name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.mcp.server_scene import run, text
from tests.plans.scene import tool

if TYPE_CHECKING:
    from tests.plans.scene import Scene
    from tests.plans.test_network import Server

SCRIPT = Path(__file__).with_name("fetching_server.py")


def fetching(scene: Scene, **facts: Any) -> dict[str, Any]:
    script = scene.write("server/fetching_server.py", SCRIPT.read_bytes())
    return {"command": sys.executable, "args": [str(script)], **facts}


def test_a_server_reaches_the_hosts_of_its_definition_within_those_of_the_profile(
    scene: Scene, server: Server
) -> None:
    profile = scene.profile(hosts=["127.0.0.1", "*"])
    done = run(
        scene,
        [
            tool("net__fetch", "a", url=server.url + "/page"),
            tool("net__fetch", "b", url="http://evil.example/"),
        ],
        "--automation-profile",
        profile,
        net=fetching(scene, hosts=["127.0.0.1"]),
    )
    assert text(scene, done.plan_id, "a").strip() == "hello"
    assert "not among the hosts of MCP server 'net'" in text(scene, done.plan_id, "b")
    assert server.seen == [("GET", "/page", "")]
    assert [(v["rule"], v["resource_name"]) for v in done.data["violations"]] == [
        ("server.hosts", "host:evil.example")
    ]
    callers = {
        call["arguments"]["caller"]
        for call in scene.explained(done.plan_id)
        if call["tool"] == "connect"
    }
    assert callers == {"MCP server net"}
    scene.verify()


def test_what_the_profile_does_not_name_no_definition_opens(scene: Scene, server: Server) -> None:
    done = run(
        scene,
        [tool("net__fetch", "a", url=server.url)],
        net=fetching(scene, hosts=["127.0.0.1"]),
    )
    assert "private host" in text(scene, done.plan_id, "a")
    assert server.seen == []


def test_a_server_without_hosts_has_no_network(scene: Scene, server: Server) -> None:
    profile = scene.profile(hosts=["127.0.0.1"])
    done = run(
        scene,
        [tool("net__fetch", "a", url=server.url)],
        "--automation-profile",
        profile,
        net=fetching(scene),
    )
    assert text(scene, done.plan_id, "a") == "no proxy"
    assert done.data["violations"] == []


def test_nor_has_one_where_the_network_is_taken_away(scene: Scene, server: Server) -> None:
    done = run(
        scene,
        [tool("net__fetch", "a", url=server.url)],
        "--safety-profile",
        "no-network",
        net=fetching(scene, hosts=["127.0.0.1"], effects=["read"]),
        expect=None,
    )
    assert server.seen == []
    if done.exit_code == 0:
        assert text(scene, done.plan_id, "a") == "no proxy"
