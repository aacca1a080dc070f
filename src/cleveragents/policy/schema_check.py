"""Is every word of a JSON Schema one that is enforced, and every name one that exists?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError
from cleveragents.policy.shape import join
from cleveragents.policy.suggestion import hint_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cleveragents.terms.tool import ToolSpec

_ONE: Final = frozenset(
    {
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
"""Keywords whose value is a schema."""
_MANY: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
"""Keywords whose value is a list of schemas."""
_NAMED: Final = frozenset({"$defs", "dependentSchemas", "patternProperties", "properties"})
"""Keywords whose value is a mapping of schemas."""
_SAME_PLACE: Final = frozenset({"allOf", "anyOf", "else", "if", "not", "oneOf", "then"})
"""Keywords whose schemas speak about the same value as the schema they stand in."""
_PLAIN: Final = frozenset(
    {
        "$ref",
        "const",
        "dependentRequired",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "maxContains",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minContains",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "pattern",
        "required",
        "type",
        "uniqueItems",
    }
)
_REMARKS: Final = frozenset(
    {"$comment", "default", "deprecated", "description", "examples", "title"}
)
_TOOL_REMARKS: Final = frozenset(
    {
        "$anchor",
        "$schema",
        "contentEncoding",
        "contentMediaType",
        "format",
        "readOnly",
        "writeOnly",
        "x-mcp-header",
    }
)
"""Annotations that a tool's own schema may carry; in a condition they would look enforced."""
_DEFS: Final = "#/$defs/"
_MAX_DEPTH: Final = 32


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is the same wherever we are in one schema."""

    definitions: Mapping[str, object]
    keywords: frozenset[str]
    properties: Mapping[str, object] | None
    """The tool's arguments; ``None`` when names are not checked."""
    tool: str


def check_schema(
    schema: Mapping[str, object], *, where: str, arguments_of: ToolSpec | None = None
) -> None:
    """Refuse a schema that would not be enforced to the letter.

    Args:
        schema: What somebody wrote.
        where: Key path for errors.
        arguments_of: Given, the schema is a condition on this tool's
            arguments, and names only what the tool has.

    Raises:
        ConfigurationError: An unknown keyword, a ``$ref`` to anything but a
            definition of this schema, a reference in a circle, or the name of
            an argument that the tool does not have.
    """
    definitions = schema.get("$defs", {})
    if not isinstance(definitions, Mapping):
        raise ConfigurationError(problem="expected a mapping", where=join(where, "$defs"))
    known = _ONE | _MANY | _NAMED | _PLAIN | _REMARKS
    reading = _Reading(
        definitions=definitions,
        keywords=known if arguments_of else known | _TOOL_REMARKS,
        properties=_properties(arguments_of.parameters) if arguments_of else None,
        tool=arguments_of.name if arguments_of else "",
    )
    _check(schema, where, reading, is_arguments=arguments_of is not None, depth=0)


def _properties(parameters: Mapping[str, object]) -> Mapping[str, object]:
    found = parameters.get("properties", {})
    return found if isinstance(found, Mapping) else {}


def _check(
    schema: object, where: str, reading: _Reading, *, is_arguments: bool, depth: int
) -> None:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        raise ConfigurationError(problem="expected a JSON Schema", where=where)
    if depth > _MAX_DEPTH:
        raise ConfigurationError(
            problem="the schema nests too deep or refers to itself", where=where
        )
    for keyword in schema:
        if keyword not in reading.keywords:
            raise ConfigurationError(
                problem=f"unknown JSON Schema keyword {keyword!r}",
                where=where,
                hint=hint_for(str(keyword), reading.keywords),
            )
    if is_arguments and reading.properties is not None:
        _check_names(schema, where, reading)
    if "$ref" in schema:
        target = _resolve(schema["$ref"], where, reading)
        _check(target, join(where, "$ref"), reading, is_arguments=is_arguments, depth=depth + 1)
    for keyword, place, inner in _subschemas(schema, where):
        same_place = is_arguments and keyword in _SAME_PLACE | {"dependentSchemas"}
        _check(inner, place, reading, is_arguments=same_place, depth=depth + 1)


def _subschemas(schema: Mapping[str, object], where: str) -> Iterable[tuple[str, str, object]]:
    for keyword, value in schema.items():
        place = join(where, keyword)
        if keyword in _ONE:
            yield keyword, place, value
        elif keyword in _MANY:
            if not isinstance(value, list | tuple):
                raise ConfigurationError(problem="expected a list of schemas", where=place)
            for index, inner in enumerate(value):
                yield keyword, f"{place}[{index}]", inner
        elif keyword in _NAMED:
            if not isinstance(value, Mapping):
                raise ConfigurationError(problem="expected a mapping of schemas", where=place)
            for name, inner in value.items():
                yield keyword, join(place, str(name)), inner


def _resolve(reference: object, where: str, reading: _Reading) -> object:
    name = reference[len(_DEFS) :] if isinstance(reference, str) else ""
    if not isinstance(reference, str) or not reference.startswith(_DEFS):
        raise ConfigurationError(
            problem=f"the reference {reference!r} leads out of the schema",
            where=join(where, "$ref"),
            hint="only '#/$defs/NAME' is followed",
        )
    if name not in reading.definitions:
        raise ConfigurationError(
            problem=f"nothing is defined as {name!r}",
            where=join(where, "$ref"),
            hint=hint_for(name, map(str, reading.definitions)),
        )
    return reading.definitions[name]


def _check_names(schema: Mapping[str, object], where: str, reading: _Reading) -> None:
    known = reading.properties or {}
    for keyword in ("patternProperties", "propertyNames"):
        if keyword in schema:
            raise ConfigurationError(
                problem=f"{keyword!r} cannot be checked against the tool's arguments",
                where=where,
                hint="name the arguments under 'properties'",
            )
    for keyword, name in _names(schema, where):
        if name not in known:
            raise ConfigurationError(
                problem=f"the tool {reading.tool!r} has no argument {name!r}",
                where=join(where, keyword),
                hint=hint_for(name, known),
            )


def _names(schema: Mapping[str, object], where: str) -> Iterable[tuple[str, str]]:
    for keyword in ("properties", "dependentSchemas", "dependentRequired", "required"):
        value = schema.get(keyword, ())
        if not isinstance(value, Mapping | list | tuple):
            raise ConfigurationError(problem="has the wrong shape", where=join(where, keyword))
        for name in value:
            yield keyword, str(name)
        if keyword == "dependentRequired" and isinstance(value, Mapping):
            for names in value.values():
                for name in names if isinstance(names, list | tuple) else ():
                    yield keyword, str(name)
