"""The MCP conformance suite before the installed gateway: a relay that it can talk to, and its run.

The suite sends no token and calls a tool by its bare name, where the gateway
names it by its server. The relay puts both right and leaves everything else
as it is: methods, ``Host``, ``Origin``, status, and each event as it comes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.gateway.client import TOKEN
from tests.gateway.everything_server import SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHECKOUT = Path(__file__).resolve().parents[2]
SERVER = "everything"
PREFIX = f"{SERVER}__"
RUN_TIMEOUT_S = 120
_HOP = frozenset({"connection", "content-length", "transfer-encoding", "keep-alive"})
_FOLDER = re.compile(r"^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z?$")


class Relay(ThreadingHTTPServer):
    """A port of its own in front of a gateway; ``url`` is what the suite is given."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Passage)
        self.upstream = ""

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.name}/mcp"


class _Passage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Relay

    def handle(self) -> None:
        # A client that resets its connection has heard enough.
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
        pass

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        link = HTTPConnection(urlsplit(self.server.upstream).netloc, timeout=60)
        try:
            sent = _named(body)
            link.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP:
                    link.putheader(name, _named_header(name, value))
            link.putheader("Authorization", f"Bearer {TOKEN}")
            link.putheader("Content-Length", str(len(sent)))
            link.endheaders(sent)
            with suppress(BrokenPipeError, ConnectionResetError, HTTPException, TimeoutError):
                self._answer(link.getresponse())
        finally:
            link.close()

    def _answer(self, answer: HTTPResponse) -> None:
        is_stream = "text/event-stream" in (answer.getheader("Content-Type") or "")
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        if not is_stream:
            body = _unnamed(answer.read())
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while line := _unnamed(answer.readline()):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    do_POST = do_GET = do_DELETE = do_OPTIONS = _pass_on  # noqa: N815  # the library's names


def _named(body: bytes) -> bytes:
    try:
        message = json.loads(body)
        name = message["params"]["name"] if message["method"] == "tools/call" else ""
    except (ValueError, KeyError, TypeError):
        return body
    if name not in SCHEMAS:
        return body
    message["params"]["name"] = PREFIX + name
    return json.dumps(message).encode()


def _named_header(name: str, value: str) -> str:
    if name.lower() == "mcp-name" and value.strip() in SCHEMAS:
        return value.replace(value.strip(), PREFIX + value.strip())
    return value


def _unnamed(body: bytes) -> bytes:
    return body.replace(PREFIX.encode(), b"")


@contextmanager
def relaying() -> Iterator[Relay]:
    """Open a relay; close it after what is behind it has ended."""
    relay = Relay()
    thread = threading.Thread(target=relay.serve_forever, name="relay")
    thread.start()
    try:
        yield relay
    finally:
        relay.shutdown()
        relay.server_close()
        thread.join()


@dataclass(frozen=True)
class Verdict:
    """One check of one scenario."""

    scenario: str
    check: str
    status: str
    reason: str


def suite() -> Path:
    """The suite that ``scripts/test`` installs; its absence is a failure, never a skip."""
    place = Path(os.environ.get("MCP_CONFORMANCE") or CHECKOUT / "build/mcp-conformance")
    program = place / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
    if not program.exists():
        pytest.fail(f"{program} is not installed: scripts/test installs it")
    return program


def run_suite(url: str, revision: str, place: Path, environ: Mapping[str, str]) -> list[Verdict]:
    """Run every server scenario of a revision of the specification; gives each check's end."""
    done = subprocess.run(
        [
            *("node", "--import", str(Path(__file__).with_name("older_node.mjs")), str(suite())),
            *("server", "--url", url, "--requirements", revision, "--output-dir", str(place)),
        ],
        cwd=place,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    found = [
        Verdict(_scenario(file), check["id"], check["status"], check.get("errorMessage") or "")
        for file in sorted(place.glob("*/checks.json"))
        for check in json.loads(file.read_text(encoding="utf-8"))
    ]
    assert found, f"{done.stdout}\n{done.stderr}"
    return found


def _scenario(file: Path) -> str:
    matched = _FOLDER.match(file.parent.name)
    assert matched is not None, file
    return matched[1]
