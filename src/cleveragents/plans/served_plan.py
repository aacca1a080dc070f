"""A plan whose calls come from outside, from an MCP client or another program.

They are made as they come: it has no run that could go on without whoever
asks, and nothing of it waits to be shown or applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from cleveragents.errors import ConfigurationError, RecordError

if TYPE_CHECKING:
    from cleveragents.plans.charter import Charter
    from cleveragents.record.plan_row import PlanRow

KEY: Final = "served"
"""Of a row's detail; not there for every other plan."""


def served_of(charter: Charter) -> Literal["", "mcp_client", "program"]:
    """Say whose calls a plan takes; nobody's when it has an actor of its own."""
    actor = charter.definition.get("actor")
    if not isinstance(actor, dict) or actor.get("kind") != "gateway":
        return ""
    return "program" if charter.definition.get("embedded") is True else "mcp_client"


def served_detail(charter: Charter) -> dict[str, object]:
    """What a plan's row says of it."""
    who = served_of(charter)
    return {KEY: who} if who else {}


def check_may_resume(charter: Charter) -> None:
    """Refuse to go on with a plan whose calls came from somebody who is gone.

    Raises:
        RecordError: It served an MCP client, or another program.
    """
    match served_of(charter):
        case "mcp_client":
            who, again = "an MCP client", "start 'agents mcp serve' again; the client"
        case "program":
            who, again = "a program", "start that one again: it begins another plan, and"
        case _:
            return
    raise RecordError(
        problem=f"plan {charter.plan_id} served {who}, which is gone",
        hint=f"{again} repeats what it wants",
    )


def check_has_changes(row: PlanRow) -> None:
    """Refuse to look for changes of a plan that collects none.

    Raises:
        ConfigurationError: It serves an MCP client, or another program.
    """
    if row.detail.get(KEY):
        raise ConfigurationError(
            problem=f"the calls of plan {row.plan_id} are made as they come: it collects nothing"
            " to show or apply",
            hint=f"'agents plan explain {row.plan_id}' shows what it did",
        )
