"""``agents plan status``: the cheap path.

Imports click, and when it runs json and the store's sqlite3; nothing of the
settings, the plans or the policy (a test on ``sys.modules`` says so).
"""

# What the command needs is imported when it runs, as said above.
# ruff: noqa: PLC0415

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click

from cleveragents.cli.command import AgentsCommand, pass_invocation
from cleveragents.cli.plan_id import complete_plan_id, match_plan, newest_plan
from cleveragents.cli.plan_view import status_page
from cleveragents.terms.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.cli.invocation import Invocation
    from cleveragents.record.store import Store

WATCH_INTERVAL_S: Final = 0.5
"""Between two looks at a living plan."""
CLEAR: Final = "\x1b[H\x1b[2J\x1b[3J"
"""Cursor home, screen and scroll-back cleared (ECMA-48, xterm)."""


@click.command(
    "status",
    cls=AgentsCommand,
    view=status_page,
    examples="""
    agents plan status
    agents plan status 01J8ZQ --watch
    agents plan status 01J8ZQ --format json
    """,
)
@click.argument("plan_id", metavar="[PLAN]", required=False, shell_complete=complete_plan_id)
@click.option("--watch", is_flag=True, help="Show it anew until it ends or waits.")
@pass_invocation
def status(invocation: Invocation, *, plan_id: str | None, watch: bool) -> Answer:
    """Show how PLAN stands: what was done, refused and spent, and what to type next.

    Without PLAN, the newest one. Violations of its subplans are shown too.
    """
    from cleveragents.cli.place import home_of, open_store

    locks = f"{home_of(invocation.environ)}/locks"
    store = open_store(invocation.environ)
    try:
        whole = newest_plan(store) if plan_id is None else match_plan(store, plan_id)
        if watch:
            return Answer(
                watched(
                    lambda: _data(store, whole, locks),
                    show=lambda data: redraw(data, invocation),
                    pause=lambda: time.sleep(WATCH_INTERVAL_S),
                )
            )
        return Answer(_data(store, whole, locks))
    finally:
        store.close()


def watched(
    look: Callable[[], Mapping[str, object]],
    *,
    show: Callable[[Mapping[str, object]], None],
    pause: Callable[[], None],
) -> Mapping[str, object]:
    """Look at a plan until it does not live any more, and give its last data.

    Args:
        look: Reads the data.
        show: Is given the data whenever they changed, but not the last.
        pause: Waits for the next look.
    """
    shown: Mapping[str, object] | None = None
    while is_living(data := look()):
        if data != shown:
            show(data)
            shown = data
        pause()
    return data


def is_living(data: Mapping[str, object]) -> bool:
    """Say whether a plan goes on by itself: not ended, not interrupted, not waiting."""
    return data.get("state") in {"queued", "processing"} and not data.get("interrupted")


def redraw(data: Mapping[str, object], invocation: Invocation) -> None:
    """Draw anew what a terminal shows; a pipe and a program get the last state alone."""
    if not invocation.stdout.isatty() or invocation.format in {"json", "yaml"}:
        return
    from cleveragents.cli.render import render

    invocation.stdout.write(CLEAR)
    render(Answer(data), status_page, invocation)


def _data(store: Store, plan_id: str, locks: str) -> Mapping[str, object]:
    from cleveragents.record.status_view import plan_status

    now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    return plan_status(store, plan_id, locks_dir=locks, now=now)
