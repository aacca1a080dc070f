"""The commands of ``agents plan`` that ask how a plan stands, and the one that settles a conflict.

``assembly`` is imported inside each command: help and completion are not to
pay for the whole house.
"""

# Importing late is the purpose, as said above.
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cleveragents.cli import plan_view
from cleveragents.cli.command import AgentsCommand, pass_invocation
from cleveragents.cli.plan_id import complete_plan_id, find_plan

if TYPE_CHECKING:
    from cleveragents.cli.invocation import Invocation
    from cleveragents.terms.answer import Answer
    from cleveragents.terms.plan import State

plan_argument = click.argument("plan_id", metavar="PLAN", shell_complete=complete_plan_id)


@click.command(
    "list",
    cls=AgentsCommand,
    view=plan_view.list_page,
    examples="""
    agents plan list
    agents plan list --state waiting --format json
    """,
)
@click.option(
    "--state",
    type=click.Choice(["queued", "processing", "waiting", "complete", "errored", "cancelled"]),
    help="Only plans in this state.",
)
def list_(*, state: State | None) -> Answer:
    """List the plans, newest first."""
    from cleveragents.assembly import plan_look

    return plan_look.list_plans(state)


@click.command(
    "tree", cls=AgentsCommand, view=plan_view.tree_page, examples="agents plan tree 01J8ZQ"
)
@plan_argument
@pass_invocation
def tree(invocation: Invocation, *, plan_id: str) -> Answer:
    """Draw a plan: its decisions, their calls and subplans, refusals and costs."""
    from cleveragents.assembly import plan_look

    return plan_look.tree(find_plan(invocation.environ, plan_id))


@click.command(
    "diff",
    cls=AgentsCommand,
    view=plan_view.diff_page,
    examples="""
    agents plan diff 01J8ZQ
    agents plan diff 01J8ZQ --format json
    """,
)
@plan_argument
@pass_invocation
def diff(invocation: Invocation, *, plan_id: str) -> Answer:
    """Show what the plan would change in your directory, as a patch.

    Control characters are spelt out for people; --format json has the exact text.
    """
    from cleveragents.assembly import plan_look

    return plan_look.diff(find_plan(invocation.environ, plan_id))


@click.command(
    "explain",
    cls=AgentsCommand,
    view=plan_view.explain_page,
    examples="""
    agents plan explain 01J8ZQ
    agents plan explain 01J8ZQ d2
    agents plan explain 01J8ZQ note --format json
    """,
)
@plan_argument
@click.argument("decision", required=False)
@pass_invocation
def explain(invocation: Invocation, *, plan_id: str, decision: str | None) -> Answer:
    """Say what the plan decided and why, and for every call which rule let it in or not.

    DECISION is the id of a decision (d2) or of a call, as they are shown; then
    only that one with what belongs to it.
    """
    from cleveragents.assembly import plan_look

    return plan_look.explain(find_plan(invocation.environ, plan_id), decision)


@click.command(
    "conflicts",
    cls=AgentsCommand,
    view=plan_view.conflicts_page,
    examples="agents plan conflicts 01J8ZQ",
)
@plan_argument
@pass_invocation
def conflicts(invocation: Invocation, *, plan_id: str) -> Answer:
    """List the paths that both sides changed."""
    from cleveragents.assembly import conflict_command

    return conflict_command.conflicts(find_plan(invocation.environ, plan_id))


@click.command(
    "resolve",
    cls=AgentsCommand,
    view=plan_view.conflicts_page,
    examples="""
    agents plan resolve 01J8ZQ docs/a.md --take theirs
    agents plan resolve 01J8ZQ docs/a.md --take merged/a.md
    """,
)
@plan_argument
@click.argument("path")
@click.option(
    "--take",
    metavar="ours|theirs|base|FILE",
    required=True,
    help="ours: as here so far; theirs: the plan's; base: before both; or a file of yours.",
)
@pass_invocation
def resolve(invocation: Invocation, *, plan_id: str, path: str, take: str) -> Answer:
    """Settle the conflict at PATH. After the last one 'agents plan resume' goes on."""
    from cleveragents.assembly import conflict_command

    return conflict_command.resolve(find_plan(invocation.environ, plan_id), path, take)
