"""``agents doctor``: is the wall there that plans run behind?"""

# The command loads what it needs when it runs; help and completion load nothing.
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cleveragents.cli import doctor_view
from cleveragents.cli.command import AgentsCommand, pass_invocation
from cleveragents.cli.opened import in_house

if TYPE_CHECKING:
    from cleveragents.cli.invocation import Invocation
    from cleveragents.terms.answer import Answer


@click.command(
    "doctor",
    cls=AgentsCommand,
    view=doctor_view.doctor_page,
    examples="""
    agents doctor
    agents doctor --format json
    """,
)
@pass_invocation
def doctor(invocation: Invocation) -> Answer:
    """Build a cell, test each layer of it from inside, and say how to mend what is missing.

    Exit code 0: plans can run; 6: they cannot, and will not.
    """
    from cleveragents.assembly import doctor_command

    return in_house(invocation, doctor_command.examine)
