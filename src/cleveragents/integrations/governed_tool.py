"""What does a foreign agent's tool look like to the gate? Its name, its effects, its resources."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError
from cleveragents.policy.suggestion import hint_for
from cleveragents.terms.digest import digest_value
from cleveragents.terms.tool import TOOL_NAME, ToolSpec
from cleveragents.tools.declaration import declare

if TYPE_CHECKING:
    from pydantic_ai.tools import ToolDefinition

    from cleveragents.integrations.pydantic_ai import Governed

MAX_NAME: Final = 64
_NOT_IN_NAME: Final = re.compile(r"[^a-z0-9_]")


def tool_specs(tools: list[ToolDefinition], asked: Governed) -> dict[str, ToolSpec]:
    """What the gate decides on, by the agent's own names.

    Raises:
        ConfigurationError: A declaration names no tool, two tools have one
            name here, or a tool is run by somebody else.
    """
    names = [tool.name for tool in tools]
    for where, declared in (
        ("effects", asked.effects),
        ("resources", asked.resources),
        ("cost_usd", asked.cost_usd),
    ):
        for name in declared:
            if name not in names:
                raise ConfigurationError(
                    problem=f"the agent has no tool {name!r}",
                    where=where,
                    hint=hint_for(name, names),
                )
    found: dict[str, ToolSpec] = {}
    for tool in tools:
        if tool.kind == "external":
            raise ConfigurationError(
                problem=f"the tool {tool.name!r} is run outside of the agent, past the door",
                hint="make it a function tool, or run it without Governed",
            )
        found[tool.name] = _spec(tool, asked)
    taken: dict[str, str] = {}
    for name, spec in found.items():
        other = taken.setdefault(spec.name, name)
        if other != name:
            raise ConfigurationError(
                problem=f"the tools {other!r} and {name!r} are both {spec.name!r} in a profile",
                hint="rename one of them",
            )
    return found


def _spec(tool: ToolDefinition, asked: Governed) -> ToolSpec:
    properties = tool.parameters_json_schema.get("properties", {})
    declared = declare(
        None if tool.name not in asked.effects else set(asked.effects[tool.name]),
        dict(asked.resources[tool.name]) if tool.name in asked.resources else None,
        asked.cost_usd.get(tool.name),
        where=f"tool {tool.name!r}",
    )
    for one in declared.resources:
        if one.argument not in properties:
            raise ConfigurationError(
                problem=f"the tool {tool.name!r} has no argument {one.argument!r}",
                where="resources",
                hint=hint_for(one.argument, properties),
            )
    return ToolSpec(
        name=tool_name(tool.name),
        description=tool.description or "",
        # pydantic-ai has checked the arguments by its own schema: here they have names only.
        parameters={"type": "object", "properties": {key: {} for key in properties}},
        effects=declared.effects,
        resources=declared.resources,
        # Not the cell: nothing could be taken away from a body that runs in its own process.
        place="host",
        origin="own",
        source_digest=said_digest(tool),
        cost_microusd=declared.cost_microusd,
        defaults={
            name: schema["default"]
            for name, schema in properties.items()
            if isinstance(schema, dict) and "default" in schema
        },
    )


def said_digest(tool: ToolDefinition) -> str:
    """Digest of all that a tool says of itself to a model, and of who runs it."""
    said = [tool.name, tool.description, tool.parameters_json_schema, tool.return_schema, tool.kind]
    return digest_value(said)


def tool_name(name: str) -> str:
    """The name of a tool in profiles and in the record.

    >>> tool_name("read_page"), tool_name("getWeather"), tool_name("get-issue")
    ('read_page', 'getweather', 'get_issue')
    """
    if TOOL_NAME.fullmatch(name):
        return name
    return _NOT_IN_NAME.sub("_", name.lower())[:MAX_NAME] or "_"
