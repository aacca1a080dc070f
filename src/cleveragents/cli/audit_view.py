"""The record as pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.cli.fact import counted, mapping_at, rows_at, text_at, texts_at
from cleveragents.cli.outline import outline, text_of
from cleveragents.cli.page import Field, Fields, Heading, Paragraph, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cleveragents.cli.page import Block, Page, Tone

    Data = Mapping[str, object]

TONES: dict[str, Tone] = {"violation": "bad", "conflict": "bad", "approval_requested": "warn"}


def list_page(data: Data) -> Page:
    """One row an entry; ``audit show`` has the whole of one."""
    records = rows_at(data, "records")
    if not records:
        return (Paragraph("the record holds no such entry"),)
    columns = ("id", "at", "kind", "plan_id", "call_id", "summary")
    rows = tuple(tuple(_cell(record, column) for column in columns) for record in records)
    tones = tuple(TONES.get(text_at(record, "kind"), "") for record in records)
    return (Table(("id", "at", "kind", "plan", "call", "what"), rows, tones),)


def _cell(record: Data, column: str) -> str:
    return summary_of(record) if column == "summary" else text_at(record, column)


def summary_of(record: Data) -> str:
    """An entry in a few words.

    >>> summary_of({"kind": "violation", "body": {"tool": "write_file", "rule": "effects"}})
    'write_file effects'
    """
    body = mapping_at(record, "body")
    if body.get("tool") == "connect":
        return _connection(body)
    keys = ("tool", "verdict", "status", "rule", "profile", "state", "outcome", "name")
    return " ".join(text for key in keys if (text := text_of(body.get(key))))


def _connection(body: Data) -> str:
    """A connection of a cell: where to, decided or ended how, and how much went which way.

    >>> _connection({"tool": "connect", "status": "done", "value": {"host": "a.org", "port": 443,
    ...             "sent_bytes": 5, "received_bytes": 7}})
    'connect done a.org:443 5 bytes sent, 7 received'
    """
    place = mapping_at(body, "value") or mapping_at(body, "arguments")
    words = ["connect", *(text_of(body.get(key)) for key in ("verdict", "status", "rule"))]
    if place.get("host"):
        words.append(f"{text_of(place.get('host'))}:{text_of(place.get('port'))}")
    if "sent_bytes" in place:
        sent, received = text_of(place["sent_bytes"]), text_of(place["received_bytes"])
        words.append(f"{sent} bytes sent, {received} received")
    return " ".join(word for word in words if word)


def record_page(data: Data) -> Page:
    """Every field of one entry."""
    head = {key: value for key, value in data.items() if key not in {"body", "resolved"}}
    return (
        Fields(tuple(Field(key, text_of(value)) for key, value in head.items())),
        Heading("Body"),
        *outline(mapping_at(data, "resolved") or mapping_at(data, "body")),
    )


def verify_page(data: Data) -> Page:
    """Whole or broken, and each problem."""
    problems = texts_at(data, "problems")
    checked = text_at(data, "checked", absent="0")
    notes = tuple(Paragraph(note, "dim", indent=2) for note in texts_at(data, "notes"))
    if data.get("ok") is True:
        return (Paragraph(f"the record is whole: {checked} entries checked", "good"), *notes)
    return (
        Heading(f"THE RECORD IS BROKEN: {counted(len(problems), 'problem')}", "bad"),
        Paragraph(f"{checked} entries checked"),
        *(Paragraph(problem, "bad", indent=2) for problem in problems),
        *notes,
    )


def replay_page(data: Data) -> Page:
    """Only what would be decided otherwise, and how many would not."""
    calls = rows_at(data, "calls")
    changed = [call for call in calls if call.get("was") != call.get("now")]
    profile = text_at(data, "profile")
    same = f"{len(calls) - len(changed)} of {counted(len(calls), 'call')} decided the same way"
    return (
        Heading(f"under {profile}: {counted(len(changed), 'call')} decided otherwise"),
        *(block for call in changed for block in _change(call)),
        Paragraph(same, "dim"),
    )


def _change(call: Data) -> Iterator[Block]:
    now = text_at(call, "now")
    tone: Tone = "bad" if now == "denied" else "good"
    title = f"{text_at(call, 'call_id')}  {text_at(call, 'tool')}: {text_at(call, 'was')} -> {now}"
    yield Paragraph(title, tone, indent=2)
    by = " of ".join(part for part in (text_at(call, "rule"), profile_of(call)) if part)
    reason = text_at(call, "reason")
    yield Paragraph(f"by {by}" + (f": {reason}" if reason else ""), indent=4)


def profile_of(call: Data) -> str:
    """The profile that decides a replayed call; empty for a grant."""
    return text_at(call, "decided_by")
