"""The group ``agents plan``; it imports none of its commands."""

from __future__ import annotations

import click

from cleveragents.cli.command import AgentsGroup
from cleveragents.cli.plan_table import PLAN


@click.group(
    "plan",
    cls=AgentsGroup,
    table=PLAN,
    examples="""
    agents plan run plan.yaml --safety-profile read-only
    agents plan status
    agents plan diff 01J8
    agents plan apply 01J8
    """,
)
def plan() -> None:
    """Run plans, see what they did, apply what they made.

    A plan works in its own copy of your directory. PLAN is the id that
    'agents plan list' shows, or its first characters (4 or more).
    """
