"""The options that limit what a plan or session may use; read by ``assembly``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = TypeVar("Function", bound=Callable[..., object])

_OPTIONS: Final = (
    ("--max-cost", "USD", "Most that it may cost, in US dollars, such as 0.50."),
    ("--max-tokens", "N", "Most tokens that it may use, in and out."),
    ("--max-requests", "N", "Most requests to models."),
    ("--max-tool-calls", "N", "Most calls of tools."),
    ("--max-seconds", "N", "Most seconds of work."),
)


def limit_options(function: Function) -> Function:
    """Add the five limits to a command; their values arrive as they were typed."""
    for name, metavar, text in reversed(_OPTIONS):
        function = click.option(name, metavar=metavar, help=text)(function)
    return function
