"""The package's front inside a cell: what an own tool's file may name, loaded when used.

Copied to the place of the package's own ``__init__``, which names the host's
rooms and takes longer to import than a cell may take to start.
"""

from __future__ import annotations


def __getattr__(name: str) -> object:
    """Give the mark of own tools, a tool's description, or an error."""
    # Inside the functions: nothing is loaded until it is named.
    if name == "tool":
        from cleveragents.tools.own_tool import tool  # noqa: PLC0415

        return tool
    if name == "ToolSpec":
        from cleveragents.terms.tool import ToolSpec  # noqa: PLC0415

        return ToolSpec
    if name.endswith(("Error", "Violation")):
        from cleveragents import errors  # noqa: PLC0415

        return getattr(errors, name)
    msg = f"module 'cleveragents' has no attribute {name!r} inside a cell"
    raise AttributeError(msg)
