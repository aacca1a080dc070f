"""From what a person types to a plan's whole id."""

# The store is loaded when an id is looked for: help and completion of words are not to pay.
# ruff: noqa: PLC0415

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cleveragents.errors import CleverAgentsError, ConfigurationError, UnknownPlanError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import click

    from cleveragents.record.store import Store

WHOLE: Final = 26
"""Characters of a ULID."""
SHORTEST: Final = 4
"""Characters that a prefix needs, so that a slip of the finger names nothing."""
SUGGESTED: Final = 50
"""Plans that a shell offers to complete."""
_SPELLING: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]+", re.ASCII)
"""Crockford's base 32, as ULIDs are written."""


def find_plan(environ: Mapping[str, str], text: str) -> str:
    """Give the id of the plan that a person means.

    Args:
        environ: Says where the plans are.
        text: A whole id, or the first characters of one; in any case.

    Raises:
        ConfigurationError: No id, too short, or the beginning of several.
        UnknownPlanError: No plan's id begins so.
    """
    from cleveragents.cli.place import open_store

    plan_id = _checked(text)
    store = open_store(environ)
    try:
        return match_plan(store, plan_id)
    finally:
        store.close()


def match_plan(store: Store, text: str) -> str:
    """Give the id of the one plan in a store whose id is, or begins with, the text.

    Raises:
        ConfigurationError: No id, too short, or the beginning of several.
        UnknownPlanError: No plan's id begins so.
    """
    plan_id = _checked(text)
    # A range and not LIKE, so that the index answers however many plans there are.
    found = store.execute(
        "SELECT plan_id FROM plan WHERE plan_id >= ? AND plan_id < ? ORDER BY plan_id LIMIT 3",
        (plan_id, plan_id + "~"),
    )
    if not found:
        raise UnknownPlanError(plan_id=text)
    if len(found) > 1:
        raise ConfigurationError(
            problem=f"{text!r} begins the ids of several plans",
            hint="such as " + " and ".join(str(row[0]) for row in found[:2]),
        )
    return str(found[0][0])


def newest_plan(store: Store) -> str:
    """Give the id of the root plan that was started last.

    Raises:
        ConfigurationError: There is none.
    """
    from cleveragents.cli.place import no_plans
    from cleveragents.record.plan_row import newest_root

    found = newest_root(store)
    if found is None:
        raise no_plans()
    return found


def _checked(text: str) -> str:
    plan_id = text.upper()
    if not _SPELLING.fullmatch(plan_id) or len(plan_id) > WHOLE:
        raise ConfigurationError(
            problem=f"{text!r} is not the id of a plan", hint="'agents plan list' shows them"
        )
    if len(plan_id) < SHORTEST:
        raise ConfigurationError(
            problem=f"{text!r} is too short to name a plan",
            hint=f"give the first {SHORTEST} characters or more of its id",
        )
    return plan_id


def complete_plan_id(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the newest ids that begin so; nothing at all where anything is wrong."""
    del ctx, param
    import os

    from cleveragents.cli.place import open_store

    try:
        store = open_store(os.environ)
        try:
            found = store.execute(
                "SELECT plan_id FROM plan WHERE plan_id >= ? AND plan_id < ?"
                " ORDER BY plan_id DESC LIMIT ?",
                (incomplete.upper(), incomplete.upper() + "~", SUGGESTED),
            )
        finally:
            store.close()
    except (CleverAgentsError, OSError):
        # A shell that completes shows nobody an error.
        return []
    return [str(row[0]) for row in found]
