"""What is an MCP server, as an operator defines it? Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from cleveragents.policy.argument import CREDENTIAL_TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.terms.tool import Effect

SERVERS: Final = "mcpServers"
STARTUP_TIMEOUT_S: Final = 60
"""Some servers are slow to say the first word."""


@dataclass(frozen=True, slots=True)
class ToolRule:
    """What an operator says of one tool, in place of what the server says."""

    effects: frozenset[Effect] | None = None
    """``None``: the server's rule holds."""
    resources: Mapping[str, str] = field(default_factory=dict)
    """Argument name to ``file``, ``file:read``, ``host``, ..."""
    cost_microusd: int = 0


@dataclass(frozen=True, slots=True)
class ServerDefinition:
    """One server, as an operator defined it."""

    name: str
    """Plain: the part of a tool's name before ``__``."""
    kind: Literal["stdio", "http"]
    command: str = ""
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """May hold ``${credential:NAME}``, and values that are secret themselves."""
    directory: str = ""
    """Where it is started; empty: in the workspace."""
    runtime: tuple[str, ...] = ()
    """Further paths of the host that it may read."""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_trusted: bool = False
    """Its tools' annotations are believed."""
    effects: frozenset[Effect] | None = None
    """Of every tool that ``tools`` does not classify; ``None``: annotations or the worst."""
    tools: Mapping[str, ToolRule] = field(default_factory=dict)
    """By the server's own name of the tool."""
    is_writable: bool = False
    """``rw``: behind the gateway it may write where the profile admits it."""
    hosts: tuple[str, ...] = ()
    """Hosts that it may reach where profile and grant admit them too."""
    startup_timeout_s: float = STARTUP_TIMEOUT_S
    timeout_s: float | None = None
    """Of one call; ``None``: the settings say."""
    parallel: int = 1
    """Calls that it can take at the same time."""
    memory_mb: int | None = None
    """Address space of each of its processes; ``None``: the settings say."""
    file: str = ""
    file_digest: str = ""
    """``sha256:...`` of that file: a resumed plan starts the same servers or none."""
    ignored: tuple[str, ...] = ()
    """Keys of other clients that were not obeyed."""

    @property
    def credentials(self) -> tuple[str, ...]:
        """Every credential handle that its environment or headers name."""
        texts = (*self.environment.values(), *self.headers.values())
        found = [name for text in texts for name in CREDENTIAL_TEMPLATE.findall(text)]
        return tuple(dict.fromkeys(found))

    @property
    def where(self) -> str:
        """What errors call it."""
        return f"{self.file}: {SERVERS}.{self.name}"
