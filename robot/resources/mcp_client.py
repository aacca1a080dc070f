"""Keywords of an MCP client on stdio: lines of JSON, without any library of the protocol."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Any

from robot.api import Failure
from robot.api.deco import keyword, library
from robot.libraries.BuiltIn import BuiltIn

TIMEOUT_S = 60


@library(scope="TEST", auto_keywords=False)
class mcp_client:  # noqa: N801  # robot finds the class by the module's name
    """One gateway over the directory of ``agents_command``."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._number = 0

    @keyword
    def a_gateway(self, *arguments: str) -> None:
        """Serve the directory and shake hands."""
        agents: Any = BuiltIn().get_library_instance("agents_command")
        argv, environment, directory = agents.command_of("mcp", "serve", *arguments)
        # Open for as long as the gateway runs.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            argv,
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        client = {"name": "robot", "version": "0"}
        self._ask(
            "initialize",
            {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client},
        )
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    @keyword
    def listed_tools(self) -> list[str]:
        """The names of the tools."""
        return [tool["name"] for tool in self._ask("tools/list", {})["tools"]]

    @keyword
    def call_a_tool(self, name: str, **arguments: str) -> Any:
        """Call a tool; gives the result."""
        return self._ask("tools/call", {"name": name, "arguments": arguments})

    @keyword
    def the_gateways_plan(self) -> str:
        """The id that it said."""
        found = re.search(rb"plan (\w{26}) serves", self._said())
        if found is None:
            raise Failure(self._said().decode())
        return found[1].decode()

    @keyword
    def the_gateway_should_end_with(self, code: str) -> None:
        """Wait for its end."""
        if self._running.wait(TIMEOUT_S) != int(code):
            raise Failure(f"exit code {self._running.returncode}: {self._said().decode()}")

    @keyword
    def end_the_gateway(self) -> None:
        """Leave, as a client does, and wait; nothing when there is none."""
        if self._process is None:
            return
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait(TIMEOUT_S)
        self._process = None
        if self._log is not None:
            self._log.close()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise Failure("'A Gateway' comes first")
        return self._process

    def _said(self) -> bytes:
        if self._log is None:
            return b""
        place = Path(f"/proc/self/fd/{self._log.fileno()}")
        return place.read_bytes()

    def _send(self, message: dict[str, Any]) -> None:
        stdin = self._running.stdin
        if stdin is None:
            raise Failure("no pipe")
        stdin.write(json.dumps(message).encode() + b"\n")
        stdin.flush()

    def _ask(self, method: str, params: dict[str, Any]) -> Any:
        self._number += 1
        self._send({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        stdout = self._running.stdout
        line = stdout.readline() if stdout is not None else b""
        if not line:
            raise Failure(f"the gateway has ended: {self._said().decode()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failure(str(answer["error"]))
        return answer["result"]
