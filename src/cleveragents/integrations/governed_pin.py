"""What did an agent's tools say of themselves when its run began? They are held to it.

As with MCP servers: what was decided about a tool was decided about these
words and this schema. One that says something else later is not called any
more, and its new words are not shown to the model either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cleveragents.errors import ToolAccessDeniedError
from cleveragents.integrations.governed_tool import said_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_ai.toolsets import ToolsetTool

WHO: Final = "agent"
"""What stands in a profile's place: whose tools they are."""


class ToolPins:
    """The tools of one run, as they were at its start; used on the agent's loop."""

    def __init__(self) -> None:
        self._first: dict[str, ToolsetTool[Any]] | None = None
        self._digests: dict[str, str] = {}
        self._changed: frozenset[str] = frozenset()

    def shown(self, tools: Mapping[str, ToolsetTool[Any]]) -> dict[str, ToolsetTool[Any]]:
        """Give the tools of one turn, a changed one as it was; the first ones are pinned."""
        first = self._first
        if first is None:
            first = self._first = dict(tools)
            self._digests = {name: said_digest(one.tool_def) for name, one in tools.items()}
        self._changed = frozenset(
            name
            for name, one in tools.items()
            if name in self._digests and said_digest(one.tool_def) != self._digests[name]
        )
        return {name: first[name] if name in self._changed else one for name, one in tools.items()}

    def check(self, name: str, tool: str) -> None:
        """Refuse a call of a tool that has changed; the door records it.

        Args:
            name: The agent's own name of it.
            tool: Its name in profiles.

        Raises:
            ToolAccessDeniedError: It says something else of itself by now.
        """
        if name in self._changed:
            raise ToolAccessDeniedError(
                tool_name=tool,
                profile_name=WHO,
                reason=f"the agent's tool {name!r} is not what it was when the run began: its"
                " description or its schema changed; start a new run with it",
            )
