"""What the commands of `agents plan` do that change something: a function each, an answer each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.assembly.allowance import Typed, amended, joined
from cleveragents.assembly.clock import new_id, timestamp
from cleveragents.assembly.house import person
from cleveragents.assembly.opened_house import opened_house, opened_means
from cleveragents.assembly.order import check_workspace, founded, make_charter
from cleveragents.boundary.leave_out import LeaveOutRules
from cleveragents.config.plan_file import load_plan, parse_plan
from cleveragents.errors import (
    ApplyFailedError,
    ApprovalPendingError,
    CleverAgentsError,
    ConfigurationError,
    MergeConflictError,
    PlanBusyError,
    PlanCancelledError,
)
from cleveragents.plans.charter import read_charter
from cleveragents.plans.lifecycle import PlanLifecycleService
from cleveragents.record import plan_row
from cleveragents.record.approval import ApprovalBook
from cleveragents.record.owner import is_owned
from cleveragents.record.plan_table import PlanTable
from cleveragents.record.status_view import plan_status
from cleveragents.terms.answer import Answer, Message
from cleveragents.terms.cost import NO_LIMITS
from cleveragents.terms.interaction import Nobody

if TYPE_CHECKING:
    from cleveragents.assembly.house import House
    from cleveragents.config.plan_file import LoadedPlan
    from cleveragents.plans.means import Means
    from cleveragents.plans.plan_state import Ending
    from cleveragents.terms.interaction import Interaction

MAX_NAME = 40
"""Characters of a name that is made of a goal."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """`agents plan run`, as it was typed."""

    workspace: Path
    file: Path | None = None
    goal: str | None = None
    automation_profile: str | None = None
    safety_profile: str | None = None
    max_cost: str | None = None
    max_tokens: str | None = None
    max_requests: str | None = None
    max_tool_calls: str | None = None
    max_seconds: str | None = None
    model: str | None = None
    mcp_config: Path | None = None
    """A file of MCP servers, trusted: the operator typed its name."""
    inputs: tuple[tuple[str, str], ...] = ()
    apply: bool = False
    session: str | None = None
    isolation: str | None = None

    @property
    def limits(self) -> Typed:
        """The limits among the options."""
        return Typed(
            self.max_cost,
            self.max_tokens,
            self.max_requests,
            self.max_tool_calls,
            self.max_seconds,
        )


def run(request: RunRequest, interaction: Interaction) -> Answer:
    """Run a plan to its end, and apply it when told to.

    Raises:
        CleverAgentsError: Nothing started: the files, the profiles or the
            wall are not in order.
    """
    if request.file is not None:
        return run_loaded(load_plan(request.file), request, interaction)
    goal = request.goal or ""
    if not goal.strip():
        raise ConfigurationError(problem="the goal is empty", where="--goal")
    raw = {"name": named_after(goal), "goal": goal, "actor": {"kind": "llm"}}
    return run_loaded(parse_plan(raw, name="the goal", base=Path.cwd()), request, interaction)


def named_after(goal: str) -> str:
    """The name of a plan that has only a goal: its first words.

    >>> named_after("Summarise the last week of changes into docs/CHANGES.md")
    'Summarise the last week of changes into'
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in goal).split())
    if len(line) <= MAX_NAME:
        return line
    return line[: MAX_NAME + 1].rpartition(" ")[0] or line[:MAX_NAME]


def run_loaded(loaded: LoadedPlan, request: RunRequest, interaction: Interaction) -> Answer:
    """Run a plan that was read already; `run`, and the public ``run_plan``."""
    with opened_house(request.isolation or "") as house:
        workspace = check_workspace(request.workspace, house.home)
        charter = make_charter(house, loaded, request, plan_id=new_id(), workspace=workspace)
        house.require_isolation()
        with opened_means(house, interaction, charter) as means:
            charter = joined(house, means, charter, is_default=request.session is None)
            house.apply_desk(means).check_whole(workspace)
            snapshot = means.trees.snapshot(workspace, LeaveOutRules(shown=charter.conduct.shown))
            charter = founded(charter, snapshot.tree, house.launcher().isolation)
            left_out = [[one.path, one.reason] for one in snapshot.left_out]
            ending = PlanLifecycleService(means).start_root(charter, left_out=left_out)
            warnings = tuple(
                Message("warning", text) for text in (*loaded.messages, *charter.warnings)
            )
            return _after_run(house, means, charter.plan_id, ending, request.apply, warnings)


