"""Many plans on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.cli.fact import rows_at, text_at
from cleveragents.cli.page import Paragraph, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.cli.page import Page, Tone

    Data = Mapping[str, object]

TONES: dict[str, Tone] = {
    "applied": "good",
    "merged": "good",
    "constrained": "bad",
    "conflicted": "bad",
    "errored": "bad",
    "merge_refused": "bad",
    "cancelled": "dim",
    "waiting": "warn",
}


def list_page(data: Data) -> Page:
    """The plans of ``plan list``; subplans are in their parent's status and tree."""
    plans = rows_at(data, "plans")
    if not plans:
        return (Paragraph("no plans; 'agents plan run FILE' starts one"),)
    columns = ("plan_id", "name", "state", "outcome", "started")
    cells = tuple(tuple(text_at(plan, column) for column in columns) for plan in plans)
    tones = tuple(tone_of(plan) for plan in plans)
    return (Table(("plan", "name", "state", "outcome", "started"), cells, tones),)


def tone_of(plan: Data) -> Tone:
    """The colour of how a plan stands."""
    if plan.get("interrupted"):
        return "warn"
    return TONES.get(text_at(plan, "outcome") or text_at(plan, "state"), "")
