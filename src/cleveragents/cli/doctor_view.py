"""The wall, layer by layer, as a page: what does not hold comes with its mend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.cli.fact import rows_at, text_at
from cleveragents.cli.page import Field, Fields, Heading, Paragraph, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cleveragents.cli.page import Block, Page, Tone

    Data = Mapping[str, object]


def doctor_page(data: Data) -> Page:
    """The verdict first, then each layer, then what to type."""
    holds = data.get("verified") is True
    verdict = "the wall holds: plans can run" if holds else "NO ISOLATION: plans will not run"
    return (
        Heading(verdict, "good" if holds else "bad"),
        Fields(
            (
                Field("  tier", text_at(data, "tier")),
                Field("  bubblewrap", text_at(data, "bubblewrap")),
                Field("  workspace", text_at(data, "workspace")),
                Field("  home", text_at(data, "home")),
                Field("  database", text_at(data, "database")),
            )
        ),
        *_layers(data),
        *_fixes(data),
    )


def _layers(data: Data) -> Iterator[Block]:
    layers = rows_at(data, "layers")
    if layers:
        yield Heading("Layers")
        tones: tuple[Tone, ...] = tuple("good" if _holds(row) else "bad" for row in layers)
        columns = ("layer", "result", "detail")
        cells = tuple(tuple(text_at(row, column) for column in columns) for row in layers)
        yield Table(columns, cells, tones)


def _holds(layer: Data) -> bool:
    return layer.get("ok") is True


def _fixes(data: Data) -> Iterator[Block]:
    fixes = [(row, text_at(row, "fix")) for row in rows_at(data, "layers")]
    wanted = [(text_at(row, "layer"), fix) for row, fix in fixes if fix and not _holds(row)]
    if wanted:
        yield Heading("To mend it", "warn")
        for layer, fix in wanted:
            yield Paragraph(f"{layer}: {fix}", "warn", indent=2)
