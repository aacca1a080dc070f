"""Can a foreign tool's schema be checked here? The part of it that can, or why not.

Servers write every dialect of JSON Schema. What is kept is what our validator
enforces; notes are made harmless; what it does not know says nothing to it
anyway and is left out. A reference that leads out of the schema, or names that
a person cannot read, refuse the tool.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cleveragents.errors import ConfigurationError
from cleveragents.policy.schema_check import check_schema
from cleveragents.terms.excerpt import json_bytes
from cleveragents.tools.mcp_text import MAX_DESCRIPTION_CHARS, is_plain, plain_text

MAX_SCHEMA_BYTES: Final = 64 << 10
MAX_DEPTH: Final = 32
_ONE: Final = frozenset(
    {
        "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then",
        "unevaluatedItems", "unevaluatedProperties",
    }
)  # fmt: skip
_OPEN_OR_CLOSED: Final = frozenset(
    {"additionalProperties", "unevaluatedItems", "unevaluatedProperties"}
)
"""Usually true or false, and then left so: some readers know no other form."""
_MANY: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_NAMED: Final = frozenset({"$defs", "dependentSchemas", "patternProperties", "properties"})
_DATA: Final = frozenset(
    {
        "const", "default", "dependentRequired", "enum", "exclusiveMaximum", "exclusiveMinimum",
        "examples", "maxContains", "maxItems", "maxLength", "maxProperties", "maximum",
        "minContains", "minItems", "minLength", "minProperties", "minimum", "multipleOf",
        "pattern", "required", "type", "uniqueItems", "format", "deprecated",
    }
)  # fmt: skip
_TEXTS: Final = frozenset({"description", "title"})
_REFUSED: Final = frozenset({"$dynamicAnchor", "$dynamicRef", "$id", "$recursiveRef", "id"})
"""They change where a reference leads."""
_ANCHOR: Final = re.compile(r"[A-Za-z_][-A-Za-z0-9._]{0,63}", re.ASCII)
"""Kept as a mark: a reference that leads to one is refused."""
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
"""What is kept is of this dialect, whichever the server's was; only this one is still named."""
_HEADER: Final = "x-mcp-header"
"""Names the HTTP header that repeats an argument's value for whoever routes a call."""
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}", re.ASCII)
_HEADER_TYPES: Final = frozenset({"boolean", "integer", "string"})
_OLD_DEFS: Final = "#/definitions/"
_DEFS: Final = "#/$defs/"


class UnfitError(Exception):
    """A schema that cannot be kept; the message says why. Never leaves ``tools``."""


def fit_schema(raw: object) -> dict[str, object]:
    """Give the part of a schema that can be enforced.

    Raises:
        UnfitError: It is no schema of an object, is too large or too deep,
            leads out of itself, or holds what a person cannot see.
    """
    if not isinstance(raw, Mapping):
        raise UnfitError("its schema is no object")
    if raw.get("type", "object") != "object":
        raise UnfitError("its schema is not that of an object")
    try:
        size = json_bytes(raw)
    except (TypeError, ValueError, RecursionError, UnicodeEncodeError):
        raise UnfitError("its schema is no JSON") from None
    if size > MAX_SCHEMA_BYTES:
        raise UnfitError(f"its schema is larger than {MAX_SCHEMA_BYTES} bytes")
    kept = _fit(raw, 0, is_root=True)
    kept["type"] = "object"
    if raw.get("$schema") == _DIALECT:
        kept["$schema"] = _DIALECT
    _keep_headers(kept, raw)
    _Circles(kept)
    try:
        check_schema(kept, where="")
    except ConfigurationError as error:
        raise UnfitError(f"its schema cannot be checked: {error.problem}") from None
    return kept


def _fit(raw: object, depth: int, *, is_root: bool = False) -> dict[str, object]:
    if isinstance(raw, bool):
        return {} if raw else {"not": {}}
    if not isinstance(raw, Mapping):
        raise UnfitError("its schema holds what is no schema")
    if depth > MAX_DEPTH:
        raise UnfitError("its schema nests too deep")
    kept: dict[str, object] = {}
    for keyword, value in raw.items():
        _fit_keyword(kept, str(keyword), value, depth, is_root=is_root)
    return kept


