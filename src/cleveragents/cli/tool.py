"""``agents tool``: the tools there are, and your own."""

# Each command loads what it needs when it runs; help and completion load nothing.
# ruff: noqa: PLC0415

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cleveragents.cli import tool_view
from cleveragents.cli.command import AgentsCommand, AgentsGroup, pass_invocation
from cleveragents.cli.opened import in_house

if TYPE_CHECKING:
    from cleveragents.cli.invocation import Invocation
    from cleveragents.terms.answer import Answer


@click.command(
    "list", cls=AgentsCommand, view=tool_view.list_page, examples="agents tool list --format json"
)
@pass_invocation
def list_(invocation: Invocation) -> Answer:
    """List the tools, with their effects."""
    from cleveragents.assembly import tool_command

    return in_house(invocation, tool_command.list_tools)


@click.command(
    "show", cls=AgentsCommand, view=tool_view.tool_page, examples="agents tool show run_command"
)
@click.argument("name")
@pass_invocation
def show(invocation: Invocation, *, name: str) -> Answer:
    """Show the tool NAME: arguments, effects, resources, price."""
    from cleveragents.assembly import tool_command

    return in_house(invocation, lambda house: tool_command.show_tool(house, name))


@click.command(
    "add", cls=AgentsCommand, view=tool_view.list_page, examples="agents tool add my_tools.py"
)
@click.argument("file", type=click.Path(path_type=Path))
@pass_invocation
def add(invocation: Invocation, *, file: Path) -> Answer:
    """Keep a copy of FILE and offer its tools to every plan.

    The file is read, not run: its functions run in the cell of a plan only.
    """
    from cleveragents.assembly import tool_command

    return in_house(invocation, lambda house: tool_command.add_tools(house, file))


@click.command(
    "remove", cls=AgentsCommand, view=tool_view.removed_page, examples="agents tool remove my_tools"
)
@click.argument("name")
@pass_invocation
def remove(invocation: Invocation, *, name: str) -> Answer:
    """Forget the own tool NAME, with the others of its file."""
    from cleveragents.assembly import tool_command

    return in_house(invocation, lambda house: tool_command.remove_tool(house, name))


@click.group(
    "tool",
    cls=AgentsGroup,
    table={
        "list": ("The tools there are.", lambda: list_),
        "show": ("Arguments, effects and resources of one.", lambda: show),
        "add": ("Offer the tools in a file of yours.", lambda: add),
        "remove": ("Forget a tool that was added.", lambda: remove),
    },
    examples="""
    agents tool list
    agents tool add my_tools.py
    """,
)
def tool() -> None:
    """The tools there are, and your own."""
