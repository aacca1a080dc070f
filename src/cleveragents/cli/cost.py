"""``agents cost``: what was spent, from the record."""

# The command loads what it needs when it runs; help and completion load nothing.
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cleveragents.cli import session_view
from cleveragents.cli.command import AgentsCommand, pass_invocation
from cleveragents.cli.opened import in_house

if TYPE_CHECKING:
    from cleveragents.cli.invocation import Invocation
    from cleveragents.terms.answer import Answer


@click.command(
    "cost",
    cls=AgentsCommand,
    view=session_view.cost_page,
    examples="""
    agents cost
    agents cost --by model
    agents cost --by plan --since 2026-01-31 --format json
    """,
)
@click.option(
    "--by",
    type=click.Choice(["day", "model", "plan", "session"]),
    default="day",
    show_default=True,
    help="What each row adds up.",
)
@click.option("--since", metavar="DAY", help="First day, such as 2026-01-31, in UTC; else all.")
@pass_invocation
def cost(invocation: Invocation, *, by: str, since: str | None) -> Answer:
    """Add up what models and calls with a price cost; 'agents audit verify' checks the sums."""
    from cleveragents.assembly import session_command

    return in_house(invocation, lambda house: session_command.cost(house, by, since))
