"""The gateway over HTTP: who is answered, who is not, and that both are one plan's calls."""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import anyio
import pytest

from cleveragents.assembly.gateway_place import HttpRequest, command_definition, read_http
from cleveragents.errors import ConfigurationError
from cleveragents.gateway.http_front import Guard, HttpPlace, known_names, listen
from tests.gateway.client import TOKEN, Host, hosted, over_http

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.plans.scene import Scene


def typed(address: str, variable: str, names: tuple[str, ...] = ()) -> HttpRequest:
    return HttpRequest(address, token_variable=variable, names=names)


WORDS = ("--safety-profile", "read-only", "--http", "0", "--token-env", "TOKEN")
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"},
    },
}


@pytest.fixture
def host(scene: Scene) -> Iterator[Host]:
    scene.environ["TOKEN"] = TOKEN
    with hosted(scene, *WORDS) as made:
        yield made


def asked(
    host: Host,
    path: str = "/mcp",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Any:
    """Send one request, as it is given here; an empty header is left out."""
    url = urlsplit(host.url)
    link = http.client.HTTPConnection(url.hostname or "", url.port or 0, timeout=20)
    sent = {
        "Host": url.netloc,
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        **(headers or {}),
    }
    try:
        content = json.dumps(HELLO).encode() if body is None else body
        link.request("POST", path, content, {k: v for k, v in sent.items() if v})
        answer = link.getresponse()
        return answer.status, answer.getheader("WWW-Authenticate"), answer.read()
    finally:
        link.close()


def test_a_client_with_the_token_is_served(host: Host) -> None:
    with over_http(host) as talk, over_http(host) as other:
        assert talk.names() == ["read_file", "list_directory", "search_files", "fetch_url"]
        assert talk.call("read_file", path="a.txt").text.startswith("one\n")
        assert other.call("write_file", path="b", content="").is_error
        steps = [(s["id"], s["tool"], s["status"]) for s in talk.status["steps"]]
        assert steps == [("call-1", "read_file", "done"), ("call-2", "write_file", "denied")]
    assert host.end() == 0
    assert host.scene.status(host.plan_id)["state"] == "complete"
    assert host.heard() == b""


def test_it_listens_on_loopback_only(host: Host) -> None:
    url = urlsplit(host.url)
    assert url.hostname == "127.0.0.1"
    name = socket.gethostbyname(socket.gethostname())
    if not name.startswith("127."):
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((name, url.port or 0), timeout=5).close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": TOKEN}, 401),
        ({"Authorization": "Bearer \xff\xfe"}, 401),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1:1"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 400),
    ],
)
def test_who_is_answered(host: Host, headers: dict[str, str], status: int) -> None:
    found, challenge, body = asked(host, headers=headers)
    assert found == status, body
    assert challenge == ("Bearer" if status == 401 else None)
    assert TOKEN.encode() not in body


def test_its_own_origin_is_answered(host: Host) -> None:
    netloc = urlsplit(host.url).netloc
    assert asked(host, headers={"Origin": f"http://{netloc}"})[0] == 200
    assert asked(host, headers={"Origin": f"http://{netloc}.evil.example"})[0] == 403


