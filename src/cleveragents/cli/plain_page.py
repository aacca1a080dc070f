"""Draw a page in plain characters: for pipes, logs and terminals without colours."""

from __future__ import annotations

import textwrap
import unicodedata
from typing import TYPE_CHECKING, Final, assert_never

from cleveragents.cli.neutral import neutralise
from cleveragents.cli.page import Fields, Heading, Paragraph, Source, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cleveragents.cli.page import Block, Page

GAP: Final = "  "


def draw(page: Page, width: int | None) -> str:
    """Draw a page.

    Args:
        page: What to show; every string in it is neutralised here.
        width: Columns to wrap to, or ``None`` to wrap nothing.
    """
    lines: list[str] = []
    for block in page:
        if lines and isinstance(block, Heading):
            lines.append("")
        lines.extend(_lines(block, width))
    return "".join(line.rstrip() + "\n" for line in lines)


def _lines(block: Block, width: int | None) -> Iterator[str]:
    match block:
        case Heading(text=text):
            yield from _wrapped(neutralise(text), width, "", "")
        case Paragraph(text=text, indent=indent):
            yield from _wrapped(neutralise(text), width, " " * indent, " " * (indent + 2))
        case Source(text=text):
            # Lines of a patch are not wrapped: a wrapped one would be another patch.
            yield from neutralise(text, lines=True).removesuffix("\n").split("\n")
        case Fields():
            yield from _fields(block, width)
        case Table():
            yield from _table(block, width)
        case _:
            assert_never(block)


def _fields(fields: Fields, width: int | None) -> Iterator[str]:
    shown = [(neutralise(f.label), neutralise(f.value)) for f in fields.rows if f.value]
    column = max((columns_of(label) for label, _ in shown), default=0)
    if width is not None and column > width // 3:
        for label, value in shown:
            yield from _wrapped(f"{label}: {value}", width, "", GAP)
        return
    for label, value in shown:
        yield from _wrapped(value, width, _padded(label, column) + GAP, " " * column + GAP)


def _table(table: Table, width: int | None) -> Iterator[str]:
    rows = [tuple(map(neutralise, row)) for row in (table.columns, *table.rows)]
    widths = [max(map(columns_of, column)) for column in zip(*rows, strict=True)]
    if width is not None and sum(widths) + len(GAP) * (len(widths) - 1) > width:
        yield from _stacked(rows[0], rows[1:], width)
        return
    for row in rows:
        yield GAP.join(_padded(cell, size) for cell, size in zip(row, widths, strict=True))


def _stacked(names: tuple[str, ...], rows: list[tuple[str, ...]], width: int) -> Iterator[str]:
    """A row as labelled values, for where a row does not fit."""
    for row in rows:
        lead = "- "
        for name, cell in zip(names, row, strict=True):
            if cell:
                yield from _wrapped(f"{name}: {cell}", width, lead, GAP * 2)
                lead = GAP


def _wrapped(text: str, width: int | None, first: str, later: str) -> Iterator[str]:
    if width is None or columns_of(first + text) <= width:
        yield first + text
        return
    yield from textwrap.wrap(
        text,
        max(width, len(later) + 10),
        initial_indent=first,
        subsequent_indent=later,
        break_on_hyphens=False,
    ) or [first]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - columns_of(text))


def columns_of(text: str) -> int:
    """Columns that a text takes on a terminal: wide characters take two, marks none.

    >>> columns_of("abc"), columns_of("漢字"), columns_of("e\u0301")
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(_columns(c) for c in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or character in "\u200c\u200d":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
