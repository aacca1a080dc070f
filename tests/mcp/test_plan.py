"""Plans that use MCP servers, through the command: real servers, and one that does all wrong."""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.mcp.server_scene import (
    GIT,
    HOSTILE,
    config,
    failure,
    filesystem_server,
    hostile,
    run,
    text,
)
from tests.plans.scene import processes_of, shell, tool

if TYPE_CHECKING:
    from tests.plans.scene import Scene


# -- real servers ---------------------------------------------------------------


def test_the_filesystem_server_works_on_the_plans_workspace_by_the_users_own_path(
    anybody: Scene,
) -> None:
    anybody.file("a.txt", "hello\n")
    before = anybody.digest()
    done = run(
        anybody,
        [
            tool("files__read_text_file", "read", path=f"{anybody.work}/a.txt"),
            tool(
                "files__write_file",
                "write",
                path=f"{anybody.work}/b.txt",
                content="<${{ steps.read.text }}>",
            ),
            tool("read_file", "again", path="b.txt"),
        ],
        files={"command": filesystem_server(), "args": [str(anybody.work)]},
    )
    assert text(anybody, done.plan_id, "read") == "hello\n"
    assert text(anybody, done.plan_id, "again") == "<hello\n>"
    assert anybody.digest() == before
    anybody.agents("plan", "apply", done.plan_id, "--yes", expect=0)
    assert anybody.text("b.txt") == "<hello\n>"
    anybody.verify()


def test_the_git_server_works_in_the_workspace(scene: Scene) -> None:
    scene.file("a.txt", "hello\n")
    done = run(
        scene,
        [
            shell("init", "git init -q . && git add -A"),
            tool("git__git_status", "status", repo_path=str(scene.work)),
        ],
        git={"command": str(GIT)},
    )
    assert "new file:   a.txt" in text(scene, done.plan_id, "status")


def test_under_read_only_a_trusted_servers_reading_tools_work_and_the_others_are_refused(
    scene: Scene,
) -> None:
    scene.file("a.txt", "hello\n")
    done = run(
        scene,
        [
            tool("files__read_text_file", "read", path=f"{scene.work}/a.txt"),
            {**tool("files__write_file", "write", path="b", content="x"), "on_denied": "continue"},
        ],
        "--safety-profile",
        "read-only",
        files={"command": filesystem_server(), "args": [str(scene.work)], "trusted": True},
    )
    assert text(scene, done.plan_id, "read") == "hello\n"
    (violation,) = scene.status(done.plan_id)["violations"]
    assert violation["tool"] == "files__write_file"
    assert violation["profile"] == "read-only"


def test_without_trust_the_same_tool_counts_as_the_worst(scene: Scene) -> None:
    done = run(
        scene,
        [tool("files__read_text_file", "read", path="a.txt")],
        "--safety-profile",
        "read-only",
        expect=3,
        files={"command": filesystem_server(), "args": [str(scene.work)]},
    )
    (violation,) = done.data["violations"]
    assert violation["tool"] == "files__read_text_file"


# -- what the cell shows ----------------------------------------------------------


def test_a_server_has_the_environment_of_its_configuration_and_nothing_else(scene: Scene) -> None:
    scene.environ["PARENT_SECRET"] = "do-not-hand-on"
    done = run(
        scene,
        [tool("bad__environ", "environ")],
        bad=hostile(scene, env={"HANDED": "yes"}),
    )
    found = json.loads(text(scene, done.plan_id, "environ"))
    assert found["HANDED"] == "yes"
    assert found["HOME"] == "/tmp"
    allowed = {"HANDED", "PATH", "HOME", "LANG", "PWD", "PYTHONDONTWRITEBYTECODE", "LC_CTYPE"}
    allowed |= {"NO_UPDATE_NOTIFIER", "OLDPWD"}
    assert {name for name in found if not name.startswith("GIT_CONFIG_")} <= allowed