def _fit_keyword(
    kept: dict[str, object], keyword: str, value: object, depth: int, *, is_root: bool
) -> None:
    if keyword in _REFUSED and isinstance(value, str) and not (keyword == "$id" and is_root):
        raise UnfitError("its schema moves its own references")
    if keyword in {"$ref", "$anchor"}:
        kept[keyword] = _reference(value) if keyword == "$ref" else _anchor(value)
    elif keyword == "items" and isinstance(value, list):
        # Tuples as the older dialects wrote them.
        kept["prefixItems"] = _list(value, depth)
    elif keyword in {"$defs", "definitions"}:
        # Two spellings of one thing: the second does not hide the first.
        kept["$defs"] = {**_dict(kept.get("$defs")), **_named(value, depth)}
    elif keyword in _ONE:
        is_plain_yes_or_no = keyword in _OPEN_OR_CLOSED and isinstance(value, bool)
        kept[keyword] = value if is_plain_yes_or_no else _fit(value, depth + 1)
    elif keyword in _MANY:
        kept[keyword] = _list(value, depth)
    elif keyword in _NAMED:
        kept[keyword] = _named(value, depth)
    elif keyword in _TEXTS:
        kept[keyword] = plain_text(str(value), MAX_DESCRIPTION_CHARS)
    elif keyword in _DATA:
        kept[keyword] = _visible(value)


def _keep_headers(kept: dict[str, object], raw: Mapping[str, object]) -> None:
    """Keep the headers of plain arguments; a client drops a tool that names one elsewhere."""
    taken: set[str] = set()
    given, properties = _dict(raw.get("properties")), _dict(kept.get("properties"))
    for name, argument in given.items():
        header, found = _dict(argument).get(_HEADER), _dict(properties.get(str(name)))
        if not isinstance(header, str) or not _TOKEN.fullmatch(header):
            continue
        # A list of types is none of them.
        if str(found.get("type")) in _HEADER_TYPES and header.lower() not in taken:
            taken.add(header.lower())
            found[_HEADER] = header


def _anchor(value: object) -> str:
    if not isinstance(value, str) or not _ANCHOR.fullmatch(value):
        raise UnfitError("its schema moves its own references")
    return value


def _list(value: object, depth: int) -> list[object]:
    if not isinstance(value, list):
        raise UnfitError("its schema holds what is no list of schemas")
    return [_fit(item, depth + 1) for item in value]


def _dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _named(value: object, depth: int) -> dict[str, object]:
    if not isinstance(value, Mapping):
        raise UnfitError("its schema holds what is no mapping of schemas")
    for name in value:
        if not str(name).isprintable():
            raise UnfitError("the name of an argument holds what a person cannot see")
    return {str(name): _fit(inner, depth + 1) for name, inner in value.items()}


def _visible(value: object) -> object:
    match value:
        case str() if not is_plain(value):
            raise UnfitError("its schema holds what a person cannot see")
        case Mapping():
            for name, inner in value.items():
                _visible(str(name))
                _visible(inner)
        case list():
            for inner in value:
                _visible(inner)
    return value


def _reference(value: object) -> str:
    text = str(value)
    if text.startswith(_OLD_DEFS):
        text = _DEFS + text[len(_OLD_DEFS) :]
    if not text.startswith("#"):
        raise UnfitError("a reference leads out of its schema")
    return text


class _Circles:
    """Lets a reference that closes a circle admit anything: a validator may follow it for ever."""

    def __init__(self, root: dict[str, object]) -> None:
        self._definitions = _dict(root.get("$defs"))
        self._done: set[str] = set()
        self._follow(root, ())
        for name in self._definitions:
            self._enter(_DEFS + name, ())

    def _enter(self, target: str, path: tuple[str, ...]) -> None:
        if target not in self._done:
            self._done.add(target)
            self._follow(self._definitions.get(target.removeprefix(_DEFS)), (*path, target))

    def _follow(self, schema: object, path: tuple[str, ...]) -> None:
        if isinstance(schema, list):
            for inner in schema:
                self._follow(inner, path)
        elif isinstance(schema, dict):
            target = schema.get("$ref")
            if isinstance(target, str):
                if target == "#" or target in path:
                    del schema["$ref"]
                else:
                    self._enter(target, path)
            for keyword, inner in schema.items():
                if keyword in _NAMED and keyword != "$defs":
                    self._follow(list(_dict(inner).values()), path)
                elif keyword in _ONE | _MANY:
                    self._follow(inner, path)
