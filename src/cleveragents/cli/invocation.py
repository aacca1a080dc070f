"""One run of the command: what it was given, and what it has learnt on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TextIO, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cleveragents.cli.page import Page
    from cleveragents.cli.render import View

Format = Literal["rich", "json", "yaml", "plain"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

NARROWEST: Final = 20
"""Columns below which a reported width is not believed."""


def no_page(data: Mapping[str, object]) -> Page:
    """Draw nothing: the view of an answer that no command has given."""
    del data
    return ()


class Invocation:
    """Made by ``main``, handed to every command as click's context object.

    Args:
        argv: The words after ``agents``.
        environ: The environment.
        stdin: Where a person answers.
        stdout: Where the answer goes, and nothing else.
        stderr: Where everything else goes.
    """

    def __init__(
        self,
        *,
        argv: Sequence[str],
        environ: Mapping[str, str],
        stdin: TextIO,
        stdout: TextIO,
        stderr: TextIO,
    ) -> None:
        self.argv = tuple(argv)
        self.environ = environ
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.command = ""
        """Words after ``agents``, known once click has found the command."""
        self.plan_id = ""
        """The root plan that is being worked on, for what is said after Ctrl-C."""
        self.view: View = no_page
        """How people are shown the data; set by the command that runs."""
        # Looked for before click does: a usage error wants it too.
        self.asked_format = format_in(argv)
        """As given by ``--format``; empty chooses by where the answer goes."""

    @property
    def format(self) -> str:
        """The format in force; ``jsonl`` and ``ocsf`` belong to one command alone."""
        if self.asked_format:
            return self.asked_format
        return "rich" if self.stdout.isatty() else "plain"

    @property
    def is_attended(self) -> bool:
        """Say whether a person reads what is asked and can answer it."""
        return self.stdin.isatty() and self.stderr.isatty()

    def width(self, stream: TextIO) -> int | None:
        """Columns of a stream's terminal; ``None`` for a pipe or file."""
        columns = self.environ.get("COLUMNS", "")
        if not stream.isatty():
            return None
        if columns.isascii() and columns.isdigit() and int(columns) >= NARROWEST:
            return int(columns)
        # Only a terminal gets here, and not in the cheap path of a pipe.
        import os  # noqa: PLC0415

        try:
            measured = os.get_terminal_size(stream.fileno()).columns
        except OSError:
            return 80
        return measured if measured >= NARROWEST else 80


def format_in(argv: Sequence[str]) -> str:
    """The last valid ``--format`` among words that nobody has parsed; empty if none.

    >>> format_in(["plan", "list", "--format=json"])
    'json'
    >>> format_in(["mcp", "serve", "--", "--format", "json"])
    ''
    """
    found = ""
    words = iter(argv)
    for word in words:
        if word == "--":
            break
        given = next(words, "") if word == "--format" else word.removeprefix("--format=")
        if (word == "--format" or given != word) and given in FORMATS:
            found = given
    return found
