"""Every command of ``agents plan`` with its one line of help, and how it is loaded."""

# Importing late is the purpose of this file, as of ``command_table``.
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import click

    Table = Mapping[str, tuple[str, Callable[[], click.Command]]]


def _status() -> click.Command:
    from cleveragents.cli.status import status

    return status


def _run() -> click.Command:
    from cleveragents.cli.plan import run

    return run


def _list() -> click.Command:
    from cleveragents.cli.plan_inquiry import list_

    return list_


def _tree() -> click.Command:
    from cleveragents.cli.plan_inquiry import tree

    return tree


def _diff() -> click.Command:
    from cleveragents.cli.plan_inquiry import diff

    return diff


def _apply() -> click.Command:
    from cleveragents.cli.plan import apply

    return apply


def _resume() -> click.Command:
    from cleveragents.cli.plan import resume

    return resume


def _cancel() -> click.Command:
    from cleveragents.cli.plan import cancel

    return cancel


def _approve() -> click.Command:
    from cleveragents.cli.plan import approve

    return approve


def _explain() -> click.Command:
    from cleveragents.cli.plan_inquiry import explain

    return explain


def _conflicts() -> click.Command:
    from cleveragents.cli.plan_inquiry import conflicts

    return conflicts


def _resolve() -> click.Command:
    from cleveragents.cli.plan_inquiry import resolve

    return resolve


PLAN: Final[Table] = {
    "run": ("Run a plan in its own workspace.", _run),
    "list": ("The plans, newest first.", _list),
    "status": ("How a plan stands, what was refused, what it cost.", _status),
    "diff": ("What a plan would change in your directory.", _diff),
    "apply": ("Put a plan's changes into your directory.", _apply),
    "explain": ("What was decided, and which rule decided each call.", _explain),
    "resume": ("Go on with a plan that stopped.", _resume),
    "approve": ("Answer a call that waits for a person.", _approve),
    "cancel": ("End a plan; your directory stays as it is.", _cancel),
    "tree": ("A plan: its decisions, calls and subplans.", _tree),
    "conflicts": ("What keeps a plan from going on.", _conflicts),
    "resolve": ("Settle one conflict.", _resolve),
}
