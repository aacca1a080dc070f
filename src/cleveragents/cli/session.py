"""``agents session``: plans that share one budget."""

# Each command loads what it needs when it runs; help and completion load nothing.
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cleveragents.cli import session_view
from cleveragents.cli.command import AgentsCommand, AgentsGroup, pass_invocation
from cleveragents.cli.limit_option import limit_options
from cleveragents.cli.opened import in_house

if TYPE_CHECKING:
    from cleveragents.assembly.allowance import Typed
    from cleveragents.cli.invocation import Invocation
    from cleveragents.terms.answer import Answer

session_argument = click.argument("session_id", metavar="ID")


def _typed(options: dict[str, str | None]) -> Typed:
    from cleveragents.assembly.allowance import Typed

    return Typed(**{name.removeprefix("max_"): value for name, value in options.items()})


@click.command(
    "create",
    cls=AgentsCommand,
    view=session_view.session_page,
    examples="""
    agents session create --max-cost 5
    agents session create --max-cost 0.50 --max-tokens 400000
    """,
)
@limit_options
@pass_invocation
def create(invocation: Invocation, /, **options: str | None) -> Answer:
    """Make a session; 'agents plan run --session ID' runs plans in it.

    A limit that is left out does not limit; 0 admits nothing.
    """
    from cleveragents.assembly import session_command

    return in_house(invocation, lambda house: session_command.create(house, _typed(options)))


@click.command(
    "list", cls=AgentsCommand, view=session_view.list_page, examples="agents session list"
)
@pass_invocation
def list_(invocation: Invocation) -> Answer:
    """List the sessions, newest first; a directory's own ones too."""
    from cleveragents.assembly import session_command

    return in_house(invocation, session_command.list_sessions)


@click.command(
    "show",
    cls=AgentsCommand,
    view=session_view.session_page,
    examples="agents session show 01J8ZQ --format json",
)
@session_argument
@pass_invocation
def show(invocation: Invocation, *, session_id: str) -> Answer:
    """Show a session's plans, what each cost and was refused, and the sum."""
    from cleveragents.assembly import session_command

    return in_house(invocation, lambda house: session_command.show(house, session_id))


@click.command(
    "edit",
    cls=AgentsCommand,
    view=session_view.session_page,
    examples="""
    agents session edit 01J8ZQ --max-cost 10
    agents session edit 01J8ZQ --max-tokens none
    """,
)
@session_argument
@limit_options
@pass_invocation
def edit(invocation: Invocation, /, *, session_id: str, **options: str | None) -> Answer:
    """Change a session's limits; 'none' lifts one, what is not named stays.

    Who changed what is in the record. A plan that ended at the old limit goes
    on by 'agents plan resume'.
    """
    from cleveragents.assembly import session_command

    return in_house(
        invocation, lambda house: session_command.edit(house, session_id, _typed(options))
    )


@click.command(
    "delete",
    cls=AgentsCommand,
    view=session_view.session_page,
    examples="agents session delete 01J8ZQ",
)
@session_argument
@pass_invocation
def delete(invocation: Invocation, *, session_id: str) -> Answer:
    """Forget a session none of whose plans is running or waiting.

    Its plans and what they cost stay in the record.
    """
    from cleveragents.assembly import session_command

    return in_house(invocation, lambda house: session_command.delete(house, session_id))


@click.group(
    "session",
    cls=AgentsGroup,
    table={
        "create": ("Make a session with limits.", lambda: create),
        "list": ("The sessions, newest first.", lambda: list_),
        "show": ("A session's plans and what they cost.", lambda: show),
        "edit": ("Change a session's limits.", lambda: edit),
        "delete": ("Forget a session.", lambda: delete),
    },
    examples="""
    agents session create --max-cost 5
    agents plan run plan.yaml --session 01J8ZQ
    """,
)
def session() -> None:
    """Plans that share one budget.

    ID is what 'agents session list' shows, or its first characters. Every
    directory has a session of its own, made with the first plan that runs there.
    """
