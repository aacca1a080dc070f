"""The command ``agents``: parse, run, print, and say what went wrong in one sentence."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Final, cast

import click

from cleveragents.cli.command import COMPLETION, PROGRAM, AgentsGroup
from cleveragents.cli.command_table import ROOT
from cleveragents.cli.invocation import Invocation
from cleveragents.errors import CleverAgentsError
from cleveragents.terms.answer import Answer, Message

if TYPE_CHECKING:
    from types import TracebackType

INTERRUPTED: Final = 130
"""128 and the number of SIGINT, as shells report it."""
FAILED: Final = 1
USAGE: Final = 2


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    del param
    if not value or ctx.resilient_parsing:
        return
    # Reading the package's metadata is dear, and asked for once in a while.
    from importlib.metadata import version  # noqa: PLC0415

    click.echo(f"{PROGRAM} {version('cleveragents')}")
    ctx.exit()


@click.group(
    PROGRAM,
    cls=AgentsGroup,
    table=ROOT,
    examples="""
    agents doctor
    agents plan run plan.yaml --safety-profile read-only
    agents plan status
    agents safety-profile check read-only write_file --args '{"path": "a", "content": ""}'
    """,
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def agents() -> None:
    """Run agents that can never do more than they were handed.

    Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 refused by
    policy, 4 budget, 5 merge conflict, 6 isolation unavailable, 7 waiting for
    a person.
    """


def run(invocation: Invocation, program: click.Command = agents) -> int:
    """Run one command line.

    Args:
        invocation: The words, the environment and the three streams.
        program: The commands there are.

    Returns:
        The exit code; everything a person or a program is to know was printed.
        An exception that nobody expected is not caught (``crash.install``).
    """
    try:
        answer = _answered(invocation, program)
        if isinstance(answer, int):
            return answer
        _print(answer, invocation)
    except BrokenPipeError:
        # The reader of the answer went away (``| head``): that is its right.
        _discard(invocation)
        return FAILED
    except OSError as error:
        _discard(invocation)
        invocation.stderr.write(f"{PROGRAM}: cannot write the answer: {error.strerror}\n")
        return FAILED
    return answer.exit_code


def _answered(invocation: Invocation, program: click.Command) -> Answer | int:
    """The answer of the command, or the exit code where click has answered itself."""
    try:
        return _started(invocation, program)
    except click.exceptions.NoArgsIsHelpError as error:
        invocation.stderr.write(error.format_message() + "\n")
        return USAGE
    except click.ClickException as error:
        return _usage(error, invocation)
    except (click.Abort, KeyboardInterrupt):
        return _interrupted(invocation)
    except CleverAgentsError as error:
        return Answer(None, error.exit_code, (Message("error", error.message),))
    except BrokenPipeError:
        raise
    except OSError as error:
        return _refused_by_system(error)


def _started(invocation: Invocation, program: click.Command) -> Answer | int:
    # Not ``program.main``, which ends the process by itself when a pipe is closed.
    asked = invocation.environ.get(COMPLETION, "")
    if asked:
        # A shell completes; nobody else pays for it.
        from click.shell_completion import shell_complete  # noqa: PLC0415

        return shell_complete(program, {"obj": invocation}, PROGRAM, COMPLETION, asked)
    try:
        with program.make_context(PROGRAM, list(invocation.argv), obj=invocation) as ctx:
            # click hands a callback's value through, untyped; ours all give an Answer.
            return cast("Answer", program.invoke(ctx))
    except click.exceptions.Exit as end:
        return end.exit_code


def _usage(error: click.ClickException, invocation: Invocation) -> Answer:
    # A right command line does not pay for the words about a wrong one.
    from cleveragents.cli.usage import sentence_of  # noqa: PLC0415

    sentence = sentence_of(error)
    hint = f"try '{f'{PROGRAM} {invocation.command}'.strip()} --help'"
    joint = " " if sentence.endswith("?") else "; "
    return Answer(None, USAGE, (Message("error", sentence + joint + hint),))


def _interrupted(invocation: Invocation) -> Answer:
    if invocation.stderr.isatty():
        # The terminal has just echoed ^C.
        invocation.stderr.write("\n")
    text = "interrupted"
    if invocation.plan_id:
        text += f"; 'agents plan resume {invocation.plan_id}' goes on"
    return Answer(None, INTERRUPTED, (Message("error", text),))


def _refused_by_system(error: OSError) -> Answer:
    what = error.strerror or str(error) or type(error).__name__
    place = f"{error.filename}: " if error.filename else ""
    return Answer(None, FAILED, (Message("error", f"{place}{what[:1].lower()}{what[1:]}"),))


def _print(answer: Answer, invocation: Invocation) -> None:
    # Loaded after the work is done: an import that fails cannot lose a plan.
    from cleveragents.cli.render import render  # noqa: PLC0415

    render(answer, invocation.view, invocation)


def _discard(invocation: Invocation) -> None:
    """Keep the interpreter from trying to write the rest when it ends."""
    try:
        descriptor = invocation.stdout.fileno()
    except OSError:
        # No file behind it (io.UnsupportedOperation), so nothing is tried either.
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _open_streams() -> None:
    """Make the three streams usable whatever the caller did to them."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 # lives as long as we
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Closed by the caller (``>&-``): whatever is said is meant for nobody.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 # as above
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal's encoding lacks is spelt out, not an error.
            stream.reconfigure(errors="backslashreplace")


def _install_crash_hook(invocation: Invocation) -> None:
    """Have every exception that nobody expects end in one sentence and exit code 1.

    The interpreter's own hook is the place: nothing has to be caught broadly,
    and the exit code of an uncaught exception is 1 already.
    """

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        del kind, trace
        # Only a crash pays for its report.
        from cleveragents.cli.crash import report  # noqa: PLC0415

        report(error, invocation)

    sys.excepthook = hook


def main() -> None:
    """Run the process's own command line and end the process with its exit code."""
    _open_streams()
    invocation = Invocation(
        argv=tuple(sys.argv[1:]),
        environ=os.environ,
        stdin=sys.stdin,
        stdout=sys.stdout,
        stderr=sys.stderr,
    )
    _install_crash_hook(invocation)
    sys.exit(run(invocation))