def test_a_server_reads_nothing_of_the_home_but_what_it_runs_on(scene: Scene) -> None:
    scene.write(".ssh/id_ed25519", "a private key")
    done = run(
        scene,
        [
            tool("bad__steal", "key", path=f"{scene.place}/.ssh/id_ed25519"),
            tool("bad__steal", "database", path=f"{scene.home}/cleveragents.db"),
            tool("bad__steal", "own", path=f"{scene.place}/server/hostile_server.py"),
        ],
        bad=hostile(scene),
    )
    assert text(scene, done.plan_id, "key").startswith("FileNotFoundError")
    assert text(scene, done.plan_id, "database").startswith("FileNotFoundError")
    assert "does everything wrong" in text(scene, done.plan_id, "own")


def test_a_server_writes_nothing_outside_of_the_workspace(scene: Scene) -> None:
    done = run(
        scene,
        [
            tool("bad__write", "own", path=f"{scene.place}/server/new.py"),
            tool("bad__write", "inside", path=f"{scene.work}/new.txt"),
        ],
        bad=hostile(scene),
    )
    assert text(scene, done.plan_id, "own").startswith("OSError: Read-only")
    assert text(scene, done.plan_id, "inside") == "done"
    assert not (scene.place / "server/new.py").exists()
    assert not (scene.work / "new.txt").exists()


def test_a_server_has_no_network(scene: Scene) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        done = run(scene, [tool("bad__dial", "dial", port=port)], bad=hostile(scene))
    assert text(scene, done.plan_id, "dial") == "ConnectionRefusedError"


def test_a_server_with_hosts_reaches_them_through_the_host_and_nothing_else(scene: Scene) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as web:
        port = web.server_address[1]
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        try:
            done = run(
                scene,
                [
                    tool("bad__ask", "named", url=f"http://127.0.0.1:{port}/none"),
                    tool("bad__ask", "other", url="http://127.0.0.2:1/"),
                    tool("bad__dial", "direct", port=port),
                    tool("calm__ask", "without", url="http://127.0.0.1:1/"),
                ],
                "--automation-profile",
                scene.profile(hosts=["127.0.0.1", "127.0.0.2"]),
                bad=hostile(scene, hosts=["127.0.0.1"]),
                calm=hostile(scene),
            )
        finally:
            web.shutdown()
            thread.join()
    assert text(scene, done.plan_id, "named").startswith("HTTP/1.0 404")
    assert " 403 " in text(scene, done.plan_id, "other").splitlines()[0]
    assert text(scene, done.plan_id, "direct") == "ConnectionRefusedError"
    assert text(scene, done.plan_id, "without") == "no proxy is named"
    connections = [c for c in scene.explained(done.plan_id) if c["tool"] == "connect"]
    assert len(connections) == 2
    (violation,) = scene.status(done.plan_id)["violations"]
    assert violation["resource_name"] == "host:127.0.0.2"


def test_an_annotation_that_lies_meets_a_read_only_mount(scene: Scene) -> None:
    scene.file("a.txt", "mine\n")
    done = run(
        scene,
        [tool("bad__liar", "lie", path=f"{scene.work}/a.txt")],
        "--safety-profile",
        "read-only",
        bad=hostile(scene, trusted=True),
    )
    assert text(scene, done.plan_id, "lie").startswith("OSError: Read-only")
    assert scene.text("a.txt") == "mine\n"


def test_a_tool_named_on_the_allow_list_runs_under_the_imposed_ceiling(scene: Scene) -> None:
    scene.file("a.txt", "mine\n")
    profile = scene.profile(allowed_tools=["bad__write"], effects=["read", "execute"])
    done = run(
        scene,
        [tool("bad__write", "try", path=f"{scene.work}/a.txt")],
        "--automation-profile",
        profile,
        bad=hostile(scene),
    )
    assert text(scene, done.plan_id, "try").startswith("OSError: Read-only")


def test_paths_that_the_profile_hides_are_not_there_for_a_server(scene: Scene) -> None:
    scene.file("open/a.txt", "seen\n")
    scene.file("closed/b.txt", "hidden\n")
    profile = scene.profile(read=["open/"])
    done = run(
        scene,
        [
            tool("bad__steal", "open", path=f"{scene.work}/open/a.txt"),
            tool("bad__steal", "closed", path=f"{scene.work}/closed/b.txt"),
            tool("bad__steal", "closed2", path="/workspace/closed/b.txt"),
        ],
        "--automation-profile",
        profile,
        bad=hostile(scene),
    )
    assert text(scene, done.plan_id, "open") == "seen\n"
    assert text(scene, done.plan_id, "closed").startswith("FileNotFoundError")
    assert text(scene, done.plan_id, "closed2").startswith("FileNotFoundError")


