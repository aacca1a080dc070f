"""A command line without a process: the real ``run`` on streams of a test's own."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cleveragents.cli.invocation import Invocation
from cleveragents.cli.main import agents, run

if TYPE_CHECKING:
    from collections.abc import Callable

    import click


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass
class Said:
    """What one command line left behind."""

    exit_code: int
    out: str
    err: str
    invocation: Invocation = field(repr=False)

    @property
    def envelope(self) -> dict[str, Any]:
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


def make_invocation(
    *argv: str,
    typed: str | None = None,
    screen: bool = False,
    columns: int = 80,
    environ: dict[str, str] | None = None,
) -> Invocation:
    """An invocation; ``typed`` puts a person at the keyboard."""
    make: Callable[[], io.StringIO] = Screen if screen or typed is not None else io.StringIO
    return Invocation(
        argv=argv,
        environ={"COLUMNS": str(columns), **(environ or {})},
        stdin=Screen(typed) if typed is not None else io.StringIO(),
        stdout=make(),
        stderr=make(),
    )


def say(invocation: Invocation, program: click.Command = agents) -> Said:
    """Run an invocation and collect what it said."""
    code = run(invocation, program)
    out, err = invocation.stdout, invocation.stderr
    assert isinstance(out, io.StringIO)
    assert isinstance(err, io.StringIO)
    return Said(code, out.getvalue(), err.getvalue(), invocation)
