"""The official MCP client before the installed ``agents mcp serve``, for tests without a loop."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from tests.plans.scene import TIMEOUT_S, Scene, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from mcp_types import CallToolResult

TOKEN = "a-token-of-the-tests-0123456789"


@dataclass(frozen=True)
class Answer:
    """What a call gave its client."""

    text: str
    is_error: bool

    @classmethod
    def of(cls, result: CallToolResult) -> Answer:
        return cls("\n".join(one.text for one in result.content), bool(result.is_error))  # type: ignore[union-attr]  # text is all that it gives


class Talk:
    """One client of one gateway."""

    def __init__(self, scene: Scene, portal: BlockingPortal, client: Client, log: Path) -> None:
        self.scene = scene
        self.portal = portal
        self.client = client
        self._log = log

    @property
    def said(self) -> str:
        """What the gateway has written for people."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def plan_id(self) -> str:
        """Its plan."""
        found = re.search(r"plan (\w{26}) serves", self.said)
        assert found is not None, self.said
        return found[1]

    @property
    def status(self) -> Any:
        """Its plan's status, while it serves."""
        return self.scene.status(self.plan_id)

    def names(self) -> list[str]:
        """The tools that are listed."""
        return [tool.name for tool in self.portal.call(self.client.list_tools).tools]

    def call(self, tool: str, /, **arguments: Any) -> Answer:
        """Call a tool and wait for its end."""
        return Answer.of(self.portal.call(self.client.call_tool, tool, arguments))

    def start(self, tool: str, /, **arguments: Any) -> Future[CallToolResult]:
        """Call a tool and do not wait."""
        return self.portal.start_task_soon(self.client.call_tool, tool, arguments)


def words_of(*words: str) -> tuple[str, ...]:
    return ("mcp", "serve", *words)


@contextmanager
def talking(scene: Scene, *words: str, cwd: Path | None = None) -> Iterator[Talk]:
    """Serve the scene's directory, or the current one, on stdio and connect."""
    where = () if cwd else ("--workspace", str(scene.work))
    command, *arguments = scene.argv(*words_of(*where, *words))
    parameters = StdioServerParameters(
        command=command, args=arguments, env=scene.environment, cwd=cwd or scene.place
    )
    log = scene.place / "gateway.log"
    with ExitStack() as stack:
        said = stack.enter_context(log.open("w", encoding="utf-8"))
        portal = stack.enter_context(start_blocking_portal())
        stack.callback(lambda: sys.stderr.write(log.read_text(errors="replace")))
        client = stack.enter_context(
            portal.wrap_async_context_manager(Client(stdio_client(parameters, errlog=said)))
        )
        yield Talk(scene, portal, client, log)


class Host:
    """A gateway that was started by hand, to be ended by hand."""

    def __init__(self, scene: Scene, *words: str) -> None:
        self.scene = scene
        self.log = scene.place / "host.log"
        self._said = self.log.open("w", encoding="utf-8")
        self.process = subprocess.Popen(
            scene.argv(*words_of("--workspace", str(scene.work), *words)),
            cwd=scene.place,
            env=scene.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        wait_until(lambda: " serves MCP " in self.said or self.is_over, "a gateway that serves")

    @property
    def is_over(self) -> bool:
        return self.process.poll() is not None

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def plan_id(self) -> str:
        found = re.search(r"plan (\w{26}) serves", self.said)
        assert found is not None, self.said
        return found[1]

    @property
    def url(self) -> str:
        found = re.search(r"at (http://\S+);", self.said)
        assert found is not None, self.said
        return found[1]

    def send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def heard(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit code."""
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT_S)

    def close(self) -> None:
        if not self.is_over:
            self.process.terminate()
            try:
                self.process.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(TIMEOUT_S)
        for stream in (self.process.stdin, self.process.stdout, self._said):
            if stream is not None:
                stream.close()


@contextmanager
def hosted(scene: Scene, *words: str) -> Iterator[Host]:
    """Serve, and leave nothing of it."""
    host = Host(scene, *words)
    try:
        yield host
    finally:
        host.close()


@contextmanager
def over_http(host: Host, token: str = TOKEN) -> Iterator[Talk]:
    """Connect to a gateway over HTTP."""
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {token}"}, timeout=httpx2.Timeout(30)
        )
        stack.enter_context(portal.wrap_async_context_manager(http))
        transport = streamable_http_client(host.url, http_client=http)
        client = stack.enter_context(portal.wrap_async_context_manager(Client(transport)))
        yield Talk(host.scene, portal, client, host.log)
