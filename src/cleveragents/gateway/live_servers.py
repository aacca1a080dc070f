"""MCP servers over live directories, started anew when a hidden file was replaced."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cleveragents.boundary.live_directory import marks_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cleveragents.boundary.cell_spec import LiveMount
    from cleveragents.runtime.tool_server import ToolServers
    from cleveragents.terms.tool import ToolSpec


class LiveServers:
    """The servers of a gateway; implements the door's ``Servers``.

    Args:
        servers: They themselves.
        watch: What their cells were started over.
    """

    def __init__(self, servers: ToolServers, watch: MountWatch) -> None:
        self._servers = servers
        self._watch = watch

    def call(
        self, spec: ToolSpec, arguments: Mapping[str, object], *, timeout_s: float
    ) -> Mapping[str, object]:
        """Call a tool of a server.

        Raises:
            ToolFailedError: The tool or its server failed.
            ToolAccessDeniedError: The server offers other tools than were approved.
        """
        if self._watch.has_changed():
            self._servers.pause()
        return self._servers.call(spec, arguments, timeout_s=timeout_s)


class MountWatch:
    """Remembers which files the hidden paths of running cells lie on. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started: list[tuple[Sequence[LiveMount], tuple[tuple[int, int], ...]]] = []

    def note(self, mounts: Sequence[LiveMount]) -> None:
        """Remember what a cell is being started over."""
        with self._lock:
            self._started.append((mounts, marks_of(mounts)))

    def has_changed(self) -> bool:
        """Say whether a hidden file was replaced since; then nothing is remembered any more."""
        with self._lock:
            changed = any(marks_of(mounts) != marks for mounts, marks in self._started)
            if changed:
                self._started.clear()
            return changed
