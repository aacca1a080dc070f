"""Does every reference of a plan read something that will be there?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, assert_never

from cleveragents.config.expression import has_reference, parse, strings_in
from cleveragents.errors import ConfigurationError
from cleveragents.policy.suggestion import hint_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.config.expression import Reference
    from cleveragents.config.reader import Reader

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "read_file": ("text",),
    "list_directory": ("entries",),
    "search_files": ("matches",),
    "write_file": (),
    "edit_file": (),
    "move_file": (),
    "delete_file": (),
    "run_command": ("stdout", "stderr", "exit_code"),
    "fetch_url": ("text",),
    "send_request": ("status", "text"),
}
"""What can be read of a built-in tool's result (design, section 6)."""
OWN_TOOL_FIELDS: Final = ("value",)
SERVER_TOOL_FIELDS: Final = ("text", "structured", "value")
"""Of ``<server>__<tool>``; an own tool may have such a name too, so its field is among them."""
SUBPLAN_FIELDS: Final = ("outputs", "summary")


def fields_of(tool: str) -> tuple[str, ...]:
    """What can be read of a tool's result, by its name.

    >>> fields_of("read_file"), fields_of("files__read_text_file"), fields_of("count_lines")
    (('text',), ('text', 'structured', 'value'), ('value',))
    """
    return FIELDS.get(tool, SERVER_TOOL_FIELDS if "__" in tool else OWN_TOOL_FIELDS)


@dataclass(frozen=True, slots=True)
class Readable:
    """What can be read of one step."""

    what: str
    """Such as ``a call of read_file``."""
    fields: tuple[str, ...]
    outputs: tuple[str, ...] = ()


@dataclass(slots=True)
class Scope:
    """What the steps of one list can read; grows as the list is read."""

    inputs: tuple[str, ...]
    ids: tuple[str, ...] = ()
    """Of every step of the list, so that a later one can be told from an unknown one."""
    steps: dict[str, Readable] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Members of the groups that came before."""


def check_references(reader: Reader, scope: Scope) -> None:
    """Check every reference in a value.

    Raises:
        ConfigurationError: One is malformed, or reads what is not there.
    """
    _refuse_in_keys(reader)
    for keys, text in strings_in(reader.value):
        if not has_reference(text):
            continue
        place = reader.at(*keys, value=text)
        try:
            references = parse(text).references
        except ConfigurationError as error:
            raise place.error(error.problem, error.hint) from error
        for reference in references:
            _check(reference, scope, place)


def refuse_references(reader: Reader) -> None:
    """Check that a value that is not filled in does not look as if it were.

    Raises:
        ConfigurationError: It holds a reference.
    """
    _refuse_in_keys(reader)
    for keys, text in strings_in(reader.value):
        if has_reference(text):
            raise reader.at(*keys, value=text).error(
                "a reference is not read here",
                "only in the args and inputs of steps, and in a result",
            )


def _refuse_in_keys(reader: Reader) -> None:
    match reader.value:
        case dict() as mapping:
            for key, item in mapping.items():
                inner = reader.at(key, value=item)
                if has_reference(key):
                    raise inner.error("a reference is not read in a key", "only in values")
                _refuse_in_keys(inner)
        case list() as items:
            for index, item in enumerate(items):
                _refuse_in_keys(reader.at(index, value=item))


def _check(reference: Reference, scope: Scope, place: Reader) -> None:
    match reference.root:
        case "inputs":
            name = reference.parts[1]
            if name not in scope.inputs:
                raise place.error(
                    f"{str(reference)!r} reads an input that is not declared",
                    hint_for(name, scope.inputs),
                )
        case "steps":
            _check_step(reference, scope, place)
        case "plan":
            # The parser admits the three facts that exist.
            return
        case _:
            assert_never(reference.root)


def _check_step(reference: Reference, scope: Scope, place: Reader) -> None:
    step, wanted = reference.parts[1], reference.parts[2]
    if step in scope.groups:
        raise place.error(
            f"{str(reference)!r} reads a parallel group",
            "read one of its members: " + ", ".join(scope.groups[step]),
        )
    if step not in scope.steps:
        raise _absent(reference, step, scope, place)
    readable = scope.steps[step]
    if wanted not in readable.fields:
        raise place.error(
            f"{str(reference)!r} reads a field that {readable.what} does not give",
            hint_for(wanted, readable.fields),
        )
    if wanted != "outputs":
        return
    name = reference.parts[3] if len(reference.parts) > 3 else ""  # noqa: PLR2004  # outputs.<name>
    if name not in readable.outputs:
        raise place.error(
            f"{str(reference)!r} reads an output that {readable.what} does not declare",
            hint_for(name, readable.outputs),
        )


def _absent(reference: Reference, step: str, scope: Scope, place: Reader) -> ConfigurationError:
    if step in scope.ids:
        return place.error(f"{str(reference)!r} reads a step that has not run by then")
    return place.error(
        f"{str(reference)!r} reads a step that does not exist", hint_for(step, scope.steps)
    )
