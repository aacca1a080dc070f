"""``agents safety-profile``: what plans may do, by name."""

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
    view=profile_view.safety_list_page,
    examples="agents safety-profile list",
)
@pass_invocation
def list_(invocation: Invocation) -> Answer:
    """List the built-in profiles and those that were added."""
    from cleveragents.assembly import profile_command

    return in_house(invocation, profile_command.list_safety_profiles)


@click.command(
    "show",
    cls=AgentsCommand,
    view=profile_view.safety_page,
    examples="""
    agents safety-profile show read-only
    agents safety-profile show docs-writer --format yaml
    """,
)
@click.argument("name")
@pass_invocation
def show(invocation: Invocation, *, name: str) -> Answer:
    """Show the profile NAME with its patterns resolved to tools.

    Warns about a name that is on both lists, and about a name or pattern that
    no tool has.
    """
    from cleveragents.assembly import profile_command

    return in_house(invocation, lambda house: profile_command.show_safety_profile(house, name))


@click.command(
    "check",
    cls=AgentsCommand,
    view=profile_view.check_page,
    examples="""
    agents safety-profile check read-only read_file --args '{"path": "README.md"}'
    agents safety-profile check read-only write_file --args '{"path": "a", "content": ""}'
    """,
)
@click.argument("name")
@click.argument("tool")
@click.option("--args", "arguments", metavar="JSON", default="{}", help="The call's arguments.")
@pass_invocation
def check(invocation: Invocation, *, name: str, tool: str, arguments: str) -> Answer:
    """Say whether profile NAME admits a call of TOOL, and by which rule.

    Nothing is run. Exit code 0: admitted; 3: denied.
    """
    from cleveragents.assembly import profile_command

    return in_house(
        invocation, lambda house: profile_command.check_safety_profile(house, name, tool, arguments)
    )


@click.command(
    "add",
    cls=AgentsCommand,
    view=profile_view.safety_page,
    examples="agents safety-profile add docs-writer.yaml",
)
@click.argument("file", type=click.Path(path_type=Path))
@pass_invocation
def add(invocation: Invocation, *, file: Path) -> Answer:
    """Check the profile in FILE with its examples, and keep it under its name."""
    from cleveragents.assembly import profile_command

    return in_house(invocation, lambda house: profile_command.add_safety_profile(house, file))


@click.command(
    "remove",
    cls=AgentsCommand,
    view=profile_view.removed_page,
    examples="agents safety-profile remove docs-writer",
)
@click.argument("name")
@pass_invocation
def remove(invocation: Invocation, *, name: str) -> Answer:
    """Forget the profile NAME. Plans that ran under it keep their copy."""
    from cleveragents.assembly import profile_command

    return in_house(invocation, lambda house: profile_command.remove_safety_profile(house, name))


@click.group(
    "safety-profile",
    cls=AgentsGroup,
    table={
        "list": ("The profiles there are.", lambda: list_),
        "show": ("What a profile admits, resolved to tools.", lambda: show),
        "check": ("Would this call be admitted? Runs nothing.", lambda: check),
        "add": ("Keep the profile in a file under its name.", lambda: add),
        "remove": ("Forget a profile that was added.", lambda: remove),
    },
    examples="""
    agents safety-profile show read-only
    agents safety-profile check read-only write_file --args '{"path": "a", "content": ""}'
    """,
)
def safety_profile() -> None:
    """What plans may do, by name.

    Several profiles may be in force; each can only tighten.
    """
