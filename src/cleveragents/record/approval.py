"""What a person was asked and said, bound to the digest of exactly one call.

There is no table of approvals: questions and verdicts are entries of the
record, and a verdict counts because it is in there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError
from cleveragents.record.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.record.entry import StoredEntry
    from cleveragents.record.log import RecordLog


_USED: Final = frozenset({"decision", "outcome", "violation"})
"""What uses a question and its answer up."""


@dataclass(frozen=True, slots=True)
class Question:
    """A call that waits."""

    plan_id: str
    root_id: str
    call_id: str
    tool: str
    arguments: Mapping[str, object]
    digest: str
    """Digest of the arguments."""
    reason: str
    at: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a person said to a call."""

    allow: bool
    who: str
    reason: str
    at: str


class ApprovalBook:
    """Reads and writes the questions and verdicts of the record."""

    def __init__(self, log: RecordLog) -> None:
        self._log = log

    def request(
        self,
        *,
        root_id: str,
        plan_id: str,
        call_id: str,
        body: Mapping[str, object],
    ) -> bool:
        """Record the question, unless the same one is recorded already.

        Args:
            root_id: The root plan.
            plan_id: The plan whose call waits.
            call_id: The call.
            body: ``tool``, ``arguments`` (redacted), ``reason``,
                ``arguments_digest`` and ``tool_digest``.

        Returns:
            Whether it was recorded now.
        """
        if self.is_requested(plan_id, call_id, str(body.get("arguments_digest"))):
            return False
        self._log.append(
            Entry(
                kind="approval_requested",
                root_id=root_id,
                plan_id=plan_id,
                call_id=call_id,
                body=body,
            )
        )
        return True

    def is_requested(self, plan_id: str, call_id: str, digest: str) -> bool:
        """Say whether this question stands in the record, nothing having come of it since."""
        is_open = False
        for entry in self._log.call_entries(plan_id, call_id):
            if entry.kind == "approval_requested" and entry.body.get("arguments_digest") == digest:
                is_open = True
            elif entry.kind in _USED:
                is_open = False
        return is_open

    def verdict(self, plan_id: str, call_id: str, digest: str) -> Verdict | None:
        """Give the last verdict on exactly this call; ``None`` when nobody has answered.

        A yes is used up by the call that it let in: one that was cut off, and
        may have happened, is asked about anew.
        """
        found = None
        for entry in self._log.call_entries(plan_id, call_id):
            if entry.kind == "approval" and entry.body.get("digest") == digest:
                found = _verdict(entry)
            elif entry.kind == "decision":
                found = None
        return found

    def record_verdict(
        self,
        *,
        root_id: str,
        plan_id: str,
        call_id: str,
        digest: str,
        allow: bool,
        who: str,
        reason: str = "",
    ) -> Verdict:
        """Write down what a person said; the plan goes on when it is resumed."""
        body = {"digest": digest, "allow": allow, "who": who, "reason": reason}
        return _verdict(
            self._log.append(
                Entry(kind="approval", root_id=root_id, plan_id=plan_id, call_id=call_id, body=body)
            )
        )

    def question(self, plan_id: str, call_id: str) -> Question:
        """Give the question that waits under a call.

        Raises:
            ConfigurationError: Nothing waits there.
        """
        waiting = self.waiting(plan_id)
        for question in waiting:
            if question.call_id == call_id:
                return question
        known = ", ".join(question.call_id for question in waiting)
        raise ConfigurationError(
            problem=f"no call {call_id!r} of plan {plan_id} waits for a person",
            hint=f"waiting: {known}" if known else "nothing of it waits",
        )

    def waiting(self, plan_id: str) -> tuple[Question, ...]:
        """Give the questions of one plan that nobody has answered, oldest first."""
        open_: dict[tuple[str, str], Question] = {}
        for entry in self._log.entries(plan_id=plan_id, kind="approval_requested"):
            body = self._log.resolve(entry.body)
            arguments = body.get("arguments")
            question = Question(
                plan_id=plan_id,
                root_id=entry.root_id,
                call_id=entry.call_id,
                tool=str(body.get("tool")),
                arguments=arguments if isinstance(arguments, dict) else {},
                digest=str(body.get("arguments_digest")),
                reason=str(body.get("reason")),
                at=entry.at,
            )
            is_open = self.is_requested(plan_id, entry.call_id, question.digest)
            if is_open and self.verdict(plan_id, entry.call_id, question.digest) is None:
                open_[(entry.call_id, question.digest)] = question
        return tuple(open_.values())


def _verdict(entry: StoredEntry) -> Verdict:
    body = entry.body
    return Verdict(
        # INVARIANT: only a stored true admits; whatever else stands there does not.
        allow=body.get("allow") is True,
        who=str(body.get("who")),
        reason=str(body.get("reason")),
        at=entry.at,
    )
