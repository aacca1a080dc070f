"""Reads a body's arguments once more: the schema was checked by the host, not by the cell."""

from __future__ import annotations

from cleveragents.errors import ToolFailedError
from cleveragents.terms.path import is_outside, normalise_path

# No typing: it is what a cold cell would wait for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Never


def fail(tool: str, reason: str) -> Never:
    """Fail the call with one sentence.

    Raises:
        ToolFailedError: Always.
    """
    raise ToolFailedError(tool_name=tool, reason=reason)


def text(arguments: Mapping[str, object], name: str, *, tool: str) -> str:
    """Give a string argument that must be there.

    Raises:
        ToolFailedError: It is missing or no string.
    """
    value = arguments.get(name)
    if not isinstance(value, str):
        fail(tool, f"{name!r} is not a text")
    return value


def integer(arguments: Mapping[str, object], name: str, *, tool: str) -> int | None:
    """Give a positive whole number, or ``None`` when it is absent.

    Raises:
        ToolFailedError: It is something else, or below 1.
    """
    value = arguments.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        fail(tool, f"{name!r} is not a whole number from 1 on")
    return value


def path(arguments: Mapping[str, object], name: str, *, tool: str, absent: str = "") -> str:
    """Give a path argument in its one spelling, inside the workspace.

    Args:
        arguments: As they came.
        name: Which argument.
        tool: Whose call it is, for the message.
        absent: What an absent argument stands for; empty: it must be there.

    Raises:
        ToolFailedError: It is missing, malformed or leaves the workspace.
    """
    raw = arguments.get(name, absent) if absent else text(arguments, name, tool=tool)
    if not isinstance(raw, str):
        fail(tool, f"{name!r} is not a text")
    try:
        normalised = normalise_path(raw)
        normalised.encode()
    except UnicodeEncodeError:
        fail(tool, f"{name!r} is not valid Unicode")
    except ValueError as error:
        fail(tool, str(error))
    if is_outside(normalised):
        fail(tool, f"{raw!r} is outside the workspace")
    return normalised
