"""``agents audit``: the record, as it was written."""

# Each command loads what it needs when it runs; help and completion load nothing.
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from cleveragents.cli import audit_view
from cleveragents.cli.command import AgentsCommand, AgentsGroup, pass_invocation
from cleveragents.cli.invocation import FORMATS
from cleveragents.cli.opened import in_house
from cleveragents.cli.plan_id import complete_plan_id, find_plan

if TYPE_CHECKING:
    from cleveragents.assembly.house import House
    from cleveragents.cli.invocation import Invocation
    from cleveragents.terms.answer import Answer

KINDS: Final = (
    "plan_started",
    "decision",
    "outcome",
    "violation",
    "approval_requested",
    "approval",
    "checkpoint",
    "spawn",
    "plan_state",
    "proposal",
    "merge",
    "conflict",
    "resolution",
    "apply_started",
    "apply_finished",
    "plan_ended",
    "note",
    "limits",
    "budget_warning",
    "session",
    "choice",
    "choice_outcome",
    "head",
)
"""The kinds of ``record.entry``, which is too dear to import for help and completion."""
plan_option = click.option(
    "--plan", metavar="P", shell_complete=complete_plan_id, help="Only of this plan."
)


def _plan_id(invocation: Invocation, plan: str | None) -> str | None:
    return None if plan is None else find_plan(invocation.environ, plan)


@click.command(
    "list",
    cls=AgentsCommand,
    view=audit_view.list_page,
    examples="""
    agents audit list --plan 01J8ZQ
    agents audit list --kind violation --limit 20
    """,
)
@plan_option
@click.option("--kind", type=click.Choice(KINDS), metavar="K", help="Only of this kind.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="The last so many.",
)
@pass_invocation
def list_(invocation: Invocation, *, plan: str | None, kind: str | None, limit: int) -> Answer:
    """List entries of the record, plan by plan, each plan's in their order."""
    from cleveragents.assembly import audit_command

    plan_id = _plan_id(invocation, plan)
    return in_house(
        invocation,
        lambda house: audit_command.list_records(house, plan_id=plan_id, kind=kind, limit=limit),
    )


@click.command(
    "show", cls=AgentsCommand, view=audit_view.record_page, examples="agents audit show 4711"
)
@click.argument("number", metavar="ID", type=click.IntRange(1))
@pass_invocation
def show(invocation: Invocation, *, number: int) -> Answer:
    """Show the whole entry ID: arguments, rule, result, place in its chain."""
    from cleveragents.assembly import audit_command

    return in_house(invocation, lambda house: audit_command.show_record(house, number))


@click.command(
    "verify", cls=AgentsCommand, view=audit_view.verify_page, examples="agents audit verify"
)
@pass_invocation
def verify(invocation: Invocation) -> Answer:
    """Check every chain, and the plans, profiles and results that it names.

    Exit code 1 when an entry was edited, removed, reordered or lost; says which.
    """
    from cleveragents.assembly import audit_command

    return in_house(invocation, audit_command.verify_records)


@click.command(
    "export",
    cls=AgentsCommand,
    view=audit_view.list_page,
    formats=("jsonl", "ocsf", *FORMATS),
    examples="""
    agents audit export > record.jsonl
    agents audit export --format ocsf --plan 01J8ZQ
    """,
)
@plan_option
@pass_invocation
def export(invocation: Invocation, *, plan: str | None) -> Answer:
    """Write out the record, one JSON object a line.

    jsonl: every field as stored. ocsf: as events of the Open Cybersecurity
    Schema Framework. The other formats give one answer that holds all entries.
    """
    from cleveragents.assembly import audit_command

    plan_id = _plan_id(invocation, plan)
    chosen = invocation.asked_format or "jsonl"

    def act(house: House) -> Answer:
        if chosen in FORMATS:
            return audit_command.list_records(house, plan_id=plan_id, kind=None, limit=None)
        for line in audit_command.export_records(house, plan_id=plan_id, form=chosen):
            invocation.stdout.write(line + "\n")
        return audit_command.exported()

    return in_house(invocation, act)


@click.command(
    "replay",
    cls=AgentsCommand,
    view=audit_view.replay_page,
    examples="agents audit replay 01J8ZQ --safety-profile read-only",
)
@click.argument("plan_id", metavar="PLAN", shell_complete=complete_plan_id)
@click.option("--safety-profile", metavar="P", required=True, help="The profile to try.")
@pass_invocation
def replay(invocation: Invocation, *, plan_id: str, safety_profile: str) -> Answer:
    """Decide the calls of a plan again, under another profile. Nothing is run."""
    from cleveragents.assembly import replay_command

    whole = find_plan(invocation.environ, plan_id)
    return in_house(
        invocation, lambda house: replay_command.replay_plan(house, whole, safety_profile)
    )


@click.group(
    "audit",
    cls=AgentsGroup,
    table={
        "list": ("Entries of the record.", lambda: list_),
        "show": ("One entry, whole.", lambda: show),
        "verify": ("Has anybody changed it?", lambda: verify),
        "export": ("Write it out as JSON lines or OCSF.", lambda: export),
        "replay": ("Decide a plan's calls under another profile.", lambda: replay),
    },
    examples="""
    agents audit list --kind violation
    agents audit verify
    """,
)
def audit() -> None:
    """The record: every decision before its effect, every outcome after it."""
