"""Other servers behind the gateway: which of their tools are offered, and what they can reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.gateway.client import talking
from tests.mcp.server_scene import GIT, filesystem_server
from tests.plans.scene import wait_until

if TYPE_CHECKING:
    from tests.plans.scene import Scene

HERE = Path(__file__).parent
OWN = ("own__look", "own__where", "own__quick", "own__liar", "own__die", "own__slow")


def config(scene: Scene, **facts: Any) -> tuple[str, str]:
    """Write a file of one small server; gives the words that name it."""
    script = scene.write("server/tool_server.py", (HERE / "tool_server.py").read_text())
    server = {"command": sys.executable, "args": [str(script)], **facts}
    file = scene.write("servers.json", json.dumps({"mcpServers": {"own": server}}))
    return "--config", str(file)


def own(names: list[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name.startswith("own__"))


def test_a_trusted_servers_reading_tools_are_offered_and_the_others_refused(
    installed: Scene,
) -> None:
    installed.file("a.txt", "one\n")
    before = installed.digest()
    words = ("--safety-profile", "read-only", *config(installed, trusted=True))
    with talking(installed, *words) as talk:
        names = talk.names()
        assert own(names) == OWN
        assert "read_file" in names
        assert talk.call("own__look", path="a.txt").text == "one\n"
        assert talk.call("own__look", path=f"{installed.work}/a.txt").text == "one\n"
        for name, verbs in (("change", "writes or deletes"), ("unsaid", "writes, deletes or")):
            refused = talk.call(f"own__{name}", path="a.txt")
            assert refused.is_error
            assert f"own__{name} denied: profile 'read-only' admits no tool that" in refused.text
            assert verbs in refused.text
        # What a tool says of itself does not make the mount writable.
        assert "Read-only file system" in talk.call("own__liar", path="a.txt").text
        where = talk.call("own__where").text
        assert where.startswith(f"{installed.work} ")
        assert "CLEVERAGENTS" not in where
        status = talk.status
        assert [v["tool"] for v in status["violations"]] == ["own__change", "own__unsaid"]
        assert len(status["steps"]) == 6
    assert installed.digest() == before
    installed.verify()


def test_a_server_that_nobody_trusts_offers_nothing_under_read_only(scene: Scene) -> None:
    with talking(scene, "--safety-profile", "read-only", *config(scene)) as talk:
        assert own(talk.names()) == ()
        assert "admits no tool that" in talk.call("own__look", path="a.txt").text


def test_an_operator_may_say_what_a_tool_does(scene: Scene) -> None:
    tools = {"look": {"effects": ["read"], "resources": {"path": "file:read"}}}
    with talking(scene, "--safety-profile", "read-only", *config(scene, tools=tools)) as talk:
        assert own(talk.names()) == ("own__look",)
        assert talk.call("own__look", path=f"{scene.work}/a.txt").text == "one\n"
        assert talk.call("own__look", path="/etc/passwd").text.endswith("(rule workspace)")


def test_what_a_stranger_writes_is_harmless_where_it_is_read(scene: Scene) -> None:
    with talking(scene, "--safety-profile", "read-only", *config(scene, trusted=True)) as talk:
        tools = talk.portal.call(talk.client.list_tools).tools
        described = {tool.name: tool.description or "" for tool in tools}
        assert described["own__look"] == "The tool look\\u202e."


def test_rw_is_said_of_each_server(scene: Scene) -> None:
    scene.work.chmod(0o755)
    words = ("--safety-profile", "unrestricted", "--rw")
    with talking(scene, *words, *config(scene, trusted=True)) as talk:
        # --rw is for the tools built in; a file says it of its servers.
        assert "own__change" not in talk.names()
        assert "mounted-read-only" in talk.call("own__change", path="a.txt").text
        assert "Read-only file system" in talk.call("own__unsaid", path="a.txt").text
        assert "write_file" in talk.names()
    assert scene.text("a.txt") == "one\n"
    unrestricted = ("--safety-profile", "unrestricted")
    with talking(scene, *unrestricted, *config(scene, trusted=True, rw=True)) as talk:
        assert talk.call("own__change", path="a.txt").text == "changed"
        assert "write_file" not in talk.names()
        assert talk.call("write_file", path="b.txt", content="x").is_error
    assert scene.text("a.txt") == "changed\n"
    assert not (scene.work / "b.txt").exists()


def test_rw_of_a_file_widens_no_profile(scene: Scene) -> None:
    words = ("--safety-profile", "read-only", *config(scene, trusted=True, rw=True))
    with talking(scene, *words) as talk:
        assert talk.call("own__change", path="a.txt").is_error
        assert "Read-only file system" in talk.call("own__liar", path="a.txt").text
    assert scene.text("a.txt") == "one\n"


def test_secrets_are_hidden_from_servers_also_when_they_are_replaced(scene: Scene) -> None:
    scene.file(".env", "old-value\n")
    with talking(scene, "--safety-profile", "read-only", *config(scene, trusted=True)) as talk:
        for place in (".env", "/workspace/.env", f"{scene.work}/.env"):
            assert "Permission denied" in talk.call("own__look", path=place).text
        scene.file("next", "new-value\n").replace(scene.work / ".env")
        assert "Permission denied" in talk.call("own__look", path=".env").text


def test_a_server_that_dies_or_hangs_costs_one_call(scene: Scene) -> None:
    facts = {"trusted": True, "timeout_s": 1, "parallel": 4}
    with talking(scene, "--safety-profile", "read-only", *config(scene, **facts)) as talk:
        assert "it has ended" in talk.call("own__die").text
        assert talk.call("own__quick").text == "ok"
        slow = talk.call("own__slow")
        assert slow.is_error
        assert talk.call("own__quick").text == "ok"
        assert [s["status"] for s in talk.status["steps"]] == ["failed", "done", "failed", "done"]


def test_one_server_may_be_given_by_its_command(scene: Scene) -> None:
    config(scene)
    script = str(scene.place / "server/tool_server.py")
    words = ("--safety-profile", "read-only", "--trusted", "--", sys.executable, script)
    with talking(scene, *words) as talk:
        assert [name for name in talk.names() if name.startswith("tool_server__")] == [
            name.replace("own__", "tool_server__") for name in OWN
        ]
        assert talk.call("tool_server__look", path="a.txt").text == "one\n"


def test_a_server_that_does_not_start_is_told(scene: Scene) -> None:
    done = subprocess.run(
        scene.argv("mcp", "serve", "--safety-profile", "read-only", "--", "/nowhere/server"),
        cwd=scene.work,
        env=scene.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "'/nowhere/server' of the MCP server is not found" in done.stderr


def test_a_client_that_leaves_a_hanging_server_waits_for_nothing(scene: Scene) -> None:
    with talking(scene, "--safety-profile", "read-only", *config(scene, trusted=True)) as talk:
        assert talk.call("own__quick").text == "ok"
        talk.start("own__slow")
        wait_until(lambda: scene.count("decision") == 2, "a call under way")
        plan_id = talk.plan_id
    wait_until(lambda: scene.status(plan_id)["state"] == "complete", "its end")
    assert scene.outcome(plan_id, "call-2")["status"] == "failed"


def real_servers(scene: Scene, **facts: Any) -> tuple[str, str]:
    """Write a file of the two servers that everybody has."""
    subprocess.run(["git", "init", "--quiet", str(scene.work)], check=True)
    servers = {
        "files": {"command": filesystem_server(), "args": [str(scene.work)]},
        "git": {"command": str(GIT), "args": ["--repository", str(scene.work)]},
    }
    raw = {"mcpServers": {name: {**one, "trusted": True, **facts} for name, one in servers.items()}}
    return "--config", str(scene.write("servers.json", json.dumps(raw)))


def test_the_servers_that_everybody_has_only_read_under_read_only(scene: Scene) -> None:
    words = ("--safety-profile", "read-only", *real_servers(scene))
    before = scene.digest()
    with talking(scene, *words) as talk:
        names = talk.names()
        assert {"files__read_text_file", "files__list_directory", "git__git_status"} <= {*names}
        changing = {
            "files__write_file", "files__edit_file", "files__move_file", "files__create_directory",
            "git__git_add", "git__git_commit", "git__git_reset", "git__git_checkout",
        }  # fmt: skip
        assert not changing & {*names}
        path = f"{scene.work}/a.txt"
        assert "one" in talk.call("files__read_text_file", path=path).text
        assert "a.txt" in talk.call("git__git_status", repo_path=str(scene.work)).text
        files = talk.call("files__write_file", path=path, content="x")
        git = talk.call("git__git_add", repo_path=str(scene.work), files=["a.txt"])
        assert "files__write_file denied: profile 'read-only' admits no tool that" in files.text
        assert "git__git_add denied: profile 'read-only' admits no tool that" in git.text
        status = talk.status
        assert [(s["tool"], s["status"]) for s in status["steps"]] == [
            ("files__read_text_file", "done"),
            ("git__git_status", "done"),
            ("files__write_file", "denied"),
            ("git__git_add", "denied"),
        ]
        assert [v["tool"] for v in status["violations"]] == ["files__write_file", "git__git_add"]
    assert scene.digest() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_they_work_for_root_on_somebody_elses_directory(scene: Scene) -> None:
    words = ("--safety-profile", "unrestricted", *real_servers(scene, rw=True))
    for path in (scene.work, *scene.work.rglob("*")):
        os.chown(path, 61_234, 61_234)
    with talking(scene, *words) as talk:
        made = talk.call("files__write_file", path=f"{scene.work}/b.txt", content="x")
        assert not made.is_error, made.text
        added = talk.call("git__git_add", repo_path=str(scene.work), files=["b.txt"])
        assert not added.is_error, added.text
        assert "new file:   b.txt" in talk.call("git__git_status", repo_path=str(scene.work)).text
    for name in ("b.txt", ".git/index"):
        assert (scene.work / name).stat().st_uid == 61_234
