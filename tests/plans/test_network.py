"""What the host sends for a plan: only to hosts that are named, and no credential is kept."""

from __future__ import annotations

import base64
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.plans.scene import kill, shell, tool, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plans.scene import Scene

SECRET = "correct-horse-battery-staple"


class Server(ThreadingHTTPServer):
    """Keeps what it was sent, and says it back."""

    daemon_threads = True
    seen: list[tuple[str, str, str]]
    released: threading.Event

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        told = self.headers.get("authorization", "")
        self.server.seen.append((self.command, self.path, told))
        self.rfile.read(int(self.headers.get("content-length", "0")))
        if self.path == "/slow":
            self.server.released.wait(30)
        body = f"hello {told} {base64.b64encode(told.encode()).decode()}".encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  # the library's name

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.seen, server.released = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def test_a_loopback_address_is_fetched_only_when_it_is_named(scene: Scene, server: Server) -> None:
    steps = [
        {
            **tool("fetch_url", "got", url=f"{server.url}/page"),
            "on_denied": "continue",
            "on_error": "continue",
        }
    ]
    for hosts in (None, ["*"], ["example.com"], ["localhost"], []):
        facts: dict[str, Any] = {} if hosts is None else {"hosts": hosts}
        done = scene.run(steps, "--automation-profile", scene.profile(**facts))
        assert done.data["steps"][0]["status"] in {"denied", "failed"}, hosts
    assert server.seen == []
    named = scene.profile(hosts=["127.0.0.1"])
    plan_id = scene.run(steps, "--automation-profile", named).plan_id
    assert scene.value(plan_id, "got")["text"].startswith("hello")
    assert server.seen == [("GET", "/page", "")]
    done = scene.run(steps, "--automation-profile", named, "--safety-profile", "no-network")
    assert done.data["violations"][0]["profile"] == "no-network"
    assert len(server.seen) == 1
    # The cell has no way of its own to what the host may reach.
    done = scene.run(
        [shell("curl", f"exec 3<>/dev/tcp/127.0.0.1/{server.server_port}")],
        "--automation-profile",
        named,
    )
    assert scene.value(done.plan_id, "curl")["exit_code"] != 0
    assert len(server.seen) == 1


def test_a_credential_of_the_settings_reaches_its_host_and_nothing_else(
    anybody: Scene, server: Server
) -> None:
    anybody.environ |= {
        "THE_TOKEN": SECRET,
        "CLEVERAGENTS_CREDENTIALS": "{API: {env: THE_TOKEN, hosts: [127.0.0.1]}}",
    }
    _sends(anybody, server, anybody.profile(hosts=["127.0.0.1"]))


def test_a_credential_of_an_automation_profile_does_too(scene: Scene, server: Server) -> None:
    scene.write("token.txt", SECRET + "\n", mode=0o600)
    profile = scene.automation(
        safety_profile={"name": "tested", "hosts": ["127.0.0.1"]},
        credentials={"API": {"file": "token.txt", "hosts": ["127.0.0.1"]}},
    )
    _sends(scene, server, profile)


def _sends(scene: Scene, server: Server, profile: str) -> None:
    steps = [
        tool(
            "send_request",
            "sent",
            url=f"{server.url}/x",
            method="POST",
            headers={"Authorization": "Bearer ${credential:API}"},
            body="b",
        ),
        tool("write_file", "kept", path="answer.txt", content="${{ steps.sent.text }}"),
        shell("env", "env; cat answer.txt"),
    ]
    done = scene.run(steps, "--automation-profile", profile, "--apply")
    assert server.seen == [("POST", "/x", f"Bearer {SECRET}")]
    assert scene.text("answer.txt").startswith("hello Bearer [redacted:API]")
    texts = [
        done.out,
        done.err,
        scene.agents("plan", "status", done.plan_id).out,
        scene.agents("plan", "explain", done.plan_id).out,
        scene.agents("audit", "export").out,
        scene.text("answer.txt"),
    ]
    encoded = base64.b64encode(f"Bearer {SECRET}".encode()).decode()
    for spelling in (SECRET, encoded, base64.b64encode(SECRET.encode()).decode()):
        assert spelling.encode() not in scene.kept()
        assert not any(spelling in text for text in texts)
    (call,) = [c for c in scene.explained(done.plan_id) if c["call_id"] == "sent"]
    assert call["arguments"]["headers"] == {"Authorization": "Bearer ${credential:API}"}
    scene.verify()


@pytest.mark.parametrize("is_denied", [False, True])
def test_a_request_that_was_cut_off_is_not_sent_again_without_a_person(
    scene: Scene, server: Server, is_denied: bool
) -> None:
    steps = [tool("send_request", "sent", url=f"{server.url}/slow", method="POST", body="b")]
    profile = scene.profile(hosts=["127.0.0.1"])
    host = scene.start(*scene.words(steps, "--automation-profile", profile))
    wait_until(lambda: len(server.seen) == 1, "the request")
    kill(host)
    server.released.set()
    plan_id = scene.rows("SELECT plan_id FROM plan")[0][0]
    waiting = scene.agents("plan", "resume", plan_id, expect=7).data["waiting"]
    assert "may have happened" in waiting[0]["reason"]
    assert len(server.seen) == 1
    answer = ("--deny",) if is_denied else ()
    scene.agents("plan", "approve", plan_id, "sent", *answer, expect=0)
    scene.agents("plan", "resume", plan_id, expect=3 if is_denied else 0)
    assert len(server.seen) == (1 if is_denied else 2)
    scene.verify()


def test_a_credential_goes_to_no_host_but_its_own(scene: Scene, server: Server) -> None:
    scene.environ |= {
        "THE_TOKEN": SECRET,
        "CLEVERAGENTS_CREDENTIALS": "{API: {env: THE_TOKEN, hosts: [api.example.com]}}",
    }
    send = tool(
        "send_request",
        "sent",
        url=f"{server.url}/x",
        method="POST",
        headers={"Authorization": "Bearer ${credential:API}"},
    )
    unknown = {**send, "args": {**send["args"], "headers": {"X": "${credential:NOBODY}"}}}
    profile = scene.profile(hosts=["127.0.0.1"])
    for step in (send, unknown):
        done = scene.run([step], "--automation-profile", profile, expect=None)
        assert done.exit_code in {1, 3}
        assert SECRET not in done.out
    assert server.seen == []


def test_a_profile_reached_by_a_path_in_a_plan_file_brings_no_credential(
    scene: Scene, server: Server
) -> None:
    scene.write("token.txt", SECRET)
    scene.automation(
        safety_profile={"name": "tested", "hosts": ["127.0.0.1"]},
        credentials={"API": {"file": "token.txt", "hosts": ["127.0.0.1"]}},
    )
    plan = {
        "name": "greedy",
        "automation_profile": "automation.yaml",
        "steps": [
            tool(
                "send_request",
                url=f"{server.url}/x",
                method="POST",
                headers={"Authorization": "${credential:API}"},
            )
        ],
    }
    done = scene.run(plan, expect=None)
    assert done.exit_code in {1, 2, 3}
    assert "credentials" in done.said
    assert not any(SECRET in told for _, _, told in server.seen)
