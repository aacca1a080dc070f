"""One session over pipes or HTTP, against servers that speak the wire by hand."""

from __future__ import annotations

import gzip
import json
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.policy.host_rule import HostRules
from cleveragents.tools.broker.credential import Credential
from cleveragents.tools.broker.mcp_desk import McpDesk
from cleveragents.tools.broker.mcp_http import HttpStream
from cleveragents.tools.broker.mcp_session import LoopThread, McpSession
from cleveragents.tools.mcp_failure import ServerFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Json = dict[str, Any]
    Answer = Callable[[Json], Json | None]

MODERN = "2026-07-28"
TOOL = {"name": "t", "inputSchema": {"type": "object"}}


@dataclass
class Wire:
    """The other end of a session's pipes, answered by a function in a thread."""

    answer: Answer
    asked: list[str] = field(default_factory=list)
    reading: int = -1
    writing: int = -1
    thread: threading.Thread | None = None

    def session(self, desk: McpDesk) -> McpSession:
        heard, self.writing = os.pipe()
        self.reading, said = os.pipe()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        return desk.over_pipes(heard, said)

    def _run(self) -> None:
        with os.fdopen(self.reading, "rb") as lines, os.fdopen(self.writing, "wb") as out:
            for line in lines:
                ask = json.loads(line)
                self.asked.append(ask["method"])
                if "id" not in ask:
                    continue
                found = self.answer(ask)
                if found is None:
                    return
                out.write(json.dumps({"jsonrpc": "2.0", "id": ask["id"], **found}).encode() + b"\n")
                out.flush()

    def end(self) -> None:
        assert self.thread is not None
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def desk() -> Iterator[McpDesk]:
    made = McpDesk({})
    yield made
    made.close()
    made.close()


def old(ask: Json) -> Json | None:
    """A server of the handshake's days."""
    match ask["method"]:
        case "initialize":
            version = ask["params"]["protocolVersion"]
            info = {"name": "x", "version": "1"}
            return {"result": {"protocolVersion": version, "capabilities": {}, "serverInfo": info}}
        case "tools/list":
            return {"result": {"tools": [TOOL]}}
    return {"result": {"content": [{"type": "text", "text": "done"}]}}


def new(ask: Json) -> Json | None:
    """A server that knows the newest version only."""
    more = {"resultType": "complete", "ttlMs": 0, "cacheScope": "public"}
    match ask["method"]:
        case "initialize":
            return {"error": {"code": -32601, "message": "no such method"}}
        case "server/discover":
            return {
                "result": {"supportedVersions": [MODERN], "capabilities": {"tools": {}}, **more}
            }
        case "tools/list":
            return {"result": {"tools": [TOOL], **more}}
    return {"result": {"content": [], "resultType": "complete"}}


def test_a_server_of_the_handshake_tells_its_changes_by_itself(desk: McpDesk) -> None:
    wire = Wire(old)
    session = wire.session(desk)
    session.start(timeout_s=10)
    lives = [session.is_alive]
    assert not session.may_have_changed
    assert [tool["name"] for tool in session.tools(timeout_s=10)] == ["t"]
    session.close()
    session.close()
    wire.end()
    lives.append(session.is_alive)
    assert lives == [True, False]
    assert wire.asked == ["initialize", "notifications/initialized", "tools/list"]


def test_a_server_of_the_newest_version_only_is_asked_again_before_each_call(
    desk: McpDesk,
) -> None:
    wire = Wire(new)
    session = wire.session(desk)
    session.start(timeout_s=10)
    assert session.may_have_changed
    assert [tool["name"] for tool in session.tools(timeout_s=10)] == ["t"]
    assert session.call("t", {}, timeout_s=10)["content"] == []
    session.close()
    wire.end()


def test_a_refused_handshake_is_told_in_the_servers_words(desk: McpDesk) -> None:
    wire = Wire(lambda _: {"error": {"code": -32000, "message": "not\x1b[2J today"}})
    session = wire.session(desk)
    with pytest.raises(ServerFailedError, match=r"^not today$"):
        session.start(timeout_s=10)
    with pytest.raises(ServerFailedError):
        session.call("t", {}, timeout_s=10)
    session.close()
    wire.end()


def test_a_handshake_of_another_version_is_a_failure(desk: McpDesk) -> None:
    def strange(ask: Json) -> Json:
        info = {"name": "x", "version": "1"}
        return {"result": {"protocolVersion": "1999-01-01", "capabilities": {}, "serverInfo": info}}

    wire = Wire(strange)
    session = wire.session(desk)
    with pytest.raises(ServerFailedError):
        session.start(timeout_s=10)
    session.close()
    wire.end()


