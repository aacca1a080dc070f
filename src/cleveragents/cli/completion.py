"""``agents completion SHELL``: the script that a shell reads once."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from cleveragents.cli.command import COMPLETION, PROGRAM, AgentsCommand
from cleveragents.cli.fact import text_at
from cleveragents.cli.page import Page, Source
from cleveragents.terms.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping


def _script_page(data: Mapping[str, object]) -> Page:
    return (Source(text_at(data, "script")),)


@click.command(
    "completion",
    cls=AgentsCommand,
    view=_script_page,
    examples="""
    agents completion bash > ~/.local/share/bash-completion/completions/agents
    agents completion zsh > ~/.zfunc/_agents
    agents completion fish > ~/.config/fish/completions/agents.fish
    """,
)
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> Answer:
    """Print the completion script of SHELL: bash, zsh or fish.

    The script asks 'agents' itself what may follow, so it never grows old.
    """
    # click's completion module is for completing, not for every command.
    from click.shell_completion import ShellComplete, get_completion_class  # noqa: PLC0415

    known = cast("type[ShellComplete]", get_completion_class(shell))  # the three are click's own
    completer = known(ctx.find_root().command, {}, PROGRAM, COMPLETION)
    # Not ``completer.source()``: bash's would run a shell to see how old it is.
    return Answer({"shell": shell, "script": completer.source_template % completer.source_vars()})
