"""Safety and automation profiles as pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.cli.fact import mapping_at, rows_at, text_at, texts_at
from cleveragents.cli.outline import label_of, outline, text_of
from cleveragents.cli.page import Field, Fields, Heading, Paragraph, Source, Table
from cleveragents.cli.yaml_text import to_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cleveragents.cli.page import Block, Page, Tone

    Data = Mapping[str, object]


def safety_list_page(data: Data) -> Page:
    """Name, where it comes from, and one line of description."""
    columns = ("name", "origin", "description")
    rows = tuple(tuple(text_at(row, c) for c in columns) for row in rows_at(data, "profiles"))
    return (Table(columns, rows),)


def safety_page(data: Data) -> Page:
    """A profile, what it says, and what that comes to tool by tool."""
    said = mapping_at(data, "profile")
    fields = [
        Field("  " + label_of(key), _said(value))
        for key, value in said.items()
        if key not in {"name", "description", "examples"}
    ]
    return (
        Heading(f"{text_at(data, 'name')}  ({text_at(data, 'origin')})"),
        *_description(said),
        Fields((*fields, Field("  digest", text_at(data, "digest")))),
        *_warnings(data),
        *_tools(data),
    )


def _said(value: object) -> str:
    # An empty list says "nothing", which is the opposite of not being there.
    return "[] (nothing)" if value in ([], ()) else text_of(value)


def _description(said: Data) -> Iterator[Block]:
    description = text_at(said, "description")
    if description:
        yield Paragraph(description, "dim", indent=2)


def _warnings(data: Data) -> Iterator[Block]:
    overlap = texts_at(data, "overlap")
    warnings = texts_at(data, "warnings")
    if overlap or warnings:
        yield Heading("Warnings", "warn")
    for name in overlap:
        text = f"{name} is on both lists: allowed_tools decides, so it is admitted"
        yield Paragraph(text, "warn", indent=2)
    for warning in warnings:
        yield Paragraph(warning, "warn", indent=2)


def _tools(data: Data) -> Iterator[Block]:
    tools = rows_at(data, "tools")
    if not tools:
        return
    yield Heading("Tools")
    columns = ("tool", "admitted", "effects", "imposed", "rule")
    tones: tuple[Tone, ...] = tuple("good" if tool.get("admitted") else "bad" for tool in tools)
    names = ("tool", "admitted", "effects", "taken away", "rule")
    yield Table(names, tuple(tuple(text_of(t.get(c)) for c in columns) for t in tools), tones)


def check_page(data: Data) -> Page:
    """The verdict first, then every rule that refuses."""
    allowed = data.get("allowed") is True
    verdict = "ADMITTED" if allowed else "DENIED"
    return (
        Heading(
            f"{verdict}: {text_at(data, 'tool')} under {text_at(data, 'profile')}",
            "good" if allowed else "bad",
        ),
        Fields(
            (
                Field("  rule", text_at(data, "rule")),
                Field("  reason", text_at(data, "reason")),
                Field("  taken away", ", ".join(texts_at(data, "imposed"))),
            )
        ),
        *(
            Paragraph(f"also by {text_at(r, 'rule')}: {text_at(r, 'reason')}", "bad", indent=2)
            for r in rows_at(data, "refusals")[1:]
        ),
    )


def imported_page(data: Data) -> Page:
    """The profile's file; what became of each rule is said beside it."""
    return (Source(to_yaml(mapping_at(data, "profile"))),)


def removed_page(data: Data) -> Page:
    """What is gone."""
    return (Paragraph(f"removed {text_at(data, 'removed')}"),)


def automation_list_page(data: Data) -> Page:
    """Name, safety profile and how it applies."""
    profiles = rows_at(data, "profiles")
    if not profiles:
        return (Paragraph("no automation profiles; 'agents automation-profile add FILE' adds one"),)
    columns = ("name", "safety_profile", "apply")
    rows = tuple(tuple(text_at(row, c) for c in columns) for row in profiles)
    return (Table(tuple(map(label_of, columns)), rows),)


def automation_page(data: Data) -> Page:
    """A profile as it was understood."""
    return (
        Heading(text_at(data, "name")),
        *outline(mapping_at(data, "profile")),
        *_warnings(data),
    )
