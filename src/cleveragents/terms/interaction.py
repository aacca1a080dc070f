"""What a running plan asks a person, and tells one; the terminal is one implementation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

ProgressKind = Literal[
    "started", "call", "denied", "failed", "waiting", "spawned", "merged", "budget", "ended"
]


@dataclass(frozen=True, slots=True)
class ApprovalQuestion:
    """May exactly this call run?"""

    plan_id: str
    call_id: str
    tool: str
    arguments: Mapping[str, object]
    """As the tool will get them: defaults filled in, secrets redacted."""
    reason: str
    """Why a person is asked at all."""


@dataclass(frozen=True, slots=True)
class ApplyQuestion:
    """May these changes go into the user's directory?"""

    plan_id: str
    diff: str
    """The whole patch."""
    held: tuple[str, ...] = ()
    """Changed paths that run code later on the user's side."""
    summary: str = ""
    """Such as ``3 files changed``."""


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """One thing that just happened in a plan."""

    plan_id: str
    kind: ProgressKind
    text: str


class Interaction(Protocol):
    """Somebody to ask; ``None`` as an answer says that nobody is there.

    Called from any thread of a plan: an implementation asks one question at
    a time.
    """

    def approve_call(self, question: ApprovalQuestion) -> bool | None:
        """Ask whether a call may run."""
        ...

    def confirm_apply(self, question: ApplyQuestion) -> bool | None:
        """Ask whether a plan's changes may be applied."""
        ...

    def progress(self, event: ProgressEvent) -> None:
        """Say what happened; never fails, never waits."""
        ...


class Nobody:
    """Nobody is there: every question stays open, nothing is shown."""

    def approve_call(self, question: ApprovalQuestion) -> bool | None:
        """Leave the question open.

        >>> question = ApprovalQuestion("01J", "a", "run_command", {}, "listed under approvals")
        >>> Nobody().approve_call(question) is None
        True
        """
        del question
        return None

    def confirm_apply(self, question: ApplyQuestion) -> bool | None:
        """Leave the question open."""
        del question
        return None

    def progress(self, event: ProgressEvent) -> None:
        """Show nothing."""
        del event