# -- what an operator says of a tool -----------------------------------------------


def test_a_named_path_argument_is_decided_on_in_its_one_spelling(scene: Scene) -> None:
    scene.file("docs/a.md", "seen\n")
    scene.file("b.md", "hidden\n")
    rule = {"effects": ["read"], "resources": {"path": "file"}}
    profile = scene.profile(read=["docs/"], effects=["read"])
    done = run(
        scene,
        [
            tool("bad__steal", "own", path=f"{scene.work}/docs/a.md"),
            tool("bad__steal", "relative", path="docs/./a.md"),
            {**tool("bad__steal", "other", path=f"{scene.work}/b.md"), "on_denied": "continue"},
            {**tool("bad__steal", "host", path="/etc/passwd"), "on_denied": "continue"},
        ],
        "--automation-profile",
        profile,
        bad=hostile(scene, tools={"steal": rule}),
    )
    assert text(scene, done.plan_id, "own") == text(scene, done.plan_id, "relative") == "seen\n"
    refused = {v["resource_name"] for v in scene.status(done.plan_id)["violations"]}
    assert refused == {"file:b.md", "file:/etc/passwd"}


def test_a_list_of_named_paths_reaches_the_server_as_its_own(scene: Scene) -> None:
    rule = {"effects": ["read"], "resources": {"paths": "file"}}
    done = run(
        scene,
        [tool("bad__seen", "seen", paths=["a.txt", ".", "/workspace/b"])],
        bad=hostile(scene, tools={"seen": rule}),
    )
    paths, directory = json.loads(text(scene, done.plan_id, "seen"))
    work = str(scene.work)
    assert paths == [f"{work}/a.txt", work, f"{work}/b"]
    assert directory == work


def test_a_priced_tool_is_held_against_the_budget_before_it_is_called(scene: Scene) -> None:
    rule = {"effects": ["read"], "cost_usd": 0.4}
    done = run(
        scene,
        [tool("bad__echo", "one", text="a"), tool("bad__echo", "two", text="b")],
        "--max-cost",
        "0.50",
        expect=4,
        bad=hostile(scene, tools={"echo": rule}),
    )
    assert done.data["cost"]["spent_usd"] == "0.40"
    assert [step["status"] for step in done.data["steps"]] == ["done", "denied"]


def test_a_credential_reaches_the_environment_and_no_result(scene: Scene) -> None:
    scene.environ["REAL_TOKEN"] = "s3cret-value-of-the-token"
    automation = scene.automation(credentials={"TOKEN": {"env": "REAL_TOKEN"}})
    done = run(
        scene,
        [tool("bad__environ", "environ")],
        "--automation-profile",
        automation,
        bad=hostile(scene, env={"API_TOKEN": "Bearer ${credential:TOKEN}"}),
    )
    found = json.loads(text(scene, done.plan_id, "environ"))
    assert found["API_TOKEN"] == "Bearer [redacted:TOKEN]"
    assert b"s3cret-value-of-the-token" not in scene.kept()


# -- a server that does everything wrong -----------------------------------------


@pytest.mark.parametrize(
    ("misdeed", "told"),
    [
        ("die", "it has ended"),
        ("flood", "more than 8 MiB"),
        ("junk", "no message of the protocol"),
        ("notify", "more than 10000 messages"),
        ("huge", "more than 8 MiB"),
        ("hang", "no answer within 2 s"),
        ("wrong", "not of the protocol"),
    ],
)
def test_a_misdeed_is_one_failed_call_and_the_plan_goes_on(
    scene: Scene, misdeed: str, told: str
) -> None:
    done = run(
        scene,
        [
            {**tool(f"bad__{misdeed}", "misdeed"), "on_error": "continue"},
            tool("bad__echo", "after", text="still here"),
        ],
        bad=hostile(scene, timeout_s=2 if misdeed == "hang" else 60),
    )
    assert told in failure(scene, done.plan_id, "misdeed")
    assert text(scene, done.plan_id, "after") == "still here"