def test_one_that_was_never_started_is_closed_without_a_word(desk: McpDesk) -> None:
    desk.over_http(
        "http://127.0.0.1:1/",
        {},
        hosts=HostRules.parse(["127.0.0.1"]),
        granted=frozenset(),
        timeout_s=1,
    ).close()


def test_one_that_ends_while_it_is_asked_is_told(desk: McpDesk) -> None:
    wire = Wire(lambda ask: old(ask) if ask["method"] != "tools/call" else None)
    session = wire.session(desk)
    session.start(timeout_s=10)
    with pytest.raises(ServerFailedError, match="has ended") as caught:
        session.call("t", {}, timeout_s=10)
    assert caught.value.is_over
    with pytest.raises(ServerFailedError, match="has ended"):
        session.call("t", {"x": "y" * (1 << 20)}, timeout_s=10)
    session.close()
    wire.end()


def test_one_that_does_not_read_is_not_waited_for(desk: McpDesk) -> None:
    go = threading.Event()

    def slow(ask: Json) -> Json | None:
        if ask["method"] == "tools/call":
            assert go.wait(20)
            return None
        return old(ask)

    wire = Wire(slow)
    session = wire.session(desk)
    session.start(timeout_s=10)
    with pytest.raises(ServerFailedError, match=r"no answer within 0\.2 s"):
        session.call("t", {"x": "y" * (4 << 20)}, timeout_s=0.2)
    go.set()
    session.close()
    wire.end()


# -- over HTTP -------------------------------------------------------------------------


class Web(BaseHTTPRequestHandler):
    """Answers as its server says."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        status, headers, body = self.server.says  # type: ignore[attr-defined]  # the test's own
        self.server.seen.append(dict(self.headers))  # type: ignore[attr-defined]  # the test's own
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def web(status: int, headers: dict[str, str], body: bytes = b"") -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        server.says = (status, headers, body)  # type: ignore[attr-defined]  # the test's own
        server.seen = []  # type: ignore[attr-defined]  # the test's own
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def failure(url: str, headers: dict[str, str] | None = None, **more: Any) -> str:
    thread = LoopThread()
    hosts = more.pop("hosts", HostRules.parse(["127.0.0.1"]))
    facts = {"credentials": {}, "timeout_s": 5, **more}
    session = McpSession(
        thread, HttpStream(url, headers or {}, hosts=hosts, **facts), tells_changes=False
    )
    try:
        with pytest.raises(ServerFailedError) as caught:
            session.start(timeout_s=10)
        return caught.value.reason
    finally:
        session.close()
        thread.close()


def url_of(server: ThreadingHTTPServer, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{server.server_address[1]}/mcp"


def test_a_redirect_to_another_host_is_not_followed() -> None:
    with web(307, {"location": "http://127.0.0.2:1/"}) as server:
        assert failure(url_of(server))
        assert len(server.seen) == 1  # type: ignore[attr-defined]  # the test's own


def test_a_compressed_answer_is_not_unpacked() -> None:
    bomb = gzip.compress(b"0" * 1_000_000)
    with web(200, {"content-type": "application/json", "content-encoding": "gzip"}, bomb) as server:
        assert "compressed" in failure(url_of(server))


def test_an_answer_that_is_no_protocol_is_told() -> None:
    with web(200, {"content-type": "application/json"}, b"[]") as server:
        assert failure(url_of(server))


def test_a_host_that_no_rule_admits_is_not_asked() -> None:
    with web(200, {}) as server:
        told = failure(url_of(server, "localhost"))
        assert told == "the rules do not admit the host 'localhost'"
        assert server.seen == []  # type: ignore[attr-defined]  # the test's own


def test_a_name_that_leads_to_a_private_address_is_not_asked() -> None:
    hosts = HostRules.parse(["*"])
    told = failure(
        "http://mcp.example.com/", hosts=hosts, resolve=lambda _host, _port: ["10.0.0.1"]
    )
    assert "10.0.0.1" in told or "private" in told


def test_a_credential_is_not_sent_in_the_clear_to_a_public_address() -> None:
    hosts = HostRules.parse(["*"])
    told = failure(
        "http://mcp.example.com/",
        {"Authorization": "${credential:T}"},
        hosts=hosts,
        credentials={"T": Credential(value="s3cret-value", hosts=hosts)},
        resolve=lambda _host, _port: ["93.184.216.34"],
    )
    assert told == "a credential is not sent over plain http; use https"


def test_a_header_that_cannot_be_sent_quotes_no_value() -> None:
    with web(200, {}) as server:
        told = failure(url_of(server), {"X-A": "naïve \ud83d"})
    assert told == "a header is not valid"


def test_a_certificate_of_nobody_is_refused() -> None:
    with web(200, {}) as server:
        port = server.server_address[1]
        assert failure(f"https://127.0.0.1:{port}/") == "no connection: TLS failed"
