"""Pages for sessions and for what was spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.cli.fact import counted, mapping_at, rows_at, text_at
from cleveragents.cli.page import Field, Fields, Heading, Paragraph, Table
from cleveragents.cli.spent import spent_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cleveragents.cli.page import Block, Page

    Data = Mapping[str, object]

_LIMITS = {
    "max_tokens": "token",
    "max_requests": "request",
    "max_tool_calls": "tool call",
    "max_seconds": "second",
}


def list_page(data: Data) -> Page:
    """The sessions."""
    sessions = rows_at(data, "sessions")
    if not sessions:
        return (Paragraph("no sessions; 'agents session create' makes one"),)
    cells = tuple(
        (
            text_at(one, "session_id"),
            spent_text(mapping_at(one, "cost")),
            text_at(one, "workspace"),
            text_at(one, "created"),
        )
        for one in sessions
    )
    return (Table(("session", "cost", "directory", "created"), cells),)


def session_page(data: Data) -> Page:
    """A session, its limits and its plans."""
    return tuple(_session(data))


def cost_page(data: Data) -> Page:
    """One row for each that spent, and the sum."""
    rows, by = rows_at(data, "rows"), text_at(data, "by")
    if not rows:
        return (Paragraph("nothing was spent"),)
    if by == "model":
        return (_models(data),)
    key = by if by == "day" else f"{by}_id"
    cells = tuple(
        (
            text_at(row, key) or "(none)",
            f"${text_at(row, 'cost_usd')}",
            text_at(row, "tool_calls"),
            text_at(row, "name"),
        )
        for row in rows
    )
    total = f"${text_at(data, 'total', 'cost_usd')}"
    calls = text_at(data, "total", "tool_calls")
    return (Table((by, "cost", "calls", "name"), (*cells, ("sum", total, calls, ""))),)


def _models(data: Data) -> Table:
    lines = [*rows_at(data, "rows"), {**mapping_at(data, "total"), "model": "sum"}]
    parts = ("requests", "input_tokens", "cached_tokens", "output_tokens")
    cells = tuple(
        (
            text_at(line, "model"),
            f"${text_at(line, 'cost_usd')}",
            *(text_at(line, part) for part in parts),
        )
        for line in lines
    )
    return Table(("model", "cost", "requests", "input", "cached", "output"), cells)


def _session(data: Data) -> Iterator[Block]:
    yield Heading(f"session {text_at(data, 'session_id')}")
    cost, limits = mapping_at(data, "cost"), mapping_at(data, "limits")
    others = [
        "at most " + counted(text_at(limits, key), noun)
        for key, noun in _LIMITS.items()
        if text_at(limits, key)
    ]
    yield Fields(
        (
            Field("cost", spent_text(cost)),
            Field("held", _held(cost)),
            Field("used", counted(text_at(cost, "tool_calls", absent="0"), "tool call")),
            Field("limits", ", ".join(others)),
            Field("directory", text_at(data, "workspace")),
            Field("created", text_at(data, "created")),
        )
    )
    plans = rows_at(data, "plans")
    if not plans:
        return
    yield Heading("Plans")
    cells = tuple(
        (
            text_at(plan, "plan_id"),
            text_at(plan, "name"),
            text_at(plan, "outcome") or text_at(plan, "state"),
            spent_text(mapping_at(plan, "cost")),
            text_at(plan, "violations"),
        )
        for plan in plans
    )
    yield Table(("plan", "name", "state", "cost", "refused"), cells)


def _held(cost: Data) -> str:
    held = text_at(cost, "reserved_usd", absent="0")
    return "" if held == "0" else f"${held}"
