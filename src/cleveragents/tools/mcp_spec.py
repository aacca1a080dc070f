"""From what an MCP server says of its tools to tools as our registry knows them, pinned.

The names that a plan may call, what a model reads of them and what they take
are fixed when the plan starts, and stored with it. A server that says
something else later is not called any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from cleveragents.errors import ConfigurationError
from cleveragents.policy.condition import compile_parameters
from cleveragents.policy.host_rule import host_of_url
from cleveragents.terms.digest import digest_value
from cleveragents.terms.tool import TOOL_NAME, Effect, ToolSpec
from cleveragents.tools.declaration import declare
from cleveragents.tools.mcp_schema import UnfitError, fit_schema
from cleveragents.tools.mcp_text import MAX_DESCRIPTION_CHARS, plain_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cleveragents.config.mcp_server import ServerDefinition, ToolRule

MAX_TOOLS: Final = 256
"""Of one server; a longer list refuses the server."""
WORST: Final = frozenset(Effect) - {Effect.SPAWN}
"""What a tool may do of which nobody trusted says otherwise. None of them makes a subplan."""
_HINTS: Final = ("readOnlyHint", "destructiveHint", "openWorldHint")
_PINNED_KEYS: Final = (
    "name", "title", "description", "inputSchema", "outputSchema", "annotations",
)  # fmt: skip
_MAX_TITLE_CHARS: Final = 200
_SEPARATOR: Final = "__"


@dataclass(frozen=True, slots=True)
class PinnedTool:
    """One tool, as it was when the plan started."""

    name: str
    """``<server>__<tool>``, plain."""
    original: str
    """The server's own name of it."""
    description: str
    parameters: Mapping[str, object]
    hints: Mapping[str, bool] = field(default_factory=dict)
    shown: Mapping[str, object] = field(default_factory=dict)
    """``title``, ``outputSchema`` and ``idempotentHint`` where it says them, made harmless."""
    digest: str = ""
    """Of everything that the server said of it, word for word."""


@dataclass(frozen=True, slots=True)
class PinnedServer:
    """One server's tools, as they were when the plan started."""

    name: str
    kind: str
    file: str
    file_digest: str
    tools: tuple[PinnedTool, ...]
    digest: str
    """Of the whole list, refused tools included."""
    refused: tuple[str, ...] = ()
    """A sentence for each tool that is not offered."""


def pin(definition: ServerDefinition, listed: Iterable[Mapping[str, object]]) -> PinnedServer:
    """Fix what a server offers.

    Args:
        definition: The server.
        listed: Its tools, as the protocol's JSON.

    Raises:
        ConfigurationError: It offers too many, or the operator classifies a
            tool that it does not have.
    """
    raw = list(listed)
    if len(raw) > MAX_TOOLS:
        raise ConfigurationError(
            problem=f"the MCP server {definition.name!r} offers more than {MAX_TOOLS} tools",
            where=definition.where,
        )
    originals = {str(tool.get("name")) for tool in raw}
    for name in definition.tools:
        if name not in originals:
            raise ConfigurationError(
                problem=f"the MCP server {definition.name!r} has no tool {name!r}",
                where=f"{definition.where}.tools",
                hint="it has " + plain_text(", ".join(sorted(originals)), 200, is_line=True),
            )
    counted = Counter(_full_name(definition.name, tool.get("name")) for tool in raw)
    tools: list[PinnedTool] = []
    refused: list[str] = []
    for tool in raw:
        try:
            tools.append(_pinned(definition, tool, counted))
        except UnfitError as error:
            shown = plain_text(str(tool.get("name")), 64, is_line=True)
            refused.append(
                f"MCP server {definition.name!r}: tool '{shown}' is not offered: {error}"
            )
    return PinnedServer(
        name=definition.name,
        kind=definition.kind,
        file=definition.file,
        file_digest=definition.file_digest,
        tools=tuple(tools),
        digest=list_digest(raw),
        refused=tuple(refused),
    )


def list_digest(listed: Iterable[Mapping[str, object]]) -> str:
    """Digest of a server's list of tools; its order says nothing."""
    return digest_value(sorted(_tool_digest(tool) for tool in listed))


def specs_of(
    definition: ServerDefinition, pinned: PinnedServer, *, root: str
) -> tuple[ToolSpec, ...]:
    """Give a pinned server's tools as the registry knows them.

    Args:
        definition: What the operator says of the server.
        pinned: What the server said of itself.
        root: The user's own path of the workspace.

    Raises:
        ConfigurationError: What the operator says of a tool contradicts itself.
    """
    return tuple(_spec(definition, tool, root) for tool in pinned.tools)


def to_mapping(pinned: PinnedServer) -> dict[str, object]:
    """Plain JSON, for the record."""
    return {
        "name": pinned.name,
        "kind": pinned.kind,
        "file": pinned.file,
        "file_digest": pinned.file_digest,
        "digest": pinned.digest,
        "tools": [
            {
                "name": tool.name,
                "original": tool.original,
                "description": tool.description,
                "parameters": tool.parameters,
                "hints": dict(tool.hints),
                "shown": dict(tool.shown),
                "digest": tool.digest,
            }
            for tool in pinned.tools
        ],
    }


