"""What a plan changes, as a page: the patch, what is held or left out, conflicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.cli.fact import counted, rows_at, text_at, texts_at
from cleveragents.cli.page import Field, Fields, Heading, Paragraph, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cleveragents.cli.page import Block, Page

    Data = Mapping[str, object]


def diff_page(data: Data) -> Page:
    """The patch first and whole, then what it does not show."""
    patch = text_at(data, "diff")
    start: Block = Source(patch, "diff") if patch else Paragraph("the plan changes nothing")
    return (start, *_held(data), *_refused(data), *_ignored(data))


def _held(data: Data) -> Iterator[Block]:
    held = texts_at(data, "held")
    if held:
        yield Heading("These files run code on your side later; apply asks for them:", "warn")
        for path in held:
            yield Paragraph(path, "warn", indent=2)


def _refused(data: Data) -> Iterator[Block]:
    refused = rows_at(data, "refused")
    if refused:
        yield Heading("Not coming back:", "bad")
        for row in refused:
            yield Paragraph(f"{text_at(row, 'path')}: {text_at(row, 'reason')}", "bad", indent=2)


def _ignored(data: Data) -> Iterator[Block]:
    count = text_at(data, "ignored", absent="0")
    if count != "0":
        yield Paragraph(f"made and not collected: {counted(count, 'ignored path')}", "dim")


def conflicts_page(data: Data) -> Page:
    """Each path with what both sides did to it."""
    conflicts = rows_at(data, "conflicts")
    if not conflicts:
        return (Paragraph("no conflicts", "good"),)
    plan = text_at(data, "plan_id", absent="PLAN")
    rows: list[Block] = []
    for conflict in conflicts:
        rows.append(Heading(text_at(conflict, "path"), "bad"))
        rest = {k: text_at(conflict, k) for k in conflict if k != "path"}
        rows.append(Fields(tuple(Field(f"  {k.replace('_', ' ')}", v) for k, v in rest.items())))
    command = f"agents plan resolve {plan} PATH --take ours|theirs|base|FILE"
    return (*rows, Heading("Next"), Fields((Field("  settle one", command),)))
