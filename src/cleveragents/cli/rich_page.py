"""Draw a page with colours, for a person at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TextIO, assert_never

from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from cleveragents.cli.neutral import neutralise
from cleveragents.cli.page import Fields, Heading, Paragraph, Source, Table
from cleveragents.cli.plain_page import columns_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cleveragents.cli.page import Block, Page, Tone

STYLES: Final[dict[Tone, str]] = {
    "": "",
    "good": "green",
    "bad": "bold red",
    "warn": "yellow",
    "dim": "dim",
    "strong": "bold",
}
GAP: Final = 2
_NO_TONE: Final[tuple[Tone, ...]] = ("",)


def draw(page: Page, stream: TextIO, width: int | None) -> None:
    """Draw a page on a stream.

    No string is read as markup: each becomes a ``Text`` as it is, after
    ``neutralise``.

    Args:
        page: What to show.
        stream: Where; colours only if it is a terminal, and never against NO_COLOR.
        width: Columns, or ``None`` to let rich find out.
    """
    console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
    for index, block in enumerate(page):
        if index and isinstance(block, Heading):
            console.print()
        if isinstance(block, Source):
            # A line of a patch is not folded at the edge: it would read as two.
            console.print(_source(block), soft_wrap=True)
        else:
            console.print(_drawn(block, console.width))


def _drawn(block: Block, width: int) -> RenderableType:
    match block:
        case Heading(text=text, tone=tone):
            return Text(neutralise(text), style=STYLES[tone])
        case Paragraph(text=text, tone=tone, indent=indent):
            return Padding(Text(neutralise(text), style=STYLES[tone]), (0, 0, 0, indent))
        case Source():
            return _source(block)
        case Fields():
            return _fields(block, width)
        case Table():
            return _table(block, width)
        case _:
            assert_never(block)


def _source(source: Source) -> Text:
    text = neutralise(source.text, lines=True).removesuffix("\n")
    if source.language != "diff":
        return Text(text)
    drawn = Text()
    for line in text.split("\n"):
        drawn.append(line + "\n", style=_diff_style(line))
    drawn.right_crop(1)
    return drawn


def _diff_style(line: str) -> str:
    if line.startswith(("diff ", "index ", "--- ", "+++ ")):
        return "bold"
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")


def _fields(fields: Fields, width: int) -> RenderableType:
    shown = [f for f in fields.rows if f.value]
    labels = max((columns_of(neutralise(f.label)) for f in shown), default=0)
    if labels > width // 3:
        return Group(*(_inline(f.label, f.value, f.tone) for f in shown))
    grid = Grid.grid(padding=(0, GAP, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for field in shown:
        grid.add_row(
            Text(neutralise(field.label), style="dim"),
            Text(neutralise(field.value), style=STYLES[field.tone]),
        )
    return grid


def _inline(label: str, value: str, tone: Tone) -> Text:
    return Text.assemble((f"{neutralise(label)}: ", "dim"), (neutralise(value), STYLES[tone]))


def _table(table: Table, width: int) -> RenderableType:
    tones = table.tones or _NO_TONE * len(table.rows)
    cells = [tuple(map(neutralise, row)) for row in (table.columns, *table.rows)]
    widths = [max(map(columns_of, column)) for column in zip(*cells, strict=True)]
    if sum(widths) + GAP * len(widths) > width:
        return Group(*_stacked(table, tones))
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP, 0, 0), show_edge=False)
    for name in cells[0]:
        grid.add_column(Text(name), no_wrap=True)
    for row, tone in zip(cells[1:], tones, strict=True):
        grid.add_row(*map(Text, row), style=STYLES[tone])
    return grid


def _stacked(table: Table, tones: tuple[Tone, ...]) -> list[RenderableType]:
    """Rows as labelled values, for where a row does not fit."""
    drawn: list[RenderableType] = []
    for row, tone in zip(table.rows, tones, strict=True):
        filled = [(name, cell) for name, cell in zip(table.columns, row, strict=True) if cell]
        for index, (name, cell) in enumerate(filled):
            line = _inline(name, cell, tone)
            drawn.append(Padding(line, (0, 0, 0, 2)) if index else Text("- ") + line)
    return drawn
