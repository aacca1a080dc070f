"""What the gateway adds to one call of an MCP server, against the same server asked directly.

Both are asked by the official client over stdio, in turns, in the same run.
What must be reached: <= 1 ms at the median on top of the direct server.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from anyio.from_thread import start_blocking_portal
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

ROUNDS = 400
WARM = 40
AGENTS = Path(sys.executable).with_name("agents")
SERVER = Path(__file__).resolve().parents[1] / "tests/gateway/tool_server.py"
PATH = "/usr/local/bin:/usr/bin:/bin"


async def _timed(client: Client, tool: str) -> float:
    start = time.perf_counter()
    result = await client.call_tool(tool, {})
    took = time.perf_counter() - start
    assert not result.is_error, result
    return took


class GatewayCall:
    """Milliseconds of one call; the direct server and the gateway are asked in turns."""

    timeout = 300

    def setup(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="gateway-bench-", dir="/var/tmp"))
        self.root.chmod(0o755)
        work = self.root / "work"
        work.mkdir()
        (work / "a.txt").write_text("one\n")
        script = self.root / "server/tool_server.py"
        script.parent.mkdir()
        shutil.copy(SERVER, script)
        server = {"command": sys.executable, "args": [str(script)], "trusted": True}
        config = self.root / "servers.json"
        config.write_text(json.dumps({"mcpServers": {"own": server}}))
        environment = {
            "PATH": PATH,
            "HOME": str(self.root),
            "CLEVERAGENTS_HOME": str(self.root / "home"),
            "CLEVERAGENTS_CELL_ROOT": str(self.root / "cells"),
        }
        serve = ["mcp", "serve", "--safety-profile", "read-only", "--config", str(config)]
        self.stack = ExitStack()
        self.portal: BlockingPortal = self.stack.enter_context(start_blocking_portal())
        self.log = self.stack.enter_context((self.root / "log").open("w"))
        self.direct = self._connect(
            StdioServerParameters(command=sys.executable, args=[str(script)], cwd=work)
        )
        self.gateway = self._connect(
            StdioServerParameters(command=str(AGENTS), args=serve, env=environment, cwd=work)
        )

    def teardown(self) -> None:
        self.stack.close()
        shutil.rmtree(self.root)

    def _connect(self, parameters: StdioServerParameters) -> Client:
        transport = stdio_client(parameters, errlog=self.log)
        return self.stack.enter_context(self.portal.wrap_async_context_manager(Client(transport)))

    def _medians(self, direct_tool: str, tool: str) -> tuple[float, float]:
        async def run() -> tuple[list[float], list[float]]:
            direct, through = [], []
            for number in range(WARM + ROUNDS):
                one = await _timed(self.direct, direct_tool)
                other = await _timed(self.gateway, tool)
                if number >= WARM:
                    direct.append(one)
                    through.append(other)
            return direct, through

        direct, through = self.portal.call(run)
        return statistics.median(direct) * 1000, statistics.median(through) * 1000

    def track_added_ms(self) -> float:
        """Gateway minus direct, at the median."""
        direct, through = self._medians("quick", "own__quick")
        return through - direct

    track_added_ms.unit = "ms"  # type: ignore[attr-defined]  # read by asv


def main() -> None:
    bench = GatewayCall()
    bench.setup()
    try:
        direct, through = bench._medians("quick", "own__quick")
        added = through - direct
        sys.stdout.write(f"direct {direct:.2f} ms, gateway {through:.2f}, added {added:.2f}\n")
    finally:
        bench.teardown()


if __name__ == "__main__":
    main()
