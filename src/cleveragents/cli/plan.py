"""The commands of ``agents plan`` that move a plan: parse, call assembly, show.

``assembly`` is imported inside each command: help and completion are not to
pay for the whole house.
"""

# Importing late is the purpose, as said above.
# ruff: noqa: PLC0415

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cleveragents.cli import plan_view
from cleveragents.cli.command import AgentsCommand, pass_invocation
from cleveragents.cli.limit_option import limit_options
from cleveragents.cli.plan_id import complete_plan_id, find_plan

if TYPE_CHECKING:
    from cleveragents.cli.invocation import Invocation
    from cleveragents.terms.answer import Answer
    from cleveragents.terms.interaction import Interaction

plan_argument = click.argument("plan_id", metavar="PLAN", shell_complete=complete_plan_id)
apply_option = click.option(
    "--apply", "apply_", is_flag=True, help="Apply the changes when the plan is complete."
)


def _split_input(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{text!r} is not of the form name=value", ctx, param)
        if key in dict(pairs):
            raise click.BadParameter(f"the input {key!r} is given twice", ctx, param)
        pairs.append((key, value))
    return tuple(pairs)


def _interaction(invocation: Invocation) -> Interaction:
    from cleveragents.cli.terminal import interaction_for

    return interaction_for(invocation)


@click.command(
    "run",
    cls=AgentsCommand,
    view=plan_view.status_page,
    examples="""
    agents plan run plan.yaml
    agents plan run plan.yaml --workspace ~/src/project --safety-profile read-only
    agents plan run plan.yaml --input version=1.2 --max-cost 0.50 --apply
    """,
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--goal", metavar="TEXT", help="What to reach, in place of a FILE.")
@click.option(
    "--workspace",
    metavar="DIR",
    default=".",
    type=click.Path(path_type=Path),
    help="Directory to work on; the current one unless given.",
)
@click.option("--automation-profile", metavar="P", help="A name, or a path to its file.")
@click.option("--safety-profile", metavar="P", help="A name; can only tighten.")
@limit_options
@click.option("--model", metavar="M", help="Model of the actor, such as openai:gpt-5-mini.")
@click.option(
    "--mcp-config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="File of MCP servers, in the mcpServers form, whose tools the plan may use.",
)
@click.option(
    "--input",
    "inputs",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_split_input,
    help="A declared input of the plan; may be repeated.",
)
@apply_option
@click.option(
    "--session", metavar="ID", help="Session whose budget it counts against; else DIR's own."
)
@click.option(
    "--isolation",
    type=click.Choice(["off-unsafe"]),
    help="off-unsafe: run WITHOUT the wall. Scripted plans only; stamped on plan and record.",
)
@pass_invocation
def run(
    invocation: Invocation,
    *,
    file: Path | None,
    goal: str | None,
    workspace: Path,
    automation_profile: str | None,
    safety_profile: str | None,
    max_cost: str | None,
    max_tokens: str | None,
    max_requests: str | None,
    max_tool_calls: str | None,
    max_seconds: str | None,
    model: str | None,
    mcp_config: Path | None,
    inputs: tuple[tuple[str, str], ...],
    apply_: bool,
    session: str | None,
    isolation: str | None,
) -> Answer:
    """Run the plan in FILE, or reach a goal, in a copy of the workspace.

    Your directory changes only when the plan's changes are applied: with
    --apply, by your answer at the terminal, or later by 'agents plan apply'.
    """
    if (file is None) == (goal is None):
        raise click.UsageError("give either a FILE or --goal TEXT", click.get_current_context())
    from cleveragents.assembly import plan_command

    request = plan_command.RunRequest(
        file=file,
        goal=goal,
        workspace=workspace,
        automation_profile=automation_profile,
        safety_profile=safety_profile,
        max_cost=max_cost,
        max_tokens=max_tokens,
        max_requests=max_requests,
        max_tool_calls=max_tool_calls,
        max_seconds=max_seconds,
        model=model,
        mcp_config=mcp_config,
        inputs=inputs,
        apply=apply_,
        session=session,
        isolation=isolation,
    )
    return plan_command.run(request, _interaction(invocation))


@click.command(
    "apply",
    cls=AgentsCommand,
    view=plan_view.status_page,
    examples="""
    agents plan apply 01J8ZQ
    agents plan apply 01J8ZQ --yes
    agents plan apply 01J8ZQ --partial
    """,
)
@plan_argument
@click.option("--yes", is_flag=True, help="Do not ask; also for files that run code later.")
@click.option("--partial", is_flag=True, help="Apply what a plan made that did not end well.")
@pass_invocation
def apply(invocation: Invocation, *, plan_id: str, yes: bool, partial: bool) -> Answer:
    """Put the plan's changes into your directory: all of them, or none.

    Nothing is overwritten that changed there since the plan began; that is a
    conflict (exit code 5).
    """
    from cleveragents.assembly import plan_command

    return plan_command.apply(
        find_plan(invocation.environ, plan_id),
        yes=yes,
        partial=partial,
        interaction=_interaction(invocation),
    )


@click.command(
    "resume",
    cls=AgentsCommand,
    view=plan_view.status_page,
    examples="""
    agents plan resume 01J8ZQ
    agents plan resume 01J8ZQ --max-cost 1.00
    """,
)
@plan_argument
@limit_options
@apply_option
@pass_invocation
def resume(invocation: Invocation, /, *, plan_id: str, apply_: bool, **typed: str | None) -> Answer:
    """Go on with a plan that was interrupted, waits, or ran out of budget.

    No call that has ended runs again, and none is paid for again: the record
    answers for it. A --max option raises or lowers the plan's own limit
    ('none' lifts it); its session's is raised by 'agents session edit'.
    """
    from cleveragents.assembly import plan_command
    from cleveragents.assembly.allowance import Typed

    return plan_command.resume(
        find_plan(invocation.environ, plan_id),
        limits=Typed(**{name.removeprefix("max_"): value for name, value in typed.items()}),
        apply=apply_,
        interaction=_interaction(invocation),
    )


@click.command(
    "cancel",
    cls=AgentsCommand,
    view=plan_view.status_page,
    examples="agents plan cancel 01J8ZQ",
)
@plan_argument
@pass_invocation
def cancel(invocation: Invocation, *, plan_id: str) -> Answer:
    """End a plan. What it made stays to be seen; your directory is unchanged."""
    from cleveragents.assembly import plan_command

    return plan_command.cancel(find_plan(invocation.environ, plan_id))


@click.command(
    "approve",
    cls=AgentsCommand,
    view=plan_view.status_page,
    examples="""
    agents plan approve 01J8ZQ build
    agents plan approve 01J8ZQ build --deny --reason "not on a Friday"
    """,
)
@plan_argument
@click.argument("call_id", metavar="CALL")
@click.option("--deny", is_flag=True, help="Refuse the call.")
@click.option("--reason", metavar="TEXT", default="", help="Kept in the record.")
@pass_invocation
def approve(
    invocation: Invocation, *, plan_id: str, call_id: str, deny: bool, reason: str
) -> Answer:
    """Allow exactly the call CALL, which waits; 'agents plan resume' goes on.

    The answer is bound to the call's arguments as 'agents plan status' shows them.
    """
    from cleveragents.assembly import plan_command
    from cleveragents.assembly.house import person

    return plan_command.approve(
        find_plan(invocation.environ, plan_id),
        call_id,
        deny=deny,
        reason=reason,
        who=person(invocation.environ),
    )
