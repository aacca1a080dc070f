"""``agents automation-profile``: how plans run."""

# Each command loads what it needs when it runs; help and completion load nothing.
# ruff: noqa: PLC0415

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cleveragents.cli import profile_view
from cleveragents.cli.command import AgentsCommand, AgentsGroup, pass_invocation
from cleveragents.cli.opened import in_house

if TYPE_CHECKING:
    from cleveragents.cli.invocation import Invocation
    from cleveragents.terms.answer import Answer


@click.command(
    "list",
    cls=AgentsCommand,
    view=profile_view.automation_list_page,
    examples="agents automation-profile list",
)
@pass_invocation
def list_(invocation: Invocation) -> Answer:
    """List the automation profiles that were added."""
    from cleveragents.assembly import automation_command

    return in_house(invocation, automation_command.list_automation_profiles)


@click.command(
    "show",
    cls=AgentsCommand,
    view=profile_view.automation_page,
    examples="agents automation-profile show careful",
)
@click.argument("name")
@pass_invocation
def show(invocation: Invocation, *, name: str) -> Answer:
    """Show the automation profile NAME."""
    from cleveragents.assembly import automation_command

    return in_house(
        invocation, lambda house: automation_command.show_automation_profile(house, name)
    )


@click.command(
    "validate",
    cls=AgentsCommand,
    view=profile_view.automation_page,
    examples="agents automation-profile validate careful.yaml",
)
@click.argument("file", type=click.Path(path_type=Path))
@pass_invocation
def validate(invocation: Invocation, *, file: Path) -> Answer:
    """Read FILE with all that it names, and say what is wrong; nothing is kept."""
    from cleveragents.assembly import automation_command

    return in_house(
        invocation, lambda house: automation_command.validate_automation_profile(house, file)
    )


@click.command(
    "add",
    cls=AgentsCommand,
    view=profile_view.automation_page,
    examples="agents automation-profile add careful.yaml",
)
@click.argument("file", type=click.Path(path_type=Path))
@pass_invocation
def add(invocation: Invocation, *, file: Path) -> Answer:
    """Validate FILE and keep it under its name.

    An added profile is the operator's: its credentials, tools, delegates and
    'apply: auto' count also when a plan file names it.
    """
    from cleveragents.assembly import automation_command

    return in_house(
        invocation, lambda house: automation_command.add_automation_profile(house, file)
    )


@click.command(
    "remove",
    cls=AgentsCommand,
    view=profile_view.removed_page,
    examples="agents automation-profile remove careful",
)
@click.argument("name")
@pass_invocation
def remove(invocation: Invocation, *, name: str) -> Answer:
    """Forget the automation profile NAME."""
    from cleveragents.assembly import automation_command

    return in_house(
        invocation, lambda house: automation_command.remove_automation_profile(house, name)
    )


@click.group(
    "automation-profile",
    cls=AgentsGroup,
    table={
        "list": ("The profiles there are.", lambda: list_),
        "show": ("What a profile says.", lambda: show),
        "validate": ("Check a file; keep nothing.", lambda: validate),
        "add": ("Keep the profile in a file under its name.", lambda: add),
        "remove": ("Forget a profile that was added.", lambda: remove),
    },
    examples="agents automation-profile validate careful.yaml",
)
def automation_profile() -> None:
    """How plans run: safety profile, budget, approvals, subplans, apply."""
