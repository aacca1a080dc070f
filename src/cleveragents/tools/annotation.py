"""Reads a parameter's annotation, unevaluated, as JSON Schema."""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCEPTED: Final = "str, int, float, bool, list[...], dict[str, ...], Literal[...], Optional[...]"
_PLAIN: Final[Mapping[str, str]] = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
}
_NULL: Final[Mapping[str, object]] = {"type": "null"}
_CLASSES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_NO_JSON: Final = (math.inf, -math.inf)
_MAX_DEPTH: Final = 16


def schema_of(annotation: ast.expr | None, *, where: str) -> dict[str, object]:
    """Give the JSON Schema of one annotation.

    Args:
        annotation: The expression after the colon; ``None`` when there is none.
        where: File, line and parameter, for the message.

    Raises:
        ConfigurationError: It is missing or none of ``ACCEPTED``.

    >>> schema_of(ast.parse("list[str] | None", mode="eval").body, where="x")
    {'anyOf': [{'type': 'array', 'items': {'type': 'string'}}, {'type': 'null'}]}
    """
    if annotation is None:
        raise ConfigurationError(
            problem="the parameter has no annotation", where=where, hint=f"accepted: {ACCEPTED}"
        )
    schema = _schema(annotation, depth=0)
    if schema is None:
        raise ConfigurationError(
            problem=f"the annotation {ast.unparse(annotation)[:80]!r} is not accepted",
            where=where,
            hint=f"accepted: {ACCEPTED}",
        )
    return schema


def _schema(node: ast.expr, *, depth: int) -> dict[str, object] | None:
    found: dict[str, object] | None = None
    match node:
        case _ if depth > _MAX_DEPTH:
            pass
        case ast.Constant(value=str(quoted)):
            found = _quoted(quoted, depth=depth)
        case ast.Name(id=name) if name in _PLAIN:
            found = {"type": _PLAIN[name]}
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            found = _union((left, right), depth=depth)
        case ast.Subscript(value=outer, slice=inner):
            found = _subscript(_last_name(outer), inner, depth=depth)
        case _:
            pass
    return found


def _quoted(text: str, *, depth: int) -> dict[str, object] | None:
    try:
        inner = ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
    return _schema(inner, depth=depth + 1)


def _last_name(node: ast.expr) -> str:
    """Give the name of ``Optional`` or ``typing.Optional``; empty for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id="typing" | "t"), attr=name):
            return name
        case _:
            return ""


def _subscript(outer: str, inner: ast.expr, *, depth: int) -> dict[str, object] | None:
    several = tuple(inner.elts) if isinstance(inner, ast.Tuple) else (inner,)
    match outer:
        case "list" | "List":
            items = _schema(inner, depth=depth + 1)
            return None if items is None else {"type": "array", "items": items}
        case "dict" | "Dict":
            return _mapping(several, depth=depth)
        case "Literal":
            return _literal(several)
        case "Optional":
            return _union((inner, ast.Constant(value=None)), depth=depth)
        case "Union":
            return _union(several, depth=depth)
        case _:
            return None


def _mapping(several: tuple[ast.expr, ...], *, depth: int) -> dict[str, object] | None:
    match several:
        case (ast.Name(id="str"), value):
            values = _schema(value, depth=depth + 1)
            return None if values is None else {"type": "object", "additionalProperties": values}
        case _:
            return None


def _literal(several: tuple[ast.expr, ...]) -> dict[str, object] | None:
    values = [
        node.value
        for node in several
        if isinstance(node, ast.Constant) and isinstance(node.value, str | int | bool | None)
    ]
    return {"enum": values} if len(values) == len(several) else None


def _union(several: tuple[ast.expr, ...], *, depth: int) -> dict[str, object] | None:
    choices: list[object] = []
    for node in several:
        if isinstance(node, ast.Constant) and node.value is None:
            choices.append(dict(_NULL))
            continue
        schema = _schema(node, depth=depth + 1)
        if schema is None:
            return None
        nested = schema.get("anyOf")
        choices.extend(nested if isinstance(nested, list) else [schema])
    return {"anyOf": choices}


def accepts(schema: Mapping[str, object], value: object) -> bool:
    """Say whether a default fits the schema of its parameter.

    >>> accepts({"type": "integer"}, True), accepts({"type": "number"}, 1)
    (False, True)
    """
    choices, allowed = schema.get("anyOf"), schema.get("enum")
    if isinstance(choices, list):
        return any(accepts(choice, value) for choice in choices)
    if isinstance(allowed, list):
        return any(value == one and type(value) is type(one) for one in allowed)
    match schema.get("type"), value:
        case "array", list(items):
            return all(_accepts_any(schema.get("items"), one) for one in items)
        case "object", dict(entries):
            values = schema.get("additionalProperties")
            return all(
                isinstance(key, str) and _accepts_any(values, one) for key, one in entries.items()
            )
        case ("number" | "integer" | "string" | "boolean" | "null") as kind, _:
            # Exact classes: True is no number here, though Python says it is.
            return type(value) in _CLASSES[kind] and value not in _NO_JSON
        case _:
            return False


def _accepts_any(schema: object, value: object) -> bool:
    return not isinstance(schema, dict) or accepts(schema, value)