def test_bodies_and_paths_have_an_end(host: Host) -> None:
    assert asked(host, "/other")[0] == 404
    assert asked(host, body=b"not json")[0] == 400
    url = urlsplit(host.url)
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
    )
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=20) as link:
        # Refused by its length, before a byte of it is sent.
        link.sendall(f"{head}Content-Length: {5 << 20}\r\n\r\n".encode())
        assert b" 413 " in link.recv(200)
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=20) as link:
        # Nothing says how long it is going to be.
        link.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(5):
            link.sendall(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
        assert b" 413 " in link.recv(200)


def test_a_cancel_ends_it_while_clients_are_connected(host: Host) -> None:
    with over_http(host) as talk:
        assert not talk.call("read_file", path="a.txt").is_error
        host.scene.agents("plan", "cancel", host.plan_id, expect=0)
        assert host.process.wait(20) == 1
    assert host.scene.status(host.plan_id)["state"] == "cancelled"


def test_the_token_may_come_from_a_file_that_others_cannot_read(scene: Scene) -> None:
    token = scene.write("token", TOKEN + "\n", mode=0o600)
    words = ("--safety-profile", "read-only", "--http", "127.0.0.1:0", "--token-file", str(token))
    with hosted(scene, *words) as host:
        assert asked(host)[0] == 200
        assert TOKEN not in host.said
        assert TOKEN.encode() not in scene.kept()
    token.chmod(0o644)
    with pytest.raises(ConfigurationError, match="others can read"):
        read_http(HttpRequest("0", token_file=token), {})


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match=r"cannot listen on 127\.0\.0\.1:"):
            listen(HttpPlace("127.0.0.1", taken.getsockname()[1], TOKEN))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("80", "127.0.0.1", 80), ("localhost:1", "127.0.0.1", 1), ("[::1]:8", "::1", 8)],
)
def test_places_to_listen_at(text: str, host: str, port: int) -> None:
    found = read_http(typed(text, "T"), {"T": TOKEN})
    assert (found.host, found.port, found.token) == (host, port, TOKEN)


@pytest.mark.parametrize(
    "request_",
    [
        typed("65536", "T"),
        typed(":8", "T"),
        typed("evil.example:8", "T"),
        typed("8", "SHORT"),
        typed("8", "BLANK"),
        typed("8", "T", names=("a b",)),
        typed("192.0.2.1:8", "T"),
    ],
)
def test_what_is_no_place_or_no_token(request_: HttpRequest) -> None:
    environ = {"T": TOKEN, "SHORT": "abc", "BLANK": "0123456789 abcdef0"}
    with pytest.raises(ConfigurationError):
        read_http(request_, environ)


def test_a_missing_token_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_http(HttpRequest("0", token_file=tmp_path / "none"), {})


def test_other_names_are_known_when_they_are_named() -> None:
    place = HttpPlace("192.0.2.1", 80, TOKEN, ("Tools.example", "proxy.example:8443"))
    assert known_names(place, 80) == {
        "127.0.0.1", "127.0.0.1:80", "localhost", "localhost:80", "[::1]", "[::1]:80",
        "tools.example", "tools.example:80", "proxy.example:8443",
    }  # fmt: skip
    assert "tools.example" not in known_names(place, 8100)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (("npx", "-y", "@modelcontextprotocol/server-filesystem@1.2.0", "."), "server_filesystem"),
        (("uvx", "mcp-server-git"), "mcp_server_git"),
        (("/opt/x/bin/mcp-server-git",), "mcp_server_git"),
        (("python3", "tools/My.Server.py"), "my_server"),
        (("x" * 80,), "x" * 32),
    ],
)
def test_a_server_is_named_by_its_command(line: tuple[str, ...], name: str) -> None:
    assert command_definition(line, is_trusted=False, is_writable=False).name == name


def test_a_command_without_a_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="gives no name"):
        command_definition(("___",), is_trusted=False, is_writable=False)


def test_what_is_no_request_is_not_answered() -> None:
    asked_for: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked_for.append(scope["type"])

    guard = Guard(app, token=TOKEN, names=frozenset({"127.0.0.1:1"}))
    anyio.run(cast("Any", guard), {"type": "websocket"}, None, None)
    assert asked_for == []


def test_a_header_that_is_sent_twice_counts_as_none(host: Host) -> None:
    url = urlsplit(host.url)
    for name, value, status in (
        ("Host", "evil.example", b" 421 "),
        ("Authorization", "Bearer other", b" 401 "),
        ("Origin", f"http://{url.netloc}\r\nOrigin: http://evil.example", b" 403 "),
    ):
        head = (
            f"POST /mcp HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"{name}: {value}\r\nContent-Length: 0\r\n\r\n"
        )
        with socket.create_connection((url.hostname or "", url.port or 0), timeout=20) as link:
            link.sendall(head.encode())
            answer = link.recv(400)
            # The server's own parser may be stricter than ours.
            assert status in answer or b" 400 " in answer, answer
