"""Steps that cost money: a priced own tool, and the plans that call it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ASK = '''
@tool(effects={"read"}, cost_usd="0.02")
def ask(question: str) -> dict:
    """A question that is paid for."""
    return {"text": "answer", "input_tokens": 20, "output_tokens": 10}
'''
"""0.02 dollars a call; says how many tokens it used."""


def asking(step: str, question: str = "why") -> dict[str, Any]:
    """One step that costs money."""
    return {"id": step, "tool": "ask", "args": {"question": question}}


def ask(count: int) -> list[dict[str, Any]]:
    """So many steps that cost money, one after the other."""
    return [asking(f"ask{number}") for number in range(count)]


def hand_on(
    budget: Mapping[str, object] | None,
    steps: Sequence[Mapping[str, Any]],
    name: str = "child",
    **delegate: object,
) -> dict[str, Any]:
    """One step that makes a subplan, with a budget of its own or none."""
    whole = {"tools": ["ask"], "read": ["."], **delegate}
    if budget is not None:
        whole["budget"] = budget
    return {"id": name, "subplan": {"name": name, "delegate": whole, "steps": list(steps)}}


def in_parallel(count: int, budget: Mapping[str, object] | None = None) -> dict[str, Any]:
    """One step with so many subplans side by side, each of which asks once."""
    return {
        "id": "all",
        "parallel": [hand_on(budget, ask(1), f"child{number}") for number in range(count)],
    }