def test_the_last_words_of_a_dead_server_are_told(scene: Scene) -> None:
    done = run(scene, [{**tool("bad__die", "die"), "on_error": "continue"}], bad=hostile(scene))
    assert "it said: the last words: boom" in failure(scene, done.plan_id, "die")


def test_a_server_that_dies_again_and_again_is_not_started_any_more(scene: Scene) -> None:
    steps = [{**tool("bad__die", f"d{n}"), "on_error": "continue"} for n in range(4)]
    done = run(scene, steps, bad=hostile(scene))
    assert "not started again" in failure(scene, done.plan_id, "d3")


def test_a_tools_own_error_is_told_without_its_escapes(scene: Scene) -> None:
    done = run(
        scene,
        [
            {**tool("bad__fail", "fail"), "on_error": "continue"},
            {**tool("bad__refuse", "refuse"), "on_error": "continue"},
        ],
        bad=hostile(scene),
    )
    told = failure(scene, done.plan_id, "fail")
    assert told.startswith("no \\u202egnp.exe")
    assert told.isprintable()
    assert len(told) < 700
    assert failure(scene, done.plan_id, "refuse") == "no such \\u202eluck"


def test_what_is_no_text_is_named_and_left_out(scene: Scene) -> None:
    done = run(
        scene,
        [tool("bad__blocks", "blocks"), tool("bad__structured", "both")],
        bad=hostile(scene),
    )
    lines = text(scene, done.plan_id, "blocks").splitlines()
    assert lines[0] == "one"
    assert lines[1].startswith("[image image/png")
    assert lines[2:] == ["two", "[resource file:///y]", "[link file:///z]"]
    assert scene.value(done.plan_id, "both") == {"text": "see there", "structured": {"n": 1}}


def test_a_greeting_on_the_output_is_overlooked(scene: Scene) -> None:
    done = run(scene, [tool("bad__echo", "echo", text="x")], bad=hostile(scene, "chatty"))
    assert text(scene, done.plan_id, "echo") == "x"


def test_what_a_server_leaves_behind_ends_with_it(scene: Scene) -> None:
    run(scene, [tool("bad__linger", "linger")], bad=hostile(scene))
    assert not processes_of(scene.place)


# -- pinned ------------------------------------------------------------------------


def test_a_server_that_presents_other_tools_after_the_start_is_refused_and_recorded(
    scene: Scene,
) -> None:
    done = run(
        scene,
        [
            tool("bad__change", "change"),
            {**tool("bad__echo", "echo", text="x"), "on_denied": "continue"},
            tool("delete_file", "back", path="changed"),
            tool("bad__echo", "again", text="y"),
        ],
        bad=hostile(scene),
    )
    (violation,) = scene.status(done.plan_id)["violations"]
    assert violation["tool"] == "bad__echo"
    assert violation["profile"] == "mcp:bad"
    assert "approved when the plan started" in violation["reason"]
    assert text(scene, done.plan_id, "again") == "y"
    scene.verify()


def test_a_change_that_nobody_tells_of_is_seen_at_the_next_start(scene: Scene) -> None:
    done = run(
        scene,
        [
            tool("bad__echo", "before", text="x"),
            {**tool("bad__die", "die"), "on_error": "continue"},
            tool("write_file", "write", path="changed", content="x"),
            tool("bad__echo", "after", text="x"),
        ],
        expect=3,
        bad=hostile(scene),
    )
    statuses = {step["id"]: step["status"] for step in done.data["steps"]}
    assert statuses == {"before": "done", "die": "failed", "write": "done", "after": "denied"}


def test_the_list_of_tools_is_stored_with_the_plan_and_kept_on_resume(scene: Scene) -> None:
    servers = config(scene, bad=hostile(scene))
    automation = scene.automation(approvals=["bad__echo"])
    words = ("--mcp-config", servers, "--automation-profile", automation)
    steps = [tool("bad__echo", "first", text="x"), tool("bad__structured", "second")]
    done = scene.run(steps, *words, expect=7)
    (body,) = scene.rows("SELECT body FROM record WHERE kind = 'plan_started'")[0]
    assert "bad__echo" in json.dumps(json.loads(body)) or "$object" in body
    scene.agents("plan", "approve", done.plan_id, "first", expect=0)
    again = scene.agents("plan", "resume", done.plan_id, expect=0)
    assert [step["status"] for step in again.data["steps"]] == ["done", "done"]


