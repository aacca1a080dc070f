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
    "import",
    cls=AgentsCommand,
    view=profile_view.imported_page,
    examples="""
    agents safety-profile import .claude/settings.json --name team --output team.yaml
    agents safety-profile import ~/.claude/settings.json --add --format json
    """,
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", default="claude-code", show_default=True, help="Name of the profile.")
@click.option("--add", "is_added", is_flag=True, help="Keep the profile under its name.")
@click.option("--output", metavar="FILE", type=click.Path(path_type=Path), help="Write it here.")
@click.option(
    "--automation-output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the automation profile here: it admits what the rules ask about, and waits.",
)
@click.option(
    "--workspace",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Whose paths are meant; left out, the file's project, else the current directory.",
)
@pass_invocation
def import_(
    invocation: Invocation,
    *,
    file: Path,
    name: str,
    is_added: bool,
    output: Path | None,
    automation_output: Path | None,
    workspace: Path | None,
) -> Answer:
    """Turn the permissions of a Claude Code settings FILE into a profile.

    Says of every rule what it became. The profile never admits more: a rule
    that denies or asks and cannot be kept is an error (exit code 2), one that
    allows and cannot be kept is a warning.
    """
    from cleveragents.assembly import permission_command
    from cleveragents.cli.yaml_text import to_yaml

    return in_house(
        invocation,
        lambda house: permission_command.import_safety_profile(
            house,
            file,
            name=name,
            workspace=workspace,
            is_added=is_added,
            output=output,
            automation_output=automation_output,
            write=to_yaml,
        ),
    )


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
        "import": ("Turn Claude Code permissions into a profile.", lambda: import_),
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
