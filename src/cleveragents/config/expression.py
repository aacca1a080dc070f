"""What does ``${{ steps.readme.text }}`` stand for? Parsed at load, resolved at the call.

A reference reads a field of an earlier step's result, an input, or a fact of
the plan, and nothing else. What it inserts is data: it is never looked at for
references again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from cleveragents.errors import ConfigurationError, ToolFailedError
from cleveragents.policy.spelling import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

OPENING: Final = "${{"
CLOSING: Final = "}}"
PLAN_FIELDS: Final = ("id", "name", "goal")
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
"""An id of a step, a name of an input or of an output."""
_PATH: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.ASCII)
_FORMS: Final = "write steps.<id>.<field>, inputs.<name> or plan.<field>"

Root = Literal["steps", "inputs", "plan"]


@dataclass(frozen=True, slots=True)
class Reference:
    """One ``${{ }}``, such as ``steps.docs.outputs.title``."""

    parts: tuple[str, ...]

    @property
    def root(self) -> Root:
        """Which of the three worlds it reads."""
        return cast("Root", self.parts[0])

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Template:
    """A string cut into text and references."""

    pieces: tuple[str | Reference, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every reference, in order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Reference))

    @property
    def whole(self) -> Reference | None:
        """The reference, when the string is nothing else: its value keeps its type."""
        match self.pieces:
            case (Reference() as only,):
                return only
        return None


def parse(template: str) -> Template:
    """Cut a string into text and references.

    Raises:
        ConfigurationError: A ``${{`` is not closed, or holds no reference.

    >>> [str(one) for one in parse("see ${{ steps.a.text }} and ${{inputs.b}}").references]
    ['steps.a.text', 'inputs.b']
    """
    pieces: list[str | Reference] = []
    position = 0
    while (start := template.find(OPENING, position)) >= 0:
        end = template.find(CLOSING, start)
        if end < 0:
            raise ConfigurationError(problem=f"{OPENING!r} is not closed", hint=f"write {CLOSING}")
        if start > position:
            pieces.append(template[position:start])
        pieces.append(_reference(template[start + len(OPENING) : end].strip(" \t\r\n")))
        position = end + len(CLOSING)
    if position < len(template) or not pieces:
        pieces.append(template[position:])
    return Template(tuple(pieces))


def _reference(text: str) -> Reference:
    if not _PATH.fullmatch(text):
        raise ConfigurationError(problem=f"{shown(text)} is no reference", hint=_FORMS)
    parts = tuple(text.split("."))
    match parts[0], len(parts):
        case "inputs", 2:
            return Reference(parts)
        case "plan", 2 if parts[1] in PLAN_FIELDS:
            return Reference(parts)
        case "plan", _:
            raise ConfigurationError(
                problem=f"{shown(text)} cannot be read",
                hint="of a plan: " + ", ".join(PLAN_FIELDS),
            )
        case "steps", 3:
            return Reference(parts)
        case "steps", 4 if parts[2] == "outputs":
            return Reference(parts)
    raise ConfigurationError(problem=f"{shown(text)} cannot be read", hint=_FORMS)


def has_reference(text: str) -> bool:
    """Say whether a string holds a ``${{``."""
    return OPENING in text


def strings_in(
    value: object, keys: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every string of a JSON value with its key path, keys of mappings not included."""
    match value:
        case str():
            yield keys, value
        case Mapping():
            for key, item in value.items():
                yield from strings_in(item, (*keys, str(key)))
        case list() | tuple():
            for index, item in enumerate(value):
                yield from strings_in(item, (*keys, index))


def resolve(value: object, scope: Mapping[str, object]) -> object:
    """Fill in every reference of a JSON value.

    A string that is one reference and nothing else becomes the value it
    reads, with its type; inside a longer string a text is put in as it is and
    anything else as JSON.

    Args:
        value: As it stands in the plan; mappings and lists are gone through.
        scope: ``steps`` (results by step id), ``inputs`` and ``plan``.

    Raises:
        ToolFailedError: A reference has nothing to read: its step was denied
            or failed and the plan went on, or its result lacks the field (a
            binary file has no ``text``). The call that needs it fails, so
            ``on_error`` decides how the plan goes on.
        ConfigurationError: The value holds no valid reference where one
            begins; a loaded plan never does.

    >>> scope = {"steps": {"a": {"text": "hi", "exit_code": 0}}, "inputs": {}, "plan": {}}
    >>> resolve({"n": "${{ steps.a.exit_code }}", "t": "<${{ steps.a.text }}>"}, scope)
    {'n': 0, 't': '<hi>'}
    """
    match value:
        case str():
            return _resolve_text(value, scope) if OPENING in value else value
        case Mapping():
            return {key: resolve(item, scope) for key, item in value.items()}
        case list() | tuple():
            return [resolve(item, scope) for item in value]
    return value


def _resolve_text(text: str, scope: Mapping[str, object]) -> object:
    template = parse(text)
    if template.whole is not None:
        return _read(template.whole, scope)
    return "".join(
        piece if isinstance(piece, str) else _as_text(_read(piece, scope))
        for piece in template.pieces
    )


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read(reference: Reference, scope: Mapping[str, object]) -> object:
    value: object = scope
    for depth, part in enumerate(reference.parts):
        if not isinstance(value, Mapping) or part not in value:
            raise ToolFailedError(
                tool_name=f"{OPENING} {reference} {CLOSING}",
                reason=_absence(reference, depth, value),
            )
        value = value[part]
    return value


def _absence(reference: Reference, depth: int, found: object) -> str:
    names = list(found) if isinstance(found, Mapping) else []
    match reference.root:
        case "steps" if depth == 1:
            return f"step {reference.parts[1]!r} has no result: it was denied, or it failed"
        case "steps":
            had = ", ".join(map(str, names)) or "nothing"
            step, wanted = reference.parts[1], reference.parts[depth]
            return f"the result of step {step!r} has no {wanted!r}; it has {had}"
        case "inputs":
            return f"no value was given for the input {reference.parts[-1]!r}"
        case _:
            return f"the plan has no {reference.parts[-1]!r}"
