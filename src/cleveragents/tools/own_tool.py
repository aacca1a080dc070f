"""The operator's own tools: how one is marked, and how its file is loaded in the cell.

The host never runs such a file: ``describe`` reads it. The cell runs it:
``load`` gives the functions.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Final, TypeVar, overload

from cleveragents.tools.declaration import declare

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cleveragents.terms.tool import ToolSpec

_MARK: Final = "__cleveragents_tool__"

F = TypeVar("F", bound="Callable[..., object]")


@overload
def tool(function: F, /) -> F: ...


@overload
def tool(
    *, effects: object = None, resources: object = None, cost_usd: object = None
) -> Callable[[F], F]: ...


def tool(
    function: F | None = None,
    /,
    *,
    effects: object = None,
    resources: object = None,
    cost_usd: object = None,
) -> F | Callable[[F], F]:
    """Mark a plain typed function as a tool; the function itself is unchanged.

    Args:
        function: The function, when the mark stands without brackets: then
            nothing is declared and the tool has all effects.
        effects: What it does: a set of ``read``, ``write``, ``delete``,
            ``network``, ``execute``, ``spawn``.
        resources: Which arguments name a ``file``, a ``host`` or a
            ``credential``.
        cost_usd: Price of one call.

    Raises:
        ConfigurationError: A value is unknown, or two contradict each other.

    >>> @tool(effects={"read"}, resources={"path": "file"})
    ... def count_lines(path: str) -> int:
    ...     return 3
    >>> count_lines("README.md")
    3
    """

    def mark(marked: F) -> F:
        where = f"tool {marked.__name__}"
        setattr(marked, _MARK, declare(effects, resources, cost_usd, where=where))
        return marked

    return mark if function is None else mark(function)


def describe(path: Path) -> tuple[ToolSpec, ...]:
    """Read the tools that a file defines, without running it.

    Raises:
        ConfigurationError: The file cannot be read, defines no tool, or one
            in a way that cannot be read.
    """
    # The guest loads this module for ``tool`` and ``load`` and has no need of the reader.
    from cleveragents.tools import own_tool_file  # noqa: PLC0415

    return own_tool_file.read(path)


def load(path: str) -> dict[str, Callable[..., object]]:
    """Run a file of own tools, in the cell, and give each marked function by name.

    Raises:
        OSError: The file cannot be read.
        Exception: Whatever the file itself raises while it runs.
    """
    module = types.ModuleType("cleveragents_own_tool")
    module.__file__ = path
    with open(path, "rb") as file:  # noqa: PTH123  # no pathlib in the guest's start
        code = compile(file.read(), path, "exec")
    exec(code, module.__dict__)  # noqa: S102  # in the cell: this is what the cell is for
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, types.FunctionType)
        and hasattr(value, _MARK)
        and value.__name__ == name
    }
