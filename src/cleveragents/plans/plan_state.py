"""Where a plan stands: a frozen value, changed only by the moves named here.

Source: design, section 11, "Outcome -> phase, state, exit".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.errors import CleverAgentsError
    from cleveragents.terms.plan import Outcome, Phase, State


@dataclass(frozen=True, slots=True)
class PlanState:
    """Phase, state and outcome, as `plan status` shows them."""

    phase: Phase = "execute"
    state: State = "queued"
    outcome: Outcome | None = None

    @property
    def is_over(self) -> bool:
        """Say whether no further call of the plan is going to be made."""
        return self.state in {"complete", "errored", "cancelled"}

    def processing(self) -> PlanState:
        """The actor works."""
        return PlanState(phase="execute", state="processing")

    def waiting(self) -> PlanState:
        """A person is asked."""
        return PlanState(phase=self.phase, state="waiting", outcome=self.outcome)

    def complete(self) -> PlanState:
        """The actor is done; nothing is applied."""
        return PlanState(phase="execute", state="complete")

    def constrained(self) -> PlanState:
        """A refusal or a budget ended the plan; its work is kept."""
        return PlanState(phase="execute", state="complete", outcome="constrained")

    def conflicted(self) -> PlanState:
        """A child's changes and the plan's own touch the same place."""
        return PlanState(phase="execute", state="waiting", outcome="conflicted")

    def errored(self) -> PlanState:
        """A call failed, or the plan could not go on."""
        return PlanState(phase=self.phase, state="errored", outcome="errored")

    def cancelled(self) -> PlanState:
        """A person stopped the plan."""
        return PlanState(phase=self.phase, state="cancelled", outcome="cancelled")

    def applied(self) -> PlanState:
        """The bytes are in the user's directory."""
        return PlanState(phase="apply", state="complete", outcome="applied")

    def merged(self) -> PlanState:
        """The bytes are in the parent's tree."""
        return PlanState(phase="apply", state="complete", outcome="merged")

    def merge_refused(self) -> PlanState:
        """The subplan ran, and its parent does not take what it made."""
        return PlanState(phase="apply", state="errored", outcome="merge_refused")


@dataclass(frozen=True, slots=True)
class Ending:
    """How an actor's run ended."""

    state: PlanState
    exit_code: int
    error: CleverAgentsError | None = None
    """The first refusal or failure that ended it."""
    outputs: Mapping[str, object] = field(default_factory=dict)
    """What it handed in, checked against the declared schemas."""
    summary: str = ""
    """Its own words."""

    @property
    def is_complete(self) -> bool:
        """Say whether the actor did all that it wanted, and nothing refused it for good."""
        return self.state == PlanState().complete()