def test_a_file_that_was_edited_meanwhile_stops_the_resume(scene: Scene) -> None:
    servers = config(scene, bad=hostile(scene))
    automation = scene.automation(approvals=["bad__echo"])
    done = scene.run(
        [tool("bad__echo", "first", text="x")],
        "--mcp-config",
        servers,
        "--automation-profile",
        automation,
        expect=7,
    )
    config(scene, bad=hostile(scene, env={"MORE": "x"}))
    scene.agents("plan", "approve", done.plan_id, "first", expect=0)
    again = scene.agents("plan", "resume", done.plan_id, expect=1)
    assert "has changed since the plan started" in again.said


# -- names and lists ----------------------------------------------------------------


def test_a_poisoned_list_offers_only_what_a_person_can_read(scene: Scene) -> None:
    done = run(scene, [tool("bad__read_file", "read", text="x")], bad=hostile(scene, "poisoned"))
    warned = "\n".join(m["text"] for m in done.envelope["messages"])
    for name in ("bi\\u202edi", "esc", "two-names", "two_names", "remote", "hidden", "backtrack"):
        assert f"tool '{name}" in warned or name in warned, name
    assert "\u202e" not in warned
    assert "\x1b" not in warned
    for name in ("wide", "deep"):
        assert f"tool '{name}' is not offered" in warned
    assert "tool 'good'" not in warned
    assert "tool 'long'" not in warned


def test_a_refused_name_cannot_be_called(scene: Scene) -> None:
    done = run(
        scene,
        [tool("bad__two_names", "two")],
        expect=2,
        bad=hostile(scene, "poisoned"),
    )
    assert "bad__two_names" in done.said


@pytest.mark.parametrize(
    ("which", "told"),
    [
        ("many", "more than 256 tools"),
        ("endless", "does not end"),
        ("array", "not of the protocol"),
        ("mute", "did not answer within 1 s"),
        ("dead", "cannot find my config"),
    ],
)
def test_a_server_that_cannot_be_listed_starts_nothing(scene: Scene, which: str, told: str) -> None:
    limit = 1 if which == "mute" else 60
    done = run(
        scene,
        [tool("read_file", path="a.txt")],
        expect=2,
        bad=hostile(scene, which, startup_timeout_s=limit),
    )
    assert told in done.said
    assert scene.count("plan_started") == 0
    assert not processes_of(scene.place)


def test_an_own_tool_of_the_same_name_is_an_error(scene: Scene) -> None:
    own = scene.own_tools(
        "@tool(effects={'read'})\ndef bad__echo(text: str) -> str:\n    return text"
    )
    automation = scene.automation(tools=[str(own)])
    done = run(
        scene,
        [tool("bad__echo", "echo", text="x")],
        "--automation-profile",
        automation,
        expect=2,
        bad=hostile(scene),
    )
    assert "two tools are named 'bad__echo'" in done.said


# -- who may name servers -----------------------------------------------------------


def test_the_settings_and_a_trusted_automation_profile_name_servers(scene: Scene) -> None:
    path = config(scene, bad=hostile(scene))
    automation = scene.automation(mcp_servers=["servers.json"])
    steps = [tool("bad__echo", "echo", text="x")]
    scene.run(steps, "--automation-profile", automation)
    scene.environ["CLEVERAGENTS_MCP_SERVERS"] = path
    scene.run(steps)


def test_a_profile_that_only_the_plan_file_names_starts_no_server(scene: Scene) -> None:
    marker = scene.place / "started"
    config(scene, bad={"command": "/usr/bin/touch", "args": [str(marker)]})
    automation = scene.automation(mcp_servers=["servers.json"])
    done = scene.run(
        {
            "name": "sly",
            "automation_profile": automation,
            "steps": [tool("read_file", path="a.txt", id="r") | {"on_error": "continue"}],
        }
    )
    assert "its mcp_servers did not count" in done.said
    assert not marker.exists()


