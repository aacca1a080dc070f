"""Opens MCP sessions: over the pipes of a cell, or over HTTP from the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.tools.broker.mcp_http import HttpStream
from cleveragents.tools.broker.mcp_session import LoopThread, McpSession
from cleveragents.tools.broker.mcp_stream import PipeStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.tools.broker.address import HostPredicate
    from cleveragents.tools.broker.credential import Credential


class McpDesk:
    """The sessions of one plan; one thread with one event loop carries them all.

    Args:
        credentials: Every declared credential by its handle.
    """

    def __init__(self, credentials: Mapping[str, Credential]) -> None:
        self._credentials = credentials
        self._thread = LoopThread()

    def over_pipes(self, reading: int, writing: int) -> McpSession:
        """A session over a server's standard output and input; both descriptors are taken."""
        return McpSession(self._thread, PipeStream(reading, writing), tells_changes=True)

    def over_http(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        hosts: HostPredicate,
        granted: frozenset[str],
        timeout_s: float,
    ) -> McpSession:
        """A session with a server behind a URL.

        Args:
            url: Of the server.
            headers: May name credentials.
            hosts: What the plan may ask.
            granted: Handles that the plan was handed.
            timeout_s: Of one request as a whole.
        """
        # INVARIANT: only what the plan's grant holds; the gate has refused the rest.
        credentials = {n: c for n, c in self._credentials.items() if n in granted}
        stream = HttpStream(url, headers, hosts=hosts, credentials=credentials, timeout_s=timeout_s)
        return McpSession(self._thread, stream, tells_changes=False)

    def close(self) -> None:
        """End the loop; every session was closed before."""
        self._thread.close()
