"""Do the arguments satisfy a JSON Schema? The only door to the schema library.

The library ignores keywords that it does not know and would fetch a remote
reference, so a schema is read strictly before it is compiled: a misspelt
condition must not admit everything. What JSON Schema itself means is kept:
``properties`` says nothing about an argument that is absent (add
``required``), and ``maxLength`` nothing about one that is no string (the
tool's own schema says of which type it is).

Source:
    JSON Schema 2020-12, core and validation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import jsonschema_rs

from cleveragents.errors import ConfigurationError
from cleveragents.policy.schema_check import check_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.terms.tool import ToolSpec

_BROKEN: Final = (ValueError, TypeError, OverflowError, RecursionError)
"""What the library raises for a value that is no JSON."""
_MASK: Final = "the value"
_MAX_REASON_CHARS: Final = 300


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled schema."""

    admits: Callable[[object], bool]
    """The library's own check, for the hot path: may raise for what is no JSON."""
    _validator: jsonschema_rs.Validator

    def failure(self, arguments: object) -> str | None:
        """Say how the arguments fail; ``None`` when they do not.

        The sentence names the argument and the rule, never the value. A check
        that breaks is a failure.

        >>> schema = {"properties": {"content": {"maxLength": 3}}}
        >>> compile_schema(schema, where="").failure({"content": "secret"})
        'content: the value is longer than 3 characters'
        """
        try:
            # What is right is told for half of what it costs to ask what is wrong.
            if self.admits(arguments):
                return None
            for error in self._validator.iter_errors(arguments):
                place = ".".join(str(part) for part in error.instance_path)
                message = " ".join(error.message.split())[:_MAX_REASON_CHARS]
                return f"{place}: {message}" if place else message
        except _BROKEN as error:
            return f"the condition cannot be evaluated ({type(error).__name__})"
        return "the condition does not hold, and gives no reason"


def compile_condition(schema: Mapping[str, object], *, tool: ToolSpec, where: str) -> Condition:
    """Compile a ``where`` condition on one tool's arguments.

    Raises:
        ConfigurationError: An unknown keyword, a reference out of the schema,
            an argument that the tool does not have, or no valid schema.
    """
    check_schema(schema, where=where, arguments_of=tool)
    return compile_schema(schema, where=where)


def compile_parameters(spec: ToolSpec) -> Condition:
    """Compile a tool's own schema, for the check of what an actor sent.

    Raises:
        ConfigurationError: It is no schema that can be checked.
    """
    where = f"{spec.source or spec.origin}: tool {spec.name!r}"
    # A server's schema may carry its own annotations; the rest was written here.
    if spec.origin != "mcp":
        check_schema(spec.parameters, where=where)
    return compile_schema(spec.parameters, where=where)


def compile_output(schema: Mapping[str, object], *, where: str) -> Condition:
    """Compile the schema of a declared output of a subplan.

    Raises:
        ConfigurationError: It is no schema that can be checked.
    """
    check_schema(schema, where=where)
    return compile_schema(schema, where=where)


def compile_schema(schema: Mapping[str, object], *, where: str) -> Condition:
    """Compile without fetching, without backtracking, without quoting values.

    Raises:
        ConfigurationError: It is no valid schema.
    """
    try:
        validator = jsonschema_rs.Draft202012Validator(
            dict(schema),
            offline=True,
            mask=_MASK,
            pattern_options=jsonschema_rs.RegexOptions(),
        )
    except (jsonschema_rs.ValidationError, *_BROKEN) as error:
        first = str(error).partition("\n")[0]
        raise ConfigurationError(
            problem=f"no valid JSON Schema: {first[:_MAX_REASON_CHARS]}", where=where
        ) from error
    return Condition(admits=validator.is_valid, _validator=validator)