def test_without_the_wall_no_server_starts(scene: Scene) -> None:
    done = run(
        scene,
        [tool("bad__echo", "echo", text="x")],
        "--isolation",
        "off-unsafe",
        expect=6,
        bad=hostile(scene),
    )
    assert "cannot run without a wall" in done.said


# -- subplans ------------------------------------------------------------------------


def test_a_subplan_has_a_server_of_its_own_over_its_own_workspace(scene: Scene) -> None:
    scene.file("docs/a.md", "old\n")
    child = {
        "name": "child",
        "delegate": {"tools": ["bad__write", "bad__steal"], "read": ["."], "write": ["docs/"]},
        "steps": [
            tool("bad__write", "in", path=f"{scene.work}/docs/new.md"),
            tool("bad__write", "out", path=f"{scene.work}/top.md"),
        ],
    }
    done = run(
        scene,
        [
            tool("bad__write", "mine", path=f"{scene.work}/mine.md"),
            {"id": "child", "subplan": child},
            tool("bad__steal", "seen", path=f"{scene.work}/docs/new.md"),
        ],
        bad=hostile(scene),
    )
    subplan = done.data["subplans"][0]["plan_id"]
    assert text(scene, subplan, "in") == "done"
    assert text(scene, subplan, "out").startswith("OSError: Read-only")
    assert text(scene, done.plan_id, "seen") == "written by the server\n"


def test_a_subplan_without_the_tool_or_the_credential_is_refused(scene: Scene) -> None:
    scene.environ["REAL_TOKEN"] = "s3cret-value-of-the-token"
    automation = scene.automation(credentials={"TOKEN": {"env": "REAL_TOKEN"}})

    def child(**delegate: object) -> dict[str, object]:
        subplan = {
            "name": "child",
            "delegate": {"read": ["."], **delegate},
            "steps": [tool("bad__environ", "environ")],
        }
        return {"id": "child", "subplan": subplan}

    server = hostile(scene, env={"API_TOKEN": "${credential:TOKEN}"})
    words = ("--automation-profile", automation)
    done = run(scene, [child(tools=["read_file"])], *words, expect=3, bad=server)
    assert done.data["violations"][0]["resource_name"] == "tool:bad__environ"
    done = run(scene, [child(tools=["bad__environ"])], *words, expect=3, bad=server)
    assert done.data["violations"][0]["resource_name"] == "credential:TOKEN"
    run(scene, [child(tools=["bad__environ"], credentials=["TOKEN"])], *words, bad=server)


def test_a_reading_parent_has_a_writing_child_with_a_server(scene: Scene) -> None:
    scene.file("a.txt", "old\n")
    automation = scene.automation(
        safety_profile="read-only",
        delegates={"name": "writer", "effects": ["read", "write", "delete", "execute", "spawn"]},
    )
    child = {
        "name": "child",
        "delegate": {"tools": ["bad__write"], "read": ["."], "write": ["."]},
        "steps": [tool("bad__write", "in", path=f"{scene.work}/new.md")],
    }
    done = run(
        scene,
        [
            {"id": "child", "subplan": child},
            tool("bad__honest", "seen", path=f"{scene.work}/new.md"),
        ],
        "--automation-profile",
        automation,
        bad=hostile(scene, tools={"honest": {"effects": ["read"]}}),
    )
    assert text(scene, done.plan_id, "seen") == "written by the server\n"


def test_a_cancelled_plan_ends_its_hanging_server(scene: Scene) -> None:
    from tests.plans.scene import ended, wait_until

    scene.is_inside = False
    path = config(scene, bad=hostile(scene))
    host = scene.start(*scene.words([tool("bad__hang", "hang")], "--mcp-config", path))
    wait_until(lambda: scene.count("decision") == 1, "the call under way")
    (plan_id,) = scene.rows("SELECT plan_id FROM plan")[0]
    started = time.monotonic()
    scene.agents("plan", "cancel", plan_id, expect=0)
    assert ended(host).exit_code == 1
    assert time.monotonic() - started < 20
    assert scene.status(plan_id)["state"] == "cancelled"


