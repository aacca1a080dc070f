"""Why each call was let in or not, as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.cli.fact import mapping_at, rows_at, text_at, texts_at
from cleveragents.cli.outline import label_of, text_of
from cleveragents.cli.page import Field, Fields, Heading, Paragraph

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cleveragents.cli.page import Block, Page

    Data = Mapping[str, object]

SHOWN_CHARACTERS = 300
"""Of one argument; ``--format json`` and ``audit show`` have the whole."""


def explain_page(data: Data) -> Page:
    """One paragraph a call: verdict, rule, profile, reason."""
    # Entries of the plan itself, its apply among them, are nobody's call.
    calls = [call for call in rows_at(data, "calls") if text_at(call, "tool")]
    if not calls:
        return (Paragraph("no call has been decided yet"),)
    return tuple(block for call in calls for block in _decision(call))


def _decision(decision: Data) -> Iterator[Block]:
    verdict = text_at(decision, "verdict")
    is_refused = verdict == "denied"
    title = f"{text_at(decision, 'call_id')}  {text_at(decision, 'tool')}  {verdict}"
    yield Heading(title.rstrip(), "bad" if is_refused else "good" if verdict else "warn")
    arguments = mapping_at(decision, "arguments")
    yield Fields(
        (
            Field("  rule", text_at(decision, "rule")),
            Field("  profile", text_at(decision, "profile")),
            Field("  reason", text_at(decision, "reason"), "bad" if is_refused else ""),
            Field("  resource", text_at(decision, "resource_name")),
            Field("  taken away", ", ".join(texts_at(decision, "imposed"))),
            Field("  approved by", text_at(decision, "approved_by")),
            Field("  outcome", text_at(decision, "status")),
            Field("  at", text_at(decision, "decided")),
            *(Field(f"    {label_of(k)}", _short(text_of(v))) for k, v in arguments.items()),
        )
    )
    for refusal in rows_at(decision, "refusals"):
        by = " of ".join(p for p in (text_at(refusal, "rule"), text_at(refusal, "profile")) if p)
        yield Paragraph(f"also refused by {by}: {text_at(refusal, 'reason')}", "bad", indent=2)


def _short(text: str) -> str:
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return f"{text[:SHOWN_CHARACTERS]} [... {len(text) - SHOWN_CHARACTERS} more characters]"
