"""``agents mcp serve``: the tools of this program and of others, under a profile, for any client.

Standard output belongs to the protocol alone; everything for people goes to
standard error.
"""

# The command loads what it needs when it runs; help and completion load nothing.
# ruff: noqa: PLC0415

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cleveragents.cli.command import AgentsCommand, AgentsGroup, pass_invocation
from cleveragents.cli.invocation import no_page
from cleveragents.cli.limit_option import limit_options
from cleveragents.cli.neutral import neutralise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cleveragents.cli.invocation import Invocation

DIRECTORY = click.Path(path_type=Path)


@click.command(
    "serve",
    cls=AgentsCommand,
    view=no_page,
    examples="""
    agents mcp serve --safety-profile read-only
    agents mcp serve --safety-profile read-only --config servers.json
    agents mcp serve --safety-profile careful --workspace ~/src/project --rw
    agents mcp serve --safety-profile read-only -- npx -y @modelcontextprotocol/server-filesystem .
    agents mcp serve --safety-profile read-only --http 8100 --token-file ~/.mcp-token
    """,
)
@click.option(
    "--safety-profile", metavar="P", required=True, help="What clients may do; can only tighten."
)
@click.option("--automation-profile", metavar="P", help="A name, or a path to its file.")
@click.option(
    "--config",
    metavar="servers.json",
    type=DIRECTORY,
    help="MCP servers whose tools are offered too, in the usual form.",
)
@click.option(
    "--trusted", "is_trusted", is_flag=True, help="Believe the annotations of COMMAND's tools."
)
@click.option(
    "--workspace",
    "directories",
    metavar="DIR",
    multiple=True,
    type=DIRECTORY,
    help="Directory to serve, live; may be repeated. The current one unless given.",
)
@click.option(
    "--rw",
    "is_writable",
    is_flag=True,
    help="Let the tools write to the directories, where the profile admits it.",
)
@click.option(
    "--http", metavar="[HOST:]PORT", help="Serve streamable HTTP; loopback unless HOST is given."
)
@click.option("--token-file", metavar="FILE", type=DIRECTORY, help="Holds the bearer token.")
@click.option("--token-env", metavar="VAR", help="Variable that holds the bearer token.")
@click.option(
    "--allow-host",
    "names",
    metavar="NAME",
    multiple=True,
    help="Another name that HTTP clients may use; may be repeated.",
)
@limit_options
@click.option(
    "--session", metavar="ID", help="Session whose budget it counts against; else DIR's own."
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@pass_invocation
def serve(
    invocation: Invocation,
    *,
    safety_profile: str,
    automation_profile: str | None,
    config: Path | None,
    is_trusted: bool,
    directories: tuple[Path, ...],
    is_writable: bool,
    http: str | None,
    token_file: Path | None,
    token_env: str | None,
    names: tuple[str, ...],
    max_cost: str | None,
    max_tokens: str | None,
    max_requests: str | None,
    max_tool_calls: str | None,
    max_seconds: str | None,
    session: str | None,
    command: tuple[str, ...],
) -> int:
    """Offer tools to an MCP client, each call decided, recorded and counted.

    What the profile does not admit is not listed, and refused when called all
    the same. Give other servers by --config, or one by its COMMAND after '--'.
    """
    if http is None and (token_file or token_env or names):
        raise _usage("--token-file, --token-env and --allow-host need --http")
    if config is not None and command:
        raise _usage("give either --config or a COMMAND")
    if is_trusted and not command:
        raise _usage("--trusted is said of a COMMAND; a file says it of each server")
    from cleveragents.assembly.allowance import Typed
    from cleveragents.assembly.gateway_command import ServeRequest, Streams
    from cleveragents.assembly.gateway_command import serve as serve_gateway
    from cleveragents.assembly.gateway_place import HttpRequest
    from cleveragents.cli.terminal import Bystander

    request = ServeRequest(
        safety_profile=safety_profile,
        automation_profile=automation_profile,
        config=config,
        command=command,
        is_trusted=is_trusted,
        directories=directories,
        is_writable=is_writable,
        limits=Typed(max_cost, max_tokens, max_requests, max_tool_calls, max_seconds),
        session=session,
        http=None if http is None else HttpRequest(http, token_file, token_env, names),
    )

    def say(text: str) -> None:
        invocation.stderr.write(f"agents: {neutralise(text)}\n")
        invocation.stderr.flush()

    with _claimed(invocation, is_wanted=http is None) as (incoming, outgoing):
        return serve_gateway(request, Bystander(invocation), Streams(incoming, outgoing), say)


def _usage(problem: str) -> click.UsageError:
    return click.UsageError(problem, click.get_current_context())


@contextmanager
def _claimed(invocation: Invocation, *, is_wanted: bool) -> Iterator[tuple[int, int]]:
    """Keep the client's streams for the protocol: whatever else prints, prints to stderr."""
    if not is_wanted:
        yield (-1, -1)
        return
    ends = [stream.fileno() for stream in (invocation.stdin, invocation.stdout)]
    # A daemon's life long: a reader may still hold them when the rest is over.
    kept = [os.dup(end) for end in ends]
    nowhere = os.open(os.devnull, os.O_RDONLY)
    try:
        os.dup2(nowhere, ends[0])
        os.dup2(invocation.stderr.fileno(), ends[1])
        yield (kept[0], kept[1])
    finally:
        for end, keep in zip(ends, kept, strict=True):
            os.dup2(keep, end)
            os.close(keep)
        os.close(nowhere)


MCP = {"serve": ("Offer tools to an MCP client under a profile.", lambda: serve)}


@click.group(
    "mcp",
    cls=AgentsGroup,
    table=MCP,
    examples="""
    agents mcp serve --safety-profile read-only
    agents mcp serve --safety-profile read-only --config servers.json
    """,
)
def mcp() -> None:
    """Serve tools to other programs: coding agents, editors, frameworks."""
