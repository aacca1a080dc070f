"""Running a plan from another Python program, exactly as the command does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.assembly import plan_command
from cleveragents.config.plan_file import load_plan, parse_plan
from cleveragents.terms.interaction import Nobody

if TYPE_CHECKING:
    from cleveragents.terms.interaction import Interaction


@dataclass(frozen=True, slots=True)
class PlanReport:
    """How a plan ended."""

    status: Mapping[str, object]
    """The ``data`` of ``agents plan status``."""
    exit_code: int
    """What the command would have returned."""
    messages: tuple[str, ...] = ()

    @property
    def plan_id(self) -> str:
        """Its id."""
        return str(self.status["plan_id"])

    @property
    def outcome(self) -> str | None:
        """``applied``, ``constrained``, ...; ``None`` when it is complete and not applied."""
        found = self.status["outcome"]
        return None if found is None else str(found)


def run_plan(
    plan: str | Path | Mapping[str, object],
    *,
    workspace: str | Path = ".",
    automation_profile: str | None = None,
    safety_profile: str | None = None,
    inputs: Mapping[str, str] | None = None,
    max_cost: str | None = None,
    model: str | None = None,
    apply: bool = False,
    isolation: str | None = None,
    interaction: Interaction | None = None,
) -> PlanReport:
    """Run a plan file, or a plan that is a mapping.

    Args:
        plan: Path of a plan file, or what one would hold.
        workspace: The directory to work on; it changes only at apply.
        automation_profile: A name, or a path.
        safety_profile: A name; can only tighten.
        inputs: Values of declared inputs, as they would be typed.
        max_cost: US dollars.
        model: Who thinks for its model actor, such as ``openai:gpt-5-mini``.
        apply: Bring the changes into the directory when the plan is complete.
        isolation: ``off-unsafe`` for no wall at all.
        interaction: Who answers questions; nobody by default, so that calls
            wait and a finished plan stays to be applied.

    Raises:
        CleverAgentsError: Nothing started.
    """
    if isinstance(plan, Mapping):
        loaded = parse_plan(plan, name="the plan", base=Path.cwd())
    else:
        loaded = load_plan(Path(plan))
    request = plan_command.RunRequest(
        workspace=Path(workspace),
        automation_profile=automation_profile,
        safety_profile=safety_profile,
        max_cost=max_cost,
        model=model,
        inputs=tuple((inputs or {}).items()),
        apply=apply,
        isolation=isolation,
    )
    answer = plan_command.run_loaded(loaded, request, interaction or Nobody())
    return PlanReport(
        status=answer.data or {},
        exit_code=answer.exit_code,
        messages=tuple(message.text for message in answer.messages),
    )
