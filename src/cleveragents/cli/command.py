"""How every command and group behaves: formats, help with examples, near misses.

click, and nothing dearer, is imported here: ``agents plan status`` pays for it.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

import click

from cleveragents.cli.invocation import FORMATS, Invocation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cleveragents.cli.render import View

HELP_NAMES: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
PROGRAM: Final = "agents"
COMPLETION: Final = "_AGENTS_COMPLETE"
"""Variable by which a shell asks what may follow; click's protocol."""

pass_invocation = click.make_pass_decorator(Invocation)


class _Named(click.Command):
    """Tells the invocation which command it turned out to be, and what its format is."""

    examples: str = ""
    formats: tuple[str, ...] = FORMATS

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note the words that led here before anything can fail."""
        invocation = ctx.find_object(Invocation)
        if invocation is not None:
            invocation.command = ctx.command_path.removeprefix(PROGRAM).strip()
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they stand, one to a line."""
        if self.examples:
            with formatter.section("Examples"):
                for line in inspect.cleandoc(self.examples).splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        super().format_epilog(ctx, formatter)


class AgentsCommand(_Named):
    """One thing to do: its callback gives an ``Answer``, its view draws the data.

    Args:
        view: Makes the page for people out of the answer's data.
        examples: Command lines, one to a line, as help shows them.
        formats: Values of ``--format``; the four of the contract unless said.
        attributes: Click's own.
    """

    def __init__(
        self,
        *args: Any,
        view: View,
        examples: str,
        formats: tuple[str, ...] = FORMATS,
        **attributes: Any,
    ) -> None:
        attributes.setdefault("context_settings", HELP_NAMES)
        super().__init__(*args, **attributes)
        self.view = view
        self.examples = examples
        self.formats = formats
        self.params.append(_format_option(formats))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and leave its view where the answer is printed."""
        invocation = ctx.find_object(Invocation)
        if invocation is not None:
            invocation.view = self.view
        return super().invoke(ctx)


class AgentsGroup(_Named, click.Group):
    """Commands that are imported when they are named, not before.

    Args:
        table: Per command its one line of help and its loader; click is told
            the lines without any loader being run.
        attributes: Click's own.
    """

    def __init__(
        self,
        *args: Any,
        table: Mapping[str, tuple[str, Callable[[], click.Command]]],
        examples: str = "",
        **attributes: Any,
    ) -> None:
        attributes.setdefault("context_settings", HELP_NAMES)
        attributes.setdefault("subcommand_metavar", "COMMAND ...")
        super().__init__(*args, **attributes)
        self._table = table
        self.examples = examples
        self.params.append(_format_option(FORMATS, hidden=True))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table: the order of use."""
        del ctx
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and give one command; ``None`` when there is none of that name."""
        del ctx
        row = self._table.get(cmd_name)
        return row[1]() if row else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, importing none of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (line, _) in self._table.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first word names.

        Raises:
            click.UsageError: There is none; says which one may have been meant.
        """
        name = args[0]
        if name not in self._table:
            problem = f"no command is named {name!r}{near(name, tuple(self._table))}"
            raise click.UsageError(problem, ctx)
        return name, self.get_command(ctx, name), args[1:]


def _format_option(formats: tuple[str, ...], *, hidden: bool = False) -> click.Option:
    return click.Option(
        ["--format"],
        type=click.Choice(formats),
        expose_value=False,
        is_eager=True,
        hidden=hidden,
        callback=_note_format,
        help="rich on a terminal, plain in a pipe, unless given.",
    )


def _note_format(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    del param
    invocation = ctx.find_object(Invocation)
    if value is not None and invocation is not None:
        invocation.asked_format = value


def near(word: str, known: Sequence[str]) -> str:
    """End a sentence about an unknown word by the known one that is most like it.

    >>> near("statsu", ["status", "list"])
    ", did you mean 'status'?"
    >>> near("zzz", ["status", "list"])
    '; known: status, list'
    """
    # A mistake may cost a moment; a right command does not pay for it.
    from difflib import get_close_matches  # noqa: PLC0415

    close = get_close_matches(word, known, n=1)
    return f", did you mean {close[0]!r}?" if close else "; known: " + ", ".join(known)
