"""What a tool is: a name, a schema, its effects and the resources it names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

TOOL_NAME: Final = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)
"""Plain names go to every model provider unencoded (design, section 4)."""


class Effect(StrEnum):
    """What a tool may do to the world. A tool that declares none has all."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    NETWORK = "network"
    EXECUTE = "execute"
    SPAWN = "spawn"


ALL_EFFECTS: Final = frozenset(Effect)

ResourceKind = Literal["file", "host", "credential", "plan", "tool"]
Access = Literal["read", "write", "delete", "use"]
Place = Literal["cell", "host", "door"]
"""Where the body runs: in the cell, in the host's broker, or in the door itself (spawn)."""
Origin = Literal["builtin", "own", "mcp"]


@dataclass(frozen=True, slots=True)
class ResourceArgument:
    """An argument whose value names a resource."""

    argument: str
    kind: ResourceKind
    access: Access


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool as the registry knows it; never its body."""

    name: str
    description: str
    parameters: Mapping[str, object]
    """JSON Schema of the arguments object; ``additionalProperties`` is false."""
    effects: frozenset[Effect] = ALL_EFFECTS
    resources: tuple[ResourceArgument, ...] = ()
    place: Place = "cell"
    origin: Origin = "builtin"
    source: str = ""
    """Host path of the file that defines an own tool, or the MCP server's name."""
    source_digest: str = ""
    """Digest of that file; a replay under another digest is refused."""
    cost_microusd: int = 0
    """Declared price of one call, in millionths of a US dollar."""
    defaults: Mapping[str, object] = field(default_factory=dict)
    """Values filled in for absent arguments before anything is decided."""
    reaches: tuple[str, ...] = ()
    """Resources that every call uses, such as ``host:api.example.com``, ``credential:TOKEN``."""
    root: str = ""
    """Path of the host that stands for the workspace in arguments; empty: none does."""
    shown: Mapping[str, object] = field(default_factory=dict)
    """What an MCP server says of it for other programs: ``title``, ``outputSchema``, hints."""
