"""What does a model want called? Its arguments, read strictly, or why they cannot be read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from cleveragents.models.clean_json import clean, plain
from cleveragents.terms.model import ToolAsk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_ai.messages import ToolCallPart

_MAX_DEPTH: Final = 64
"""Of arguments: as deep as the record and the schemas read."""


def ask_of(part: ToolCallPart) -> ToolAsk:
    """Read a tool call; what cannot be read of it becomes its problem."""
    arguments: Mapping[str, object] = {}
    problem = ""
    try:
        arguments = _arguments(part.args)
    except ValueError as error:
        problem = str(error)
    return ToolAsk(part.tool_call_id, part.tool_name, arguments, problem)


def _arguments(args: str | dict[str, Any] | None) -> Mapping[str, object]:
    """Read a call's arguments strictly.

    Raises:
        ValueError: They are no JSON object; the message is a sentence.
    """
    if args is None or args == "":
        return {}
    try:
        # A dictionary goes the same way: a library may have read NaN into it.
        text = args if isinstance(args, str) else json.dumps(args)
        found = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        depth = _depth(found)
    except (ValueError, RecursionError) as error:
        msg = f"the arguments are not JSON: {_reason(error)}"
        raise ValueError(msg) from None
    if not isinstance(found, dict):
        msg = f"the arguments are {_kind(found)}, not a JSON object"
        raise ValueError(msg)  # noqa: TRY004  # a value of the answer, not an argument's type
    if depth > _MAX_DEPTH:
        msg = f"the arguments nest {depth} levels deep; at most {_MAX_DEPTH} are read"
        raise ValueError(msg)
    return {clean(key): plain(item) for key, item in found.items()}


def _no_constant(word: str) -> float:
    msg = f"{word} is no number"
    raise ValueError(msg)


def _finite(word: str) -> float:
    number = float(word)
    if number in {float("inf"), float("-inf")}:
        msg = f"the number {word[:12]} is too large"
        raise ValueError(msg)
    return number


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.lower()} at character {error.pos + 1}"
    return "they nest too deep" if isinstance(error, RecursionError) else str(error)[:80]


def _kind(value: object) -> str:
    kinds = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _depth(value: object) -> int:
    deepest = 0
    waiting = [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(one, dict):
            waiting.extend((item, depth + 1) for item in one.values())
        elif isinstance(one, list):
            waiting.extend((item, depth + 1) for item in one)
    return deepest
