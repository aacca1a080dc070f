"""A plan as a tree: what it decided, the calls that followed, the subplans that they made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.cli.fact import mapping_at, rows_at, text_at, texts_at
from cleveragents.cli.page import Heading, Paragraph
from cleveragents.cli.plan_list_view import tone_of
from cleveragents.cli.spent import spent_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cleveragents.cli.page import Block, Page

    Data = Mapping[str, object]

STEP: Final = 2
"""Columns that each level is indented by."""


def tree_page(data: Data) -> Page:
    """A plan and what is below it: decisions, calls and subplans, each one once."""
    return tuple(_plan(data, 0))


def _plan(node: Data, indent: int) -> Iterator[Block]:
    standing = text_at(node, "outcome") or text_at(node, "state")
    cost = mapping_at(node, "cost")
    title = f"{text_at(node, 'name', absent='plan')}  {text_at(node, 'plan_id')}  {standing}"
    is_shown = text_at(cost, "limit_usd") or text_at(cost, "spent_usd", absent="0") != "0"
    line = title.rstrip() + (f"  {spent_text(cost)}" if is_shown else "")
    if indent:
        yield Paragraph(line, tone_of(node), indent)
    else:
        yield Heading(line, tone_of(node) or "strong")
    yield from _Branch(node).draw(indent + STEP)


class _Branch:
    """Draws the inside of one plan.

    Args:
        node: The plan's data.
    """

    def __init__(self, node: Data) -> None:
        self._node = node
        calls = [call for call in rows_at(node, "calls") if text_at(call, "tool")]
        self._calls = {text_at(call, "call_id"): call for call in calls}
        self._children = {text_at(one, "plan_id"): one for one in rows_at(node, "subplans")}
        self._named = {
            call for one in _all(rows_at(node, "decisions")) for call in texts_at(one, "calls")
        }

    def draw(self, indent: int) -> Iterator[Block]:
        shown = set(self._calls)
        decisions = rows_at(self._node, "decisions")
        if not decisions:
            yield from self._draw_calls(tuple(self._calls), indent)
        for place, decision in enumerate(decisions):
            yield from self._draw_decision(decision, indent, is_first=not place)
        for violation in rows_at(self._node, "violations"):
            # A parent's list holds its descendants' too; each is shown once, at its own plan.
            is_own = text_at(violation, "plan_id") == text_at(self._node, "plan_id")
            if is_own and text_at(violation, "call_id") not in shown:
                what = text_at(violation, "tool") or text_at(violation, "resource_name")
                text = f"refused {what}: {text_at(violation, 'reason')}"
                yield Paragraph(text, "bad", indent)
        for name in tuple(self._children):
            yield from self._draw_child(name, indent)

    def _draw_decision(self, decision: Data, indent: int, *, is_first: bool) -> Iterator[Block]:
        yield Paragraph(_decision(decision), "", indent)
        inner = indent + STEP
        if is_first:
            # How the goal is reached: what follows from no other decision follows from it.
            yield from self._draw_calls(
                tuple(call for call in self._calls if call not in self._named), inner
            )
        yield from self._draw_calls(texts_at(decision, "calls"), inner)
        for name in texts_at(decision, "subplans"):
            yield from self._draw_child(name, inner)
        for below in rows_at(decision, "decisions"):
            yield from self._draw_decision(below, inner, is_first=False)

    def _draw_calls(self, names: tuple[str, ...], indent: int) -> Iterator[Block]:
        for name in names:
            call = self._calls.pop(name, None)
            if call is not None:
                yield _call(call, indent)

    def _draw_child(self, name: str, indent: int) -> Iterator[Block]:
        child = self._children.pop(name, None)
        if child is not None:
            yield from _plan(child, indent)


def _all(decisions: tuple[Data, ...]) -> Iterator[Data]:
    for one in decisions:
        yield one
        yield from _all(rows_at(one, "decisions"))


def _decision(decision: Data) -> str:
    by = text_at(decision, "who") or text_at(decision, "by")
    said = f"{text_at(decision, 'decision_id')}  {text_at(decision, 'question')}"
    said += f"  {text_at(decision, 'choice')}"
    if by != "actor":
        said += f"  (by {by})"
    outcome = text_at(decision, "outcome")
    return f"{said}  -> {outcome}" if outcome else said


def _call(call: Data, indent: int) -> Paragraph:
    status = text_at(call, "status")
    line = f"{text_at(call, 'call_id')}  {text_at(call, 'tool')}  {status}".rstrip()
    if text_at(call, "verdict") != "denied":
        return Paragraph(line, "bad" if status == "failed" else "dim", indent)
    by = " of ".join(filter(None, (text_at(call, "rule"), text_at(call, "profile"))))
    return Paragraph(f"{line} by {by}: {text_at(call, 'reason')}", "bad", indent)
