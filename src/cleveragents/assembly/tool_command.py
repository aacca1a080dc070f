"""What ``agents tool`` answers. No tool's body is loaded: own files are read as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.errors import ConfigurationError
from cleveragents.terms.answer import Answer
from cleveragents.terms.cost import format_usd

if TYPE_CHECKING:
    from pathlib import Path

    from cleveragents.assembly.house import House
    from cleveragents.terms.tool import ToolSpec


def list_tools(house: House) -> Answer:
    """Give every tool in one line."""
    specs = house.registry().specs
    return Answer({"tools": [_brief(spec) for _, spec in sorted(specs.items())]})


def show_tool(house: House, name: str) -> Answer:
    """Give one tool with its schema.

    Raises:
        UnknownToolError: There is no such tool.
    """
    spec = house.registry().get(name)
    return Answer(
        {
            **_brief(spec),
            "place": spec.place,
            "parameters": dict(spec.parameters),
            "defaults": dict(spec.defaults),
            "resources": [
                {"argument": r.argument, "kind": r.kind, "access": r.access} for r in spec.resources
            ],
            "cost_usd": format_usd(spec.cost_microusd),
            "source": spec.source or None,
            "source_digest": spec.source_digest or None,
        }
    )


def add_tools(house: House, file: Path) -> Answer:
    """Keep a file of own tools and give the tools that it adds.

    Raises:
        ConfigurationError: The file cannot be read, defines no tool, or one
            whose name is taken.
    """
    before = house.registry().names
    # Read before it is kept: a file that cannot be used is not to spoil every later command.
    house.registry([file])
    house.library.add_tools(file)
    specs = house.registry().specs
    return Answer(
        {"tools": [_brief(spec) for name, spec in sorted(specs.items()) if name not in before]}
    )


def remove_tool(house: House, name: str) -> Answer:
    """Forget an own tool, and with it the others of its file.

    Raises:
        UnknownToolError: There is no such tool.
        ConfigurationError: It is built in.
    """
    registry = house.registry()
    spec = registry.get(name)
    if spec.origin != "own":
        raise ConfigurationError(
            problem=f"{name!r} is built in and stays",
            hint="a safety profile's denied_tools keeps plans from using it",
        )
    together = [other.name for other in registry.specs.values() if other.source == spec.source]
    house.library.remove_tools(spec.source)
    return Answer({"removed": sorted(together)})


def _brief(spec: ToolSpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "origin": spec.origin,
        "effects": sorted(effect.value for effect in spec.effects),
        "description": spec.description,
    }
