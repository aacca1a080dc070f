"""What click complains of, as one clear sentence in our own words."""

from __future__ import annotations

import click

from cleveragents.cli.command import near


def sentence_of(error: click.ClickException) -> str:
    """Say what is wrong with the command line.

    Lower case, no full stop, one line; names the option or argument, and what
    may have been meant.
    """
    match error:
        case click.NoSuchOption():
            known = _options_of(error.ctx)
            return f"no such option {error.option_name!r}{near(error.option_name, known)}"
        case click.MissingParameter(param=click.Parameter() as parameter):
            return f"missing {parameter.param_type_name} {parameter.get_error_hint(error.ctx)}"
        case _:
            return _own_words(error.format_message())


def _options_of(ctx: click.Context | None) -> tuple[str, ...]:
    if ctx is None:
        return ()
    options = [p for p in ctx.command.get_params(ctx) if isinstance(p, click.Option)]
    return tuple(name for option in options for name in option.opts if not option.hidden)


def _own_words(text: str) -> str:
    one_line = " ".join(text.split()).removesuffix(".")
    first = one_line.split(" ", 1)[0]
    # A name that starts a sentence keeps its capitals; an English word does not.
    return one_line if first.isupper() else one_line[:1].lower() + one_line[1:]
