"""Every command with its one line of help, and how it is loaded.

A loader is a plain function with a static import, so that the import contracts
see it; it runs when its command is named, so that no command pays for another.
"""

# Importing late is the purpose of this file.
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import click

    Table = Mapping[str, tuple[str, Callable[[], click.Command]]]


def _plan() -> click.Command:
    from cleveragents.cli.plan_group import plan

    return plan


def _safety_profile() -> click.Command:
    from cleveragents.cli.safety_profile import safety_profile

    return safety_profile


def _automation_profile() -> click.Command:
    from cleveragents.cli.automation_profile import automation_profile

    return automation_profile


def _audit() -> click.Command:
    from cleveragents.cli.audit import audit

    return audit


def _tool() -> click.Command:
    from cleveragents.cli.tool import tool

    return tool


def _session() -> click.Command:
    from cleveragents.cli.session import session

    return session


def _cost() -> click.Command:
    from cleveragents.cli.cost import cost

    return cost


def _doctor() -> click.Command:
    from cleveragents.cli.doctor import doctor

    return doctor


def _mcp() -> click.Command:
    from cleveragents.cli.mcp import mcp

    return mcp


def _completion() -> click.Command:
    from cleveragents.cli.completion import completion

    return completion


ROOT: Final[Table] = {
    "plan": ("Run plans, see what they did, apply what they made.", _plan),
    "safety-profile": ("What plans may do, by name.", _safety_profile),
    "automation-profile": ("How plans run: profile, budget, approvals.", _automation_profile),
    "session": ("Plans that share one budget.", _session),
    "cost": ("What was spent, by plan, session or day.", _cost),
    "tool": ("The tools there are, and your own.", _tool),
    "mcp": ("Serve tools to other programs under a profile.", _mcp),
    "audit": ("The record: read, verify, export, replay.", _audit),
    "doctor": ("Check the wall that plans run behind.", _doctor),
    "completion": ("Print the completion script of a shell.", _completion),
}
