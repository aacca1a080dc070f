"""What a plan decided, and why each call was let in or not, as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.cli.fact import mapping_at, rows_at, text_at, texts_at
from cleveragents.cli.outline import label_of, text_of
from cleveragents.cli.page import Field, Fields, Heading, Paragraph, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cleveragents.cli.page import Block, Page

    Data = Mapping[str, object]

SHOWN_CHARACTERS = 300
"""Of one argument; ``--format json`` and ``audit show`` have the whole."""


def explain_page(data: Data) -> Page:
    """What the plan decided, then each call with verdict, rule, profile and reason."""
    decisions = rows_at(data, "decisions")
    # Entries of the plan itself, its apply among them, are nobody's call.
    calls = [call for call in rows_at(data, "calls") if text_at(call, "tool")]
    # Of the plan's own calls each says itself why it was refused.
    own = text_at(data, "plan_id")
    below = [one for one in rows_at(data, "violations") if text_at(one, "plan_id") != own]
    page = (
        *(block for decision in decisions for block in _decision(decision)),
        *(block for call in calls for block in _call(call)),
        *(Paragraph(_violation(one), "bad") for one in below),
        *(block for log in rows_at(data, "program_logs") for block in _log(log)),
    )
    return page or (Paragraph("nothing has been decided yet"),)


def _decision(decision: Data) -> Iterator[Block]:
    yield Heading(f"{text_at(decision, 'decision_id')}  {text_at(decision, 'question')}")
    by = (text_at(decision, "by"), text_at(decision, "who"))
    yield Fields(
        (
            Field("  decided", text_at(decision, "choice")),
            Field("  in place of", "; ".join(texts_at(decision, "alternatives"))),
            Field("  reason", text_at(decision, "reason")),
            Field("  by", " ".join(part for part in by if part)),
            Field("  belongs to", text_at(decision, "parent")),
            Field("  calls", ", ".join(texts_at(decision, "calls"))),
            Field("  subplans", ", ".join(texts_at(decision, "subplans"))),
            Field("  outcome", text_at(decision, "outcome")),
            Field("  at", text_at(decision, "at")),
        )
    )


def _violation(violation: Data) -> str:
    what = text_at(violation, "tool") or text_at(violation, "resource_name")
    return f"refused below, in {text_at(violation, 'plan_id')}: {what}: " + text_at(
        violation, "reason"
    )


def _log(log: Data) -> Iterator[Block]:
    left_out = text_at(log, "left_out", absent="0")
    before = f", after {left_out} characters that were not kept" if left_out != "0" else ""
    yield Heading(f"what the program printed, start {text_at(log, 'attempt')}{before}")
    yield Source(text_at(log, "text"))


def _call(decision: Data) -> Iterator[Block]:
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
