"""The MCP servers of one plan, or of one gateway: started when needed, asked, ended.

A stdio server runs in a cell of its own, made of what ``spec_of`` says; a
server behind a URL is asked by the host. Whatever a server does (floods,
hangs, dies, answers too much, presents other tools than were approved) ends as
one failed or refused call, and the plan goes on.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from cleveragents.runtime.server_ground import Ground
from cleveragents.runtime.server_seat import ServerSeat
from cleveragents.terms.resource import WORKSPACE
from cleveragents.tools.mcp_spec import specs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cleveragents.boundary.cell_spec import CellSpec
    from cleveragents.config.mcp_server import ServerDefinition
    from cleveragents.runtime.server_ground import ServerDesk
    from cleveragents.terms.tool import ToolSpec
    from cleveragents.tools.mcp_spec import PinnedServer

__all__ = ["Ground", "ToolServers"]

MAX_STARTS: Final = 8
"""Servers that are started at the same time to be asked what they offer."""


class ToolServers:
    """The servers of one plan. Thread-safe.

    Args:
        definitions: The servers, as the operator defined them.
        ground: What they are started with.
        spec_of: Mounts and limits of a stdio server's cell, looked at for each start.
        pinned: Their tools as they were approved; ``None``: they are
            started and asked at the first need.
    """

    def __init__(
        self,
        definitions: Iterable[ServerDefinition],
        *,
        ground: Ground,
        spec_of: Callable[[ServerDefinition], CellSpec],
        pinned: Iterable[PinnedServer] | None = None,
    ) -> None:
        self._ground = ground
        self._desk: ServerDesk | None = None
        self._lock = threading.Lock()
        self._desk_lock = threading.Lock()
        self._servers = {
            definition.name: ServerSeat(definition, ground, spec_of, self._opened_desk)
            for definition in definitions
        }
        self._pinned: dict[str, PinnedServer] | None = None
        if pinned is not None:
            self._pinned = {one.name: one for one in pinned}
            for name, server in self._servers.items():
                server.pinned = self._pinned[name]

    def learn(self) -> tuple[PinnedServer, ...]:
        """Start each server once, read what it offers, and fix it.

        Those in cells run on until they are called, paused or closed.

        Raises:
            ConfigurationError: A server is not found, does not start, or
                offers what cannot be told apart.
            IsolationUnavailableError: There is no wall for it.
        """
        with self._lock:
            if self._pinned is None:
                with ThreadPoolExecutor(MAX_STARTS, "mcp-start") as pool:
                    found = list(pool.map(ServerSeat.learn, self._servers.values()))
                self._pinned = {one.name: one for one in found}
            return tuple(self._pinned.values())

    def specs(self) -> tuple[ToolSpec, ...]:
        """Every tool that they offer, as a plan may call it.

        Raises:
            ConfigurationError: As ``learn``; or the operator's words
                about a tool contradict each other.
        """
        root = "" if self._ground.root == WORKSPACE else self._ground.root
        found: list[ToolSpec] = []
        for pinned in self.learn():
            found += specs_of(self._servers[pinned.name].definition, pinned, root=root)
        return tuple(found)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the servers' files and lists does not count, a sentence each."""
        ignored = [
            f"MCP server {one.definition.name!r}: {', '.join(one.definition.ignored)} of its"
            " file are not obeyed"
            for one in self._servers.values()
            if one.definition.ignored
        ]
        refused = [text for pinned in self._pinned or () for text in self._refused(pinned)]
        return (*ignored, *refused)

    def call(
        self, spec: ToolSpec, arguments: Mapping[str, object], *, timeout_s: float
    ) -> Mapping[str, object]:
        """Call a tool of a server; it is started when it does not run.

        Args:
            spec: One of ``specs``.
            arguments: Prepared: paths are relative to the workspace.
            timeout_s: Of the call, where the server's definition says nothing.

        Raises:
            ToolFailedError: The tool or its server failed.
            ToolAccessDeniedError: The server offers other tools than were approved.
            RecordError: The server's cell does not end.
        """
        server = self._servers[spec.source]
        tool = next(one for one in server.pinned_tools if one.name == spec.name)
        return server.call(spec, tool, arguments, timeout_s=timeout_s)

    def pause(self) -> None:
        """End every server and wait until it is dead; the next call starts it again.

        Raises:
            RecordError: A cell does not end.
        """
        for server in self._servers.values():
            server.end("the server was ended")

    def end_now(self) -> None:
        """End every server under whatever it does, for good; without waiting."""
        for server in self._servers.values():
            server.kill()

    def close(self) -> None:
        """End every server, and what spoke to them.

        Raises:
            RecordError: A cell does not end.
        """
        try:
            self.pause()
        finally:
            with self._desk_lock:
                desk, self._desk = self._desk, None
            if desk is not None:
                desk.close()

    def _refused(self, name: str) -> tuple[str, ...]:
        return () if self._pinned is None else self._pinned[name].refused

    def _opened_desk(self) -> ServerDesk:
        # Not the other lock: whoever learns holds that one while the servers are started.
        with self._desk_lock:
            if self._desk is None:
                self._desk = self._ground.open_desk()
            return self._desk
