"""A model that asks for hundreds of long results at once, and reads them again and again."""

from __future__ import annotations

import json

import pytest

from cleveragents.plans.actor import conversation as module
from cleveragents.plans.actor.conversation import (
    MAX_ANSWER_CHARS,
    MAX_RESULT_CHARS,
    RECALL,
    Conversation,
)
from cleveragents.terms.model import ModelReply, ModelRequest, ModelUsage

ASKS = 512
REPLY = ModelReply("", (), ModelUsage(), "tools", "m", {"kind": "response"})


def talk() -> Conversation:
    made = Conversation("do", (), max_output_tokens=10)
    made.say("go")
    made.answer(REPLY)
    return made


def told(conversation: Conversation) -> list[str]:
    return [str(m["text"]) for m in conversation.request().messages if m["role"] == "tool"]


@pytest.mark.parametrize("name", ["read_file", RECALL])
def test_one_answer_is_shown_so_much_and_no_more(name: str) -> None:
    made = talk()
    text = "x" * MAX_RESULT_CHARS
    for index in range(ASKS):
        made.result(f"a{index}", name, f"turn1.{index}", text, is_failed=False)
    assert len(json.dumps(made.new)) < MAX_ANSWER_CHARS + ASKS * 300
    shown = [one for one in told(made) if len(one) >= MAX_RESULT_CHARS]
    assert len(shown) == MAX_ANSWER_CHARS // MAX_RESULT_CHARS
    made.answer(REPLY)
    made.result("b", name, "turn2.0", text, is_failed=False)
    assert told(made)[-1] == text


def test_what_was_not_shown_can_be_read_next() -> None:
    made = talk()
    for index in range(7):
        text = str(index) * MAX_RESULT_CHARS
        made.result(f"a{index}", "read_file", f"turn1.{index}", text, is_failed=False)
    assert told(made)[6] == (
        f"[{MAX_RESULT_CHARS} characters, put aside: recall_result(call_id='turn1.6') reads them"
        " again]"
    )
    assert made.recall("turn1.6", 0) == "6" * MAX_RESULT_CHARS


def test_what_is_read_again_is_not_kept_once_more_and_can_be_put_aside() -> None:
    made = talk()
    for index in range(4):
        made.result(f"a{index}", RECALL, f"turn1.{index}", "y" * 5_000, is_failed=False)
    assert made.recall("turn1.0", 0) is None
    assert made.elide()
    assert told(made)[0] == "[5000 characters, put aside: ask for them again]"


def test_the_oldest_results_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT_CHARS", 2_500)
    made = talk()
    for index in range(3):
        made.result(f"a{index}", "read_file", f"turn1.{index}", "z" * 1_000, is_failed=False)
    assert made.recall("turn1.0", 0) is None
    assert made.recall("turn1.2", 0) == "z" * 1_000


def test_putting_hundreds_aside_counts_the_whole_only_a_few_times() -> None:
    made = talk()
    for index in range(ASKS):
        made.result(f"a{index}", "read_file", f"turn1.{index}", "w" * 500, is_failed=False)
    whole: list[int] = []

    def size_of(request: ModelRequest) -> int:
        if len(request.messages) > 1:
            whole.append(len(request.messages))
        return sum(len(str(one.get("text", ""))) for one in request.messages) // 3

    made.shrink(20_000, size_of)
    assert size_of(made.request()) <= 20_000
    # No more than it takes: the newest are still there.
    assert size_of(made.request()) > 20_000 - 200
    assert len(whole) < 8
    assert told(made)[-1] == "w" * 500
    made.shrink(1, size_of)
    assert sum(one == "w" * 500 for one in told(made)) == 2
