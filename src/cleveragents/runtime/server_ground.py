"""What MCP servers are started with, and what the runtime knows of who speaks to them.

The protocol's library is known to one room only; here stands what it has to do.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cleveragents.terms.resource import WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cleveragents.boundary.cell import CellLauncher
    from cleveragents.runtime.server_process import Serve


class HostPredicate(Protocol):
    """What the grant and the profiles together say of hosts."""

    def admits(self, host: str) -> bool:
        """Say whether a host may be asked."""

    def names_exactly(self, host: str) -> bool:
        """Say whether a rule names exactly this host."""


class ServerLine(Protocol):
    """A session with one running server."""

    @property
    def is_alive(self) -> bool:
        """Say whether another question can be asked."""

    @property
    def may_have_changed(self) -> bool:
        """Say whether the list of tools has to be read again."""

    def start(self, *, timeout_s: float) -> None:
        """Shake hands."""

    def tools(self, *, timeout_s: float) -> list[dict[str, object]]:
        """Read the list of tools."""

    def call(
        self, tool: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> dict[str, object]:
        """Call a tool."""

    def close(self) -> None:
        """End the session."""


class ServerDesk(Protocol):
    """Who opens sessions; the only one that knows the protocol."""

    def over_pipes(self, reading: int, writing: int) -> ServerLine:
        """A session over a server's output and input."""

    def over_http(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        hosts: HostPredicate,
        granted: frozenset[str],
        timeout_s: float,
    ) -> ServerLine:
        """A session with a server behind a URL."""

    def close(self) -> None:
        """End what carries the sessions."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What servers are started with."""

    launcher: CellLauncher
    open_desk: Callable[[], ServerDesk]
    """Called at the first start: what speaks the protocol is dear to load."""
    environ: Mapping[str, str]
    """The operator's: where commands are looked for."""
    values: Mapping[str, str]
    """Values of the credentials that were handed on, by handle."""
    hosts: HostPredicate
    call_timeout_s: float
    private: tuple[Path, ...] = ()
    """Places of the host that no server is shown: record, base trees."""
    root: str = WORKSPACE
    """The user's own path of the workspace, where the cells show it too."""
    serve: Serve | None = None
    """Serves the port of a cell that has a network."""
    is_whole: bool = False
    """Answers are kept as they are, pictures included: another client is given them again."""
    guard: AbstractContextManager[object] = field(default_factory=nullcontext)
    """Held while a stdio server is started: the workspace is not let go under it."""