def resume(plan_id: str, *, limits: Typed, apply: bool, interaction: Interaction) -> Answer:
    """Go on with a plan; finished calls are answered from the record.

    Args:
        plan_id: A root plan.
        limits: What a person raises or lowers by it.
        apply: Bring its changes into the directory when it is complete.
        interaction: Who answers questions.
    """
    limits.over(NO_LIMITS)  # What was mistyped is told before anything is opened.
    with opened_house(_isolation_of(plan_id)) as house:
        house.require_isolation()
        charter = read_charter(house.log(), plan_id)
        with opened_means(house, interaction, charter) as means:
            ending = PlanLifecycleService(means).resume_root(
                plan_id, amended=lambda one: amended(house, means, one, limits, os.environ)
            )
            return _after_run(house, means, plan_id, ending, apply, ())


def apply(plan_id: str, *, yes: bool, partial: bool, interaction: Interaction) -> Answer:
    """Bring a finished plan's changes into the user's directory."""
    with opened_house() as house, opened_means(house, interaction) as means:
        try:
            state = house.apply_desk(means).apply(plan_id, is_confirmed=yes, is_partial=partial)
        except (ApprovalPendingError, MergeConflictError, PlanCancelledError) as error:
            return _status(house, plan_id, error.exit_code, _messages(error))
        word = "applied" if state.outcome == "applied" else "not applied"
        return _status(house, plan_id, 0, (Message("info", f"plan {plan_id}: {word}"),))


def cancel(plan_id: str) -> Answer:
    """Stop a plan: its owner obeys within a second; without an owner it ends here."""
    with opened_house() as house:
        root_id = plan_row.get(house.store(), plan_id).root_id
        if not PlanTable(house.store(), house.log()).request_cancel(root_id):
            text = f"plan {root_id} was over already"
            return _status(house, plan_id, 0, (Message("info", text),))
        if not is_owned(house.store(), house.home / "locks", root_id):
            with opened_means(house, Nobody()) as means:
                PlanLifecycleService(means).cancel_unowned(root_id)
        return _status(house, plan_id, 0, (Message("info", f"plan {root_id} is cancelled"),))


def approve(plan_id: str, call_id: str, *, deny: bool, reason: str, who: str = "") -> Answer:
    """Answer a call that waits; `resume` goes on."""
    with opened_house() as house:
        row = plan_row.get(house.store(), plan_id)
        book = ApprovalBook(house.log())
        question = book.question(plan_id, call_id)
        book.record_verdict(
            root_id=row.root_id,
            plan_id=plan_id,
            call_id=call_id,
            digest=question.digest,
            allow=not deny,
            who=who or person(os.environ),
            reason=reason,
        )
        word = "denied" if deny else "approved"
        is_served = is_owned(house.store(), house.home / "locks", row.root_id)
        # A gateway's client asks again by itself; any other plan has ended and waits.
        after = "ask for it again" if is_served else f"'agents plan resume {row.root_id}' goes on"
        text = f"{call_id} {word}; {after}"
        return _status(house, plan_id, 0, (Message("info", text),))


def _isolation_of(plan_id: str) -> str:
    """A plan that was started without the wall is resumed without; no other ever is."""
    with opened_house() as house:
        tier = plan_row.get(house.store(), plan_id).isolation_tier
        return tier if tier == "off-unsafe" else ""


def _after_run(
    house: House,
    means: Means,
    plan_id: str,
    ending: Ending,
    is_told: bool,
    messages: tuple[Message, ...],
) -> Answer:
    exit_code = ending.exit_code
    warned = tuple(Message("warning", text) for text in dict.fromkeys(house.budget_warnings))
    messages = (*messages, *warned)
    if ending.error is not None:
        messages = (*messages, *_messages(ending.error))
    if ending.is_complete:
        try:
            house.apply_desk(means).settle(plan_id, is_told=is_told)
        except (
            ApprovalPendingError,
            MergeConflictError,
            ApplyFailedError,
            PlanBusyError,
            PlanCancelledError,
        ) as error:
            exit_code, messages = error.exit_code, (*messages, *_messages(error))
    return _status(house, plan_id, exit_code, messages)


def _messages(error: CleverAgentsError) -> tuple[Message, ...]:
    return (Message("error" if error.exit_code else "info", error.message),)


def _status(house: House, plan_id: str, exit_code: int, messages: tuple[Message, ...]) -> Answer:
    data = plan_status(house.store(), plan_id, locks_dir=house.home / "locks", now=timestamp())
    return Answer(data=data, exit_code=exit_code, messages=messages)
