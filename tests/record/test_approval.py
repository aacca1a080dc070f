from __future__ import annotations

import pytest

from cleveragents.errors import ConfigurationError
from cleveragents.record.body import MAX_INLINE_BYTES
from tests.record.desk import ROOT, Desk

BODY = {
    "tool": "run_command",
    "arguments": {"command": "make"},
    "reason": "listed",
    "arguments_digest": "sha256:a",
    "tool_digest": "sha256:t",
}


def _ask(desk: Desk, **changes: object) -> bool:
    return desk.approvals.request(
        root_id=ROOT, plan_id=ROOT, call_id="build", body={**BODY, **changes}
    )


def _answer(desk: Desk, *, allow: bool, digest: str = "sha256:a") -> None:
    desk.approvals.record_verdict(
        root_id=ROOT, plan_id=ROOT, call_id="build", digest=digest, allow=allow, who="ann"
    )


def test_a_question_is_recorded_once(any_desk: Desk) -> None:
    assert _ask(any_desk)
    assert not _ask(any_desk)
    assert _ask(any_desk, arguments_digest="sha256:b")
    assert len(any_desk.log.entries(kind="approval_requested")) == 2


def test_a_verdict_counts_for_exactly_that_call(any_desk: Desk) -> None:
    _ask(any_desk)
    assert any_desk.approvals.verdict(ROOT, "build", "sha256:a") is None
    _answer(any_desk, allow=True, digest="sha256:other")
    assert any_desk.approvals.verdict(ROOT, "build", "sha256:a") is None
    _answer(any_desk, allow=True)
    later = any_desk.reopened()
    verdict = later.approvals.verdict(ROOT, "build", "sha256:a")
    later.close()
    assert verdict is not None
    assert verdict.allow
    assert verdict.who == "ann"


def test_the_last_verdict_counts(any_desk: Desk) -> None:
    _ask(any_desk)
    _answer(any_desk, allow=True)
    _answer(any_desk, allow=False)
    verdict = any_desk.approvals.verdict(ROOT, "build", "sha256:a")
    assert verdict is not None
    assert not verdict.allow


@pytest.mark.parametrize("stored", ["yes", 1, None, "true", {}])
def test_only_a_stored_true_admits(desk: Desk, stored: object) -> None:
    desk.append("approval", call_id="build", body={"digest": "sha256:a", "allow": stored})
    verdict = desk.approvals.verdict(ROOT, "build", "sha256:a")
    assert verdict is not None
    assert not verdict.allow


def test_what_waits_is_listed_with_all_of_its_arguments(any_desk: Desk) -> None:
    command = "x" * (MAX_INLINE_BYTES + 1)
    _ask(any_desk, arguments={"command": command})
    question = any_desk.approvals.question(ROOT, "build")
    assert question.arguments == {"command": command}
    assert (question.tool, question.digest, question.root_id) == ("run_command", "sha256:a", ROOT)
    assert any_desk.approvals.waiting(ROOT) == (question,)
    with pytest.raises(ConfigurationError, match=r"no call 'other' .* waiting: build"):
        any_desk.approvals.question(ROOT, "other")
    _answer(any_desk, allow=False)
    assert any_desk.approvals.waiting(ROOT) == ()
    with pytest.raises(ConfigurationError, match="nothing of it waits"):
        any_desk.approvals.question(ROOT, "build")
