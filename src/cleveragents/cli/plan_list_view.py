"""Many plans on one page: a list of them, or one with its descendants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.cli.fact import mapping_at, rows_at, text_at
from cleveragents.cli.page import Heading, Paragraph, Table
from cleveragents.cli.spent import spent_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cleveragents.cli.page import Block, Page, Tone

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
    tones = tuple(_tone(plan) for plan in plans)
    return (Table(("plan", "name", "state", "outcome", "started"), cells, tones),)


def tree_page(data: Data) -> Page:
    """A plan and what is below it, indented: calls first, then subplans."""
    return tuple(_branch(data, 0))


def _branch(node: Data, depth: int) -> Iterator[Block]:
    standing = text_at(node, "outcome") or text_at(node, "state")
    cost = mapping_at(node, "cost")
    title = f"{text_at(node, 'name', absent='plan')}  {text_at(node, 'plan_id')}  {standing}"
    is_shown = text_at(cost, "limit_usd") or text_at(cost, "spent_usd", absent="0") != "0"
    line = title.rstrip() + (f"  {spent_text(cost)}" if is_shown else "")
    if depth:
        yield Paragraph(line, _tone(node), 2 * depth)
    else:
        yield Heading(line, _tone(node) or "strong")
    calls = [call for call in rows_at(node, "calls") if text_at(call, "tool")]
    for call in calls:
        yield _call(call, 2 * depth + 2)
    shown = {text_at(call, "call_id") for call in calls}
    for violation in rows_at(node, "violations"):
        # A parent's list holds its descendants' too; each of them is shown once, at its own plan.
        is_own = text_at(violation, "plan_id") == text_at(node, "plan_id")
        if is_own and text_at(violation, "call_id") not in shown:
            what = text_at(violation, "tool") or text_at(violation, "resource_name")
            text = f"refused {what}: {text_at(violation, 'reason')}"
            yield Paragraph(text, "bad", 2 * depth + 2)
    for child in rows_at(node, "subplans"):
        yield from _branch(child, depth + 1)


def _call(call: Data, indent: int) -> Paragraph:
    status = text_at(call, "status")
    line = f"{text_at(call, 'call_id')}  {text_at(call, 'tool')}  {status}".rstrip()
    if text_at(call, "verdict") != "denied":
        return Paragraph(line, "bad" if status == "failed" else "dim", indent)
    by = " of ".join(filter(None, (text_at(call, "rule"), text_at(call, "profile"))))
    return Paragraph(f"{line} by {by}: {text_at(call, 'reason')}", "bad", indent)


def _tone(plan: Data) -> Tone:
    if plan.get("interrupted"):
        return "warn"
    return TONES.get(text_at(plan, "outcome") or text_at(plan, "state"), "")
