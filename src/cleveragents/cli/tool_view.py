"""Tools as pages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cleveragents.cli.fact import mapping_at, rows_at, text_at
from cleveragents.cli.outline import table_of, text_of
from cleveragents.cli.page import Field, Fields, Heading, Paragraph, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cleveragents.cli.page import Block, Page

    Data = Mapping[str, object]


def list_page(data: Data) -> Page:
    """Name, effects, origin and description."""
    tools = [{**tool, "description": _first_sentence(tool)} for tool in rows_at(data, "tools")]
    return (table_of(tools, ("name", "effects", "origin", "description")),)


def _first_sentence(tool: Data) -> str:
    sentence, stop, _ = text_at(tool, "description").partition(". ")
    return sentence + stop.rstrip()


def tool_page(data: Data) -> Page:
    """One tool, as a plan is offered it."""
    return (
        Heading(text_at(data, "name")),
        Paragraph(text_at(data, "description"), indent=2),
        Fields(
            (
                Field("  effects", text_of(data.get("effects")) or "all: none were declared"),
                Field("  runs in", text_at(data, "place")),
                Field("  origin", text_at(data, "origin")),
                Field("  source", text_at(data, "source")),
                Field("  price of a call", text_at(data, "cost_usd")),
                Field("  digest", text_at(data, "source_digest")),
            )
        ),
        *_arguments(mapping_at(data, "parameters")),
        *_resources(data),
    )


def _arguments(parameters: Data) -> Iterator[Block]:
    properties = mapping_at(parameters, "properties")
    if not properties:
        return
    required = parameters.get("required")
    needed = required if isinstance(required, list | tuple) else ()
    yield Heading("Arguments")
    yield Fields(
        tuple(
            Field(f"  {name}" + ("" if name in needed else "?"), _argument(schema))
            for name, schema in properties.items()
        )
    )
    yield Heading("Schema")
    yield Source(json.dumps(parameters, indent=2, ensure_ascii=False))


def _argument(schema: object) -> str:
    if not isinstance(schema, dict):
        return "anything"
    kind = text_of(schema.get("type")) or "anything"
    described = text_at(schema, "description")
    return f"{kind}: {described}" if described else kind


def _resources(data: Data) -> Iterator[Block]:
    resources = list(rows_at(data, "resources"))
    if resources:
        yield Heading("Resources")
        yield table_of(resources)


def removed_page(data: Data) -> Page:
    """What is gone."""
    return (Paragraph(f"removed {text_of(data.get('removed'))}"),)
