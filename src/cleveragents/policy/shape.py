"""Does what a person wrote have the shape that a key wants? One sentence if not."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError
from cleveragents.policy.spelling import shown
from cleveragents.policy.suggestion import hint_for
from cleveragents.terms.tool import TOOL_NAME, Effect

if TYPE_CHECKING:
    from collections.abc import Callable

_TOOL_PATTERN: Final = re.compile(r"[a-z0-9_]{0,64}\*", re.ASCII)
_EFFECTS: Final = {effect.value: effect for effect in Effect}
_MAX_DEPTH: Final = 64
_MAX_PART: Final = 160
"""Characters of a part of a key path that are shown as they are."""
_FILES: Final = (".yaml", ".yml", ".toml", ".json")


def check_keys(raw: object, known: Iterable[str], *, where: str) -> Mapping[str, object]:
    """Give the mapping back when each of its keys is known.

    Raises:
        ConfigurationError: It is no mapping, or a key is unknown.
    """
    if not isinstance(raw, Mapping):
        raise ConfigurationError(problem=f"expected a mapping, found {_kind(raw)}", where=where)
    names = tuple(known)
    for key in raw:
        if key not in names:
            raise ConfigurationError(
                problem=f"unknown key, {hint_for(str(key), names)}", where=join(where, str(key))
            )
    return raw


def join(where: str, key: str) -> str:
    """Extend a key path.

    >>> join("a.yaml: safety_profiles[0]", "read"), join("a.yaml", "read"), join("", "read")
    ('a.yaml: safety_profiles[0].read', 'a.yaml: read', 'read')
    """
    # It may be a path of its own: only what would break the line, or flood it, is spelt anew.
    word = key if key.isprintable() and len(key) <= _MAX_PART else shown(key)
    if not where:
        return word
    if where.endswith(":"):
        return f"{where} {word}"
    return f"{where}: {word}" if where.endswith(_FILES) else f"{where}.{word}"


def strings(raw: object, *, where: str) -> tuple[str, ...]:
    """A list of strings as a tuple.

    Raises:
        ConfigurationError: It is no list (a single string is none), or holds
            something else.
    """
    if isinstance(raw, str | bytes | Mapping) or not isinstance(raw, Iterable):
        raise ConfigurationError(problem=f"expected a list, found {_kind(raw)}", where=where)
    found = tuple(raw)
    for index, item in enumerate(found):
        if not isinstance(item, str):
            raise ConfigurationError(
                problem=f"expected a string, found {_kind(item)}", where=f"{where}[{index}]"
            )
    return found


def items(raw: object, *, where: str) -> tuple[object, ...]:
    """A list of anything.

    Raises:
        ConfigurationError: It is none.
    """
    if not isinstance(raw, list | tuple):
        raise ConfigurationError(problem=f"expected a list, found {_kind(raw)}", where=where)
    return tuple(raw)


def text(raw: object, *, where: str) -> str:
    """A string.

    Raises:
        ConfigurationError: It is none.
    """
    if not isinstance(raw, str):
        raise ConfigurationError(problem=f"expected a string, found {_kind(raw)}", where=where)
    return raw


def tool_names(raw: object, *, where: str) -> tuple[str, ...]:
    """Exact tool names, or names that end in ``*``.

    Raises:
        ConfigurationError: A name has the form of no tool's.
    """
    found = strings(raw, where=where)
    for index, name in enumerate(found):
        if not (TOOL_NAME.fullmatch(name) or _TOOL_PATTERN.fullmatch(name)):
            raise ConfigurationError(
                problem=f"{name!r} cannot be the name of a tool",
                where=f"{where}[{index}]",
                hint="names are a-z, 0-9 and '_', and may end in one '*'",
            )
    return found


def effects(raw: object, *, where: str) -> frozenset[Effect]:
    """A set of effects by name.

    Raises:
        ConfigurationError: A name is no effect's.
    """
    if isinstance(raw, frozenset) and all(isinstance(item, Effect) for item in raw):
        return raw
    found = []
    for index, name in enumerate(strings(raw, where=where)):
        if name not in _EFFECTS:
            raise ConfigurationError(
                problem=f"no effect is named {name!r}",
                where=f"{where}[{index}]",
                hint=hint_for(name, _EFFECTS),
            )
        found.append(_EFFECTS[name])
    return frozenset(found)


def entries(raw: object, normalise: Callable[..., str], *, where: str) -> tuple[str, ...]:
    """A list of path or host entries, each in its one spelling.

    Raises:
        ConfigurationError: One of them cannot be an entry.
    """
    return tuple(
        normalise(item, where=f"{where}[{index}]")
        for index, item in enumerate(strings(raw, where=where))
    )


def schemas(raw: object, *, where: str) -> dict[str, dict[str, object]]:
    """A JSON Schema for each tool, copied; the schemas are compiled later.

    Raises:
        ConfigurationError: A key is no tool's exact name, or a value no mapping.
    """
    if not isinstance(raw, Mapping):
        raise ConfigurationError(problem=f"expected a mapping, found {_kind(raw)}", where=where)
    found = {}
    for tool, schema in raw.items():
        place = join(where, str(tool))
        if not (isinstance(tool, str) and TOOL_NAME.fullmatch(tool)):
            raise ConfigurationError(
                problem="conditions are given for one tool, by its exact name", where=place
            )
        found[tool] = json_mapping(schema, where=place)
    return found


def json_mapping(raw: object, *, where: str) -> dict[str, object]:
    """A deep copy of a mapping that holds nothing but JSON.

    Raises:
        ConfigurationError: It is no mapping, nests too deep, or holds a key
            or a value that JSON does not have.
    """
    if not isinstance(raw, Mapping):
        raise ConfigurationError(problem=f"expected a mapping, found {_kind(raw)}", where=where)
    return {key: _json(value, join(where, str(key)), 1) for key, value in _items(raw, where)}


def _json(raw: object, where: str, depth: int) -> object:
    if depth > _MAX_DEPTH:
        raise ConfigurationError(problem="nests too deep", where=where)
    match raw:
        case float() if not math.isfinite(raw):
            raise ConfigurationError(problem=f"{raw} is no JSON value", where=where)
        case None | bool() | int() | float() | str():
            return raw
        case list() | tuple():
            return [_json(item, f"{where}[{n}]", depth + 1) for n, item in enumerate(raw)]
        case Mapping():
            return {k: _json(v, join(where, k), depth + 1) for k, v in _items(raw, where)}
        case _:
            raise ConfigurationError(problem=f"{_kind(raw)} is no JSON value", where=where)


def _items(raw: Mapping[object, object], where: str) -> Iterable[tuple[str, object]]:
    for key, value in raw.items():
        if not isinstance(key, str):
            raise ConfigurationError(problem=f"the key {key!r} is not a string", where=where)
        yield key, value


_KINDS: Final = (
    (bool, "a truth value"),
    (int | float, "a number"),
    (str, "a string"),
    (list | tuple, "a list"),
    (Mapping, "a mapping"),
    (type(None), "nothing"),
)


def _kind(raw: object) -> str:
    return next((words for kind, words in _KINDS if isinstance(raw, kind)), "something else")