def pinned_from_mapping(raw: Mapping[str, object]) -> PinnedServer:
    """The reverse of ``to_mapping``.

    Raises:
        KeyError: It is not what ``to_mapping`` made.
    """
    tools = cast("list[Mapping[str, object]]", raw["tools"])
    return PinnedServer(
        name=str(raw["name"]),
        kind=str(raw["kind"]),
        file=str(raw["file"]),
        file_digest=str(raw["file_digest"]),
        digest=str(raw["digest"]),
        tools=tuple(
            PinnedTool(
                name=str(tool["name"]),
                original=str(tool["original"]),
                description=str(tool["description"]),
                parameters=cast("Mapping[str, object]", tool["parameters"]),
                hints=cast("Mapping[str, bool]", tool["hints"]),
                shown=cast("Mapping[str, object]", tool["shown"]),
                digest=str(tool["digest"]),
            )
            for tool in tools
        ),
    )


def _full_name(server: str, raw: object) -> str:
    text = str(raw)
    plain = "".join("_" if c in "-./ " else c for c in text).lower() if text.isascii() else text
    return f"{server}{_SEPARATOR}{plain}"


def _pinned(
    definition: ServerDefinition, tool: Mapping[str, object], counted: Counter[str]
) -> PinnedTool:
    original = tool.get("name")
    name = _full_name(definition.name, original)
    if not isinstance(original, str) or not TOOL_NAME.fullmatch(name) or name.endswith(_SEPARATOR):
        raise UnfitError("its name is not made of letters, digits and '_', or is too long")
    if counted[name] > 1:
        # Neither: whichever was taken would stand in the other's place.
        raise UnfitError(f"another tool would be named {name!r} too")
    annotations = tool.get("annotations")
    hints = annotations if isinstance(annotations, Mapping) else {}
    pinned = PinnedTool(
        name=name,
        original=original,
        description=plain_text(
            str(tool.get("description") or tool.get("title") or ""), MAX_DESCRIPTION_CHARS
        ),
        parameters=fit_schema(tool.get("inputSchema")),
        hints={hint: hints[hint] for hint in _HINTS if isinstance(hints.get(hint), bool)},
        shown=_shown(tool, hints),
        digest=_tool_digest(tool),
    )
    try:
        compile_parameters(_spec(definition, pinned, ""))
    except ConfigurationError as error:
        raise UnfitError(plain_text(error.problem, 300, is_line=True)) from None
    return pinned


def _shown(tool: Mapping[str, object], hints: Mapping[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    title = tool.get("title") or hints.get("title")
    if isinstance(title, str):
        found["title"] = plain_text(title, _MAX_TITLE_CHARS, is_line=True)
    if isinstance(hints.get("idempotentHint"), bool):
        found["idempotentHint"] = hints["idempotentHint"]
    if "outputSchema" in tool:
        # A schema that cannot be kept costs a client its check, and not the tool.
        with suppress(UnfitError):
            found["outputSchema"] = fit_schema(tool["outputSchema"])
    return found


def _spec(definition: ServerDefinition, tool: PinnedTool, root: str) -> ToolSpec:
    rule = definition.tools.get(tool.original)
    effects = _effects(definition, tool, rule)
    declared = declare(
        {effect.value for effect in effects},
        dict(rule.resources) if rule else None,
        None,
        where=f"{definition.where}.tools.{tool.original}",
    )
    is_remote = definition.kind == "http"
    reaches = [f"credential:{name}" for name in definition.credentials]
    if is_remote:
        reaches.append(f"host:{host_of_url(definition.url)}")
    return ToolSpec(
        name=tool.name,
        description=tool.description,
        parameters=tool.parameters,
        effects=declared.effects,
        resources=declared.resources,
        place="host" if is_remote else "cell",
        origin="mcp",
        source=definition.name,
        source_digest=tool.digest,
        cost_microusd=rule.cost_microusd if rule else 0,
        reaches=tuple(reaches),
        root=root,
        shown=tool.shown,
    )


def _effects(
    definition: ServerDefinition, tool: PinnedTool, rule: ToolRule | None
) -> frozenset[Effect]:
    found = _unbounded(definition, tool, rule)
    if definition.kind == "http":
        return found | {Effect.NETWORK}
    # The cell of a server without hosts has no network: that is not for the server to say.
    return found if definition.hosts else found - {Effect.NETWORK}


def _unbounded(
    definition: ServerDefinition, tool: PinnedTool, rule: ToolRule | None
) -> frozenset[Effect]:
    if rule is not None and rule.effects is not None:
        return rule.effects
    if definition.effects is not None:
        return definition.effects
    read_only = tool.hints.get("readOnlyHint")
    if not definition.is_trusted or read_only is None:
        return WORST
    found = {Effect.READ}
    if not read_only:
        found |= {Effect.WRITE}
        if tool.hints.get("destructiveHint", True):
            found |= {Effect.DELETE}
    if tool.hints.get("openWorldHint", True):
        found |= {Effect.NETWORK}
    return frozenset(found)


def _tool_digest(tool: Mapping[str, object]) -> str:
    return digest_value({key: tool.get(key) for key in _PINNED_KEYS})
