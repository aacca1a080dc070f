"""Which values does a plan ask for, and what was it given?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

from cleveragents.config.expression import NAME
from cleveragents.config.reader import Reader
from cleveragents.errors import ConfigurationError
from cleveragents.policy.spelling import shown
from cleveragents.policy.suggestion import hint_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cleveragents.terms.plan import PlanDefinition

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
ANY: Final = ""
"""The type of an input that may be anything."""
_DECLARATION: Final = ("type", "default", "description")
_MARKS: Final = ("type", "default")
NAME_HINT: Final = "letters, digits, '_' and '-', at most 64"


class Declared(NamedTuple):
    """The ``inputs`` of a plan."""

    types: dict[str, str]
    """Of every input; ``ANY`` for no type."""
    defaults: dict[str, object]
    """Of those that have one; the others must be given."""


def declared_in(reader: Reader) -> Declared:
    """Read the ``inputs`` of a plan file.

    Each is a default (``title: Changes``), whose type the given value must
    have; or a declaration (``title: {type: string}``), which may leave the
    default out. A mapping with a key ``type`` or ``default`` is a
    declaration; ``{default: {type: x}}`` says that it is not.

    Raises:
        ConfigurationError: A name or a declaration cannot be understood.
    """
    declared = Declared({}, {})
    for name, item in reader.entries().items():
        if not NAME.fullmatch(name):
            raise item.error("cannot be the name of an input", NAME_HINT)
        if isinstance(item.value, dict) and any(mark in item.value for mark in _MARKS):
            _declare(name, item, declared)
        elif item.value is None:
            raise item.error("the input has no default", "write {type: string} to ask for a value")
        else:
            declared.types[name] = _type_of(item.value)
            declared.defaults[name] = item.json()
    return declared


def _declare(name: str, reader: Reader, declared: Declared) -> None:
    found = reader.entries()
    for key, item in found.items():
        if key not in _DECLARATION:
            raise item.error(
                f"unknown key, {hint_for(key, _DECLARATION)}",
                "for a mapping as the default write {default: {...}}",
            )
    if "type" in found:
        declared.types[name] = found["type"].choice({known: known for known in _TYPES})
    if "description" in found:
        found["description"].text()
    if "default" in found:
        value = found["default"].json()
        wanted = declared.types.setdefault(name, ANY if value is None else _type_of(value))
        if wanted and not _has_type(value, wanted):
            raise found["default"].error(f"{shown(value)} is not of type {wanted!r}")
        declared.defaults[name] = value


def to_mapping(types: Mapping[str, str], defaults: Mapping[str, object]) -> dict[str, object]:
    """The mapping that ``declared_in`` reads back."""
    return {
        name: ({"type": kind} if kind else {})
        | ({"default": defaults[name]} if name in defaults else {})
        for name, kind in types.items()
    }


def bind_inputs(
    definition: PlanDefinition, given: Iterable[tuple[str, object]], *, where: str = "--input"
) -> dict[str, object]:
    """Meet the values that were given with the defaults of a plan.

    Args:
        definition: The plan.
        given: Names and values. A text is taken as it was typed for an input
            of type ``string`` or of no type, and is read as JSON for any other.
        where: What they are called in errors.

    Raises:
        ConfigurationError: A name is not declared or given twice, a value has
            another type, or a value is missing.
    """
    types = definition.input_types
    values: dict[str, object] = {}
    for key, value in given:
        if key not in types:
            raise ConfigurationError(
                problem=f"the plan declares no input {shown(key)}",
                where=where,
                hint=hint_for(key, types),
            )
        if key in values:
            raise ConfigurationError(problem=f"the input {key!r} is given twice", where=where)
        values[key] = _typed(value, types[key], f"{where} {key}")
    bound = {**definition.inputs, **values}
    for key in types:
        if key not in bound:
            raise ConfigurationError(
                problem=f"the plan needs a value for its input {key!r}",
                where=where,
                hint=f"add --input {key}=...",
            )
    return {key: bound[key] for key in types}


def _typed(given: object, wanted: str, where: str) -> object:
    value = given
    if isinstance(given, str) and wanted not in ("string", ANY):
        try:
            value = json.loads(given, parse_constant=_no_number)
        except (ValueError, RecursionError):
            value = None
    # Also a mapping of a program's becomes plain JSON here, or is refused.
    value = Reader(value, where).json()
    if wanted and not _has_type(value, wanted):
        raise ConfigurationError(
            problem=f"{shown(given)} is not of type {wanted!r}",
            where=where,
            hint="write it as JSON",
        )
    return value


def _no_number(word: str) -> object:
    raise ValueError(word)


def _type_of(value: object) -> str:
    return next(name for name in _TYPES if _has_type(value, name))


def _has_type(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name])
