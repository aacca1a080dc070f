"""A page for data of any shape: names and values, tables for lists, texts as they stand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cleveragents.cli.page import Field, Fields, Heading, Paragraph, Source, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cleveragents.cli.page import Block, Page


def outline(data: Mapping[str, object]) -> Page:
    """Show every key of a mapping, in its order; empty values are left out."""
    blocks: list[Block] = []
    plain: list[Field] = []
    for key, value in data.items():
        label = label_of(key)
        if not is_nested(value):
            text = text_of(value)
            if "\n" in text.rstrip("\n"):
                blocks += [Heading(label), Source(text, "diff" if key == "diff" else "")]
            else:
                plain.append(Field(label, text.rstrip("\n")))
        elif value:
            blocks += [Heading(label), *_nested(value)]
    return (Fields(tuple(plain)), *blocks)


def _nested(value: object) -> tuple[Block, ...]:
    if isinstance(value, Mapping):
        return (Fields(tuple(Field(label_of(k), text_of(v)) for k, v in value.items())),)
    items = value if isinstance(value, list | tuple) else ()
    if items and all(isinstance(item, Mapping) for item in items):
        return (table_of([item for item in items if isinstance(item, Mapping)]),)
    return tuple(Paragraph(text_of(item), indent=2) for item in items)


def table_of(rows: Sequence[Mapping[str, object]], columns: tuple[str, ...] = ()) -> Table:
    """A table of mappings.

    Args:
        rows: One mapping a row; a missing key is an empty cell.
        columns: Keys to show, in order; by default every key that occurs.
    """
    names = columns or tuple(dict.fromkeys(key for row in rows for key in row))
    cells = tuple(tuple(text_of(row.get(name)) for name in names) for row in rows)
    return Table(tuple(label_of(name) for name in names), cells)


def label_of(key: str) -> str:
    """A key as a person reads it."""
    return key.replace("_", " ")


def is_nested(value: object) -> bool:
    """Say whether a value is shown in lines of its own."""
    return isinstance(value, Mapping | list | tuple)


def text_of(value: object) -> str:
    """A value in one cell.

    >>> text_of(None), text_of(True), text_of(["a", "b"]), text_of({"a": 1}), text_of([])
    ('', 'yes', 'a, b', '{"a": 1}', '')
    """
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case [*items] if all(isinstance(item, str | int) for item in items):
            return ", ".join(map(str, items))
        case _:
            return json.dumps(value, ensure_ascii=False, default=str)
