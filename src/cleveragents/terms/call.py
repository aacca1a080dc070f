"""One call of one tool, as it is identified, decided and recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What an actor asks for.

    Identity is plan + attempt + step (design, section 11): a replay whose tool
    or arguments differ is an error, a retry is a new attempt.
    """

    step: str
    """Step path (``docs.0.write``) or ``turn.index`` of a model."""
    tool: str
    arguments: Mapping[str, object]
    attempt: int = 1

    @property
    def call_id(self) -> str:
        """Unique within its plan: the step, and ``~N`` from the second attempt on."""
        return self.step if self.attempt == 1 else f"{self.step}~{self.attempt}"


@dataclass(frozen=True, slots=True)
class CallResult:
    """The outcome of a call that ran: the fields that expressions read."""

    call_id: str
    tool: str
    value: Mapping[str, object]
    replayed: bool = False
    """True when the record answered and nothing ran."""


def attempts(call_id: str) -> tuple[str, ...]:
    """A call and the earlier attempts of the same step, the latest first.

    >>> attempts("ask-3~3"), attempts("docs")
    (('ask-3~3', 'ask-3~2', 'ask-3'), ('docs',))
    """
    step, _, number = call_id.partition("~")
    latest = int(number or 1)
    return tuple(step if attempt == 1 else f"{step}~{attempt}" for attempt in range(latest, 0, -1))
