"""What a run of the command knows of its streams before it parses a word."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios

import pytest

from cleveragents.cli.invocation import format_in

from .command_line import make_invocation


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["--format", "json"], "json"),
        (["a", "--format=yaml", "b"], "yaml"),
        (["--format", "json", "--format", "rich"], "rich"),
        (["--format", "xml"], ""),
        (["--format"], ""),
        (["--", "--format", "json"], ""),
        (["json"], ""),
        ([], ""),
    ],
)
def test_the_format_is_found_among_unparsed_words(argv: list[str], found: str) -> None:
    assert format_in(argv) == found


def test_a_terminal_is_rich_and_a_pipe_plain() -> None:
    assert make_invocation(screen=True).format == "rich"
    assert make_invocation().format == "plain"
    assert make_invocation("--format=json", screen=True).format == "json"


@pytest.mark.parametrize(("columns", "width"), [(40, 40), (200, 200)])
def test_columns_are_believed(columns: int, width: int) -> None:
    invocation = make_invocation(screen=True, columns=columns)
    assert invocation.width(invocation.stdout) == width
    assert make_invocation(columns=columns).width(make_invocation().stdout) is None


@pytest.mark.parametrize(("columns", "width"), [(132, 132), (0, 80), (3, 80)])
def test_the_terminal_is_measured_where_columns_say_nothing(columns: int, width: int) -> None:
    master, slave = pty.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        with os.fdopen(slave, "w") as stream:
            invocation = make_invocation(environ={"COLUMNS": "5"})
            assert invocation.width(stream) == width
    finally:
        os.close(master)


def test_a_terminal_that_cannot_be_measured_has_80_columns() -> None:
    invocation = make_invocation(screen=True, environ={"COLUMNS": "wide"})
    invocation.stdout.fileno = lambda: -1  # type: ignore[method-assign]  # what a lost terminal gives
    assert invocation.width(invocation.stdout) == 80