def test_the_workspace_has_two_names_in_the_servers_cell(scene: Scene) -> None:
    """A write to the alias is a write to the workspace: one file, two names."""
    done = run(
        scene,
        [
            tool("bad__write", "one", path=f"{scene.work}/x"),
            tool("read_file", "two", path="x"),
            tool("bad__steal", "three", path="/workspace/x"),
        ],
        bad=hostile(scene),
    )
    assert text(scene, done.plan_id, "two") == text(scene, done.plan_id, "three")
    assert not (scene.work / "x").exists()


def test_a_command_that_is_gone_after_the_start_is_a_failed_call(scene: Scene) -> None:
    program = scene.write("server/bin/serve", HOSTILE.read_bytes(), mode=0o755)
    program.write_text(f"#!{sys.executable}\n{HOSTILE.read_text()}")
    done = run(
        scene,
        [
            shell("gone", "sleep 0"),
            {**tool("bad__echo", "echo", text="x"), "on_error": "continue"},
        ],
        "--automation-profile",
        scene.automation(approvals=["run_command"]),
        expect=7,
        bad={"command": str(program)},
    )
    program.unlink()
    scene.agents("plan", "approve", done.plan_id, "gone", expect=0)
    scene.agents("plan", "resume", done.plan_id, expect=0)
    assert "is not found" in failure(scene, done.plan_id, "echo")


def test_a_file_that_is_gone_stops_the_resume(scene: Scene) -> None:
    path = config(scene, bad=hostile(scene))
    automation = scene.automation(approvals=["bad__echo"])
    words = ("--mcp-config", path, "--automation-profile", automation)
    done = scene.run([tool("bad__echo", "echo", text="x")], *words, expect=7)
    (scene.place / "servers.json").unlink()
    again = scene.agents("plan", "resume", done.plan_id, expect=1)
    assert "has changed since the plan started" in again.said


def test_two_files_that_name_one_server_are_an_error(scene: Scene) -> None:
    path = config(scene, bad=hostile(scene))
    other = scene.write("other.json", (scene.place / "servers.json").read_bytes())
    scene.environ["CLEVERAGENTS_MCP_SERVERS"] = str(other)
    done = scene.run([tool("read_file", path="a")], "--mcp-config", path, expect=2)
    assert "two MCP servers are named 'bad'" in done.said


def test_a_credential_without_a_value_starts_nothing(scene: Scene) -> None:
    automation = scene.automation(credentials={"TOKEN": {"env": "NOT_SET"}})
    done = run(
        scene,
        [tool("bad__environ", "environ")],
        "--automation-profile",
        automation,
        expect=2,
        bad=hostile(scene, env={"API_TOKEN": "${credential:TOKEN}"}),
    )
    assert "the credential 'TOKEN' was not handed on, or has no value" in done.said


def test_a_memory_limit_of_its_own_holds(scene: Scene) -> None:
    done = run(
        scene,
        [{**tool("bad__huge", "huge"), "on_error": "continue"}],
        bad=hostile(scene, memory_mb=128),
    )
    assert "it has ended" in failure(scene, done.plan_id, "huge")


def test_without_the_extra_the_error_names_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cleveragents.tools.broker.mcp_desk", None)
    done = run(scene, [tool("bad__echo", "echo", text="x")], expect=2, bad=hostile(scene))
    assert "pip install 'cleveragents[mcp]'" in done.said


def test_a_path_of_the_workspace_that_is_the_workspace_itself(scene: Scene) -> None:
    done = run(
        scene,
        [tool("files__list_directory", "list", path=str(scene.work))],
        files={"command": filesystem_server(), "args": [str(scene.work)]},
    )
    assert text(scene, done.plan_id, "list") == ""


def test_an_automation_profile_with_servers_can_be_validated_and_shown(scene: Scene) -> None:
    path = scene.automation(mcp_servers=["servers.json"], approvals=["bad__echo"])
    scene.agents("automation-profile", "validate", path, expect=0)
    scene.agents("automation-profile", "add", path, expect=0)
    shown = scene.agents("automation-profile", "show", "careful", expect=0)
    assert shown.data["profile"]["mcp_servers"] == [str(scene.place / "servers.json")]
