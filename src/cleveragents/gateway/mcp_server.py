"""The MCP server that a client talks to: it lists what may be called, and asks the desk.

Prompts, resources and everything else of the protocol are not offered: there
is no door for them here.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from cleveragents.gateway.live_hands import Turn
from cleveragents.gateway.progress import relayed_progress
from cleveragents.gateway.rendering import answer_of, tool_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp.server import ServerRequestContext

    from cleveragents.gateway.call_desk import CallDesk
    from cleveragents.terms.tool import ToolSpec

MAX_THREADS: Final = 32
"""Calls that are on their way at the same time; more of them wait."""
MAX_CALLS: Final = 512
"""Calls that wait or are on their way; more are turned away."""


class Gateway:
    """One server; any number of clients may be connected to it.

    Args:
        name: What clients call it.
        version: Ours.
        instructions: What a client's model should know about it.
        tools: Those that may be called at all.
    """

    def __init__(
        self, *, name: str, version: str, instructions: str, tools: Iterable[ToolSpec]
    ) -> None:
        self._tools = {tool.name: tool for tool in map(tool_of, tools)}
        self._listed = types.ListToolsResult(tools=list(self._tools.values()))
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="gateway")
        self._under_way = 0
        self._desk: CallDesk | None = None
        self.server: Server[dict[str, Any]] = Server(
            name,
            version=version,
            instructions=instructions,
            on_list_tools=self._list,
            on_call_tool=self._call,
        )
        # The SDK's own tracing costs each call; what happened is in the record.
        self.server.middleware.clear()

    def open(self, desk: CallDesk) -> None:
        """Take calls from now on."""
        self._desk = desk

    def close(self) -> None:
        """Wait for the calls that are on their way; their outcome is recorded."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _list(
        self, context: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        del context, params
        return self._listed

    async def _call(
        self, context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        desk = self._desk
        if desk is None or self._under_way >= MAX_CALLS:
            return _failed(f"busy: {self._under_way} calls are waiting; ask again later")
        turn = Turn()
        self._under_way += 1
        try:
            async with relayed_progress(context) as run:
                told = await asyncio.get_running_loop().run_in_executor(
                    self._threads, run, desk.call, params.name, params.arguments or {}, turn
                )
        except asyncio.CancelledError:
            # The call ends and its outcome is recorded; there is nobody to tell any more.
            turn.cancel("the client cancelled the call or went away")
            raise
        finally:
            self._under_way -= 1
        if told.is_unknown:
            raise MCPError(types.INVALID_PARAMS, told.problem)
        is_modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
        return answer_of(told, self._tools.get(params.name), is_modern=is_modern)


def _failed(problem: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=problem)], is_error=True)
