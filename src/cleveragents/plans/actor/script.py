"""The script actor: the steps of a plan file, one after the other.

It decides nothing but the order. What a reference inserts is data and is never
evaluated again; the scope holds results of calls, inputs and three facts of
the plan, so that a replay takes the same way.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, assert_never

from cleveragents.config import expression
from cleveragents.config.plan_file import subplan_to_mapping
from cleveragents.errors import (
    ApprovalPendingError,
    CleverAgentsError,
    MergeConflictError,
    MergeRefusedError,
    PlanCancelledError,
    RefusalError,
    ToolFailedError,
)
from cleveragents.plans.actor.output import output_problem
from cleveragents.plans.decision_book import Choice
from cleveragents.plans.group import MemberEnding
from cleveragents.terms.call import ToolCall
from cleveragents.terms.plan import ParallelStep, SubplanDefinition, SubplanStep, ToolStep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.terms.call import CallResult
    from cleveragents.terms.plan import PlanDefinition, Step

SPAWN = "spawn_subplan"


class Caller(Protocol):
    """The executor, as an actor sees it: the only way to act."""

    def call(self, call: ToolCall) -> CallResult:
        """Take one call through the door."""

    def open_group(self, steps: tuple[str, ...], *, fail_fast: bool) -> None:
        """Announce spawn calls that merge in this order after all of them ended."""

    def leave_group(self, step: str, ending: MemberEnding) -> None:
        """Say how a member's last attempt ended."""

    def decide(self, choice: Choice) -> str:
        """Record a decision of the plan, once."""


class ScriptActor:
    """Runs steps against a scope of earlier results.

    Args:
        caller: The executor.
        inputs: Values of the plan's declared inputs.
        facts: ``id``, ``name`` and ``goal`` of the plan.
    """

    def __init__(
        self, caller: Caller, *, inputs: Mapping[str, object], facts: Mapping[str, object]
    ) -> None:
        self._caller = caller
        self._results: dict[str, Mapping[str, object]] = {}
        self._scope: Mapping[str, object] = {
            "inputs": inputs,
            "plan": facts,
            "steps": self._results,
        }

    def resolve(self, value: object) -> object:
        """Fill the references of a value from the scope."""
        return expression.resolve(value, self._scope)

    def outputs(self, definition: PlanDefinition | SubplanDefinition) -> Mapping[str, object]:
        """Give what the plan hands in, once its last step has ended.

        Raises:
            ToolFailedError: Something that it reads is not there, or does not
                fit the schema that was declared for it.
        """
        result = definition.result if isinstance(definition, SubplanDefinition) else {}
        outputs = _mapping(self.resolve(result))
        problem = output_problem(outputs, definition.outputs)
        if problem:
            raise ToolFailedError(tool_name=f"script {definition.name}", reason=problem)
        return outputs

    def run(self, steps: tuple[Step, ...]) -> None:
        """Run every step in order.

        Raises:
            CleverAgentsError: The first refusal or failure that the file does
                not let pass by ``on_denied`` or ``on_error``.
        """
        for step in steps:
            match step:
                case ToolStep():
                    self._one(step, step.tool, step.args)
                case SubplanStep():
                    self._spawn(step, step.id)
                case ParallelStep():
                    self._group(step)
                case _:
                    assert_never(step)

    def _one(self, step: ToolStep, tool: str, args: Mapping[str, object]) -> None:
        try:
            result = self._caller.call(
                ToolCall(step=step.id, tool=tool, arguments=_mapping(self.resolve(args)))
            )
        except RefusalError:
            if step.on_denied == "fail":
                raise
            self._go_on(step.id, "on_denied")
        except ToolFailedError:
            if step.on_error == "fail":
                raise
            self._go_on(step.id, "on_error")
        else:
            self._results[step.id] = result.value

    def _go_on(self, call_id: str, key: str) -> None:
        """Record that the plan goes on over a call that did not end well."""
        happened = "was refused" if key == "on_denied" else "failed"
        self._caller.decide(
            Choice(
                key=f"{key}:{call_id}",
                question=f"{call_id} {happened}: does the plan go on?",
                choice="it goes on without it",
                alternatives=("it ends",),
                reason=f"the step says {key}: continue",
                calls=(call_id,),
            )
        )

    def _try_again(self, step: SubplanStep, failed: ToolCall) -> None:
        """Record that a child which failed is tried again, as a new child."""
        again = replace(failed, attempt=failed.attempt + 1)
        self._caller.decide(
            Choice(
                key=f"retry:{again.call_id}",
                question=f"{failed.call_id} failed: is it tried again?",
                choice=f"yes, attempt {again.attempt} of {step.retries + 1}",
                alternatives=("no",),
                reason=f"the step says retries: {step.retries}",
                calls=(again.call_id,),
            )
        )

    def _spawn(self, step: SubplanStep, call_id: str) -> None:
        asked = subplan_to_mapping(step.subplan)
        asked["inputs"] = self.resolve(step.subplan.inputs)
        for attempt in range(1, step.retries + 2):
            call = ToolCall(step=call_id, tool=SPAWN, arguments=asked, attempt=attempt)
            try:
                result = self._caller.call(call)
            except (RefusalError, MergeRefusedError):
                # A refusal is final: the same child would be refused the same again.
                if step.on_denied == "fail":
                    raise
                self._go_on(call.call_id, "on_denied")
                return
            except ToolFailedError:
                if attempt <= step.retries:
                    self._try_again(step, call)
                elif step.on_error == "fail":
                    raise
                else:
                    self._go_on(call.call_id, "on_error")
            else:
                self._results[step.id] = result.value
                return

    def _group(self, group: ParallelStep) -> None:
        steps = tuple(f"{group.id}.{member.id}" for member in group.members)
        self._caller.open_group(steps, fail_fast=group.fail_fast)
        failures: dict[int, BaseException] = {}

        def one(index: int) -> None:
            ending = MemberEnding()
            try:
                self._spawn(group.members[index], steps[index])
            except BaseException as error:  # noqa: BLE001  # handed to the thread that waits, below
                failures[index] = error
                ending = _ending_of(error)
            self._caller.leave_group(steps[index], ending)

        threads = [
            threading.Thread(target=one, args=(index,), name=step)
            for index, step in enumerate(steps)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for index in sorted(failures):
            # Anything that is no verdict of ours outranks a verdict.
            if not isinstance(failures[index], CleverAgentsError):
                raise failures[index]
        # Who was ended because of another says nothing about why the plan ends.
        own = [i for i in failures if not isinstance(failures[i], PlanCancelledError)]
        if own:
            # They stand in the order of time: what ended a fail_fast group comes first.
            raise failures[own[0] if group.fail_fast else min(own)]
        if failures:
            raise failures[min(failures)]


def _ending_of(error: BaseException) -> MemberEnding:
    match error:
        case ApprovalPendingError() | MergeConflictError():
            return MemberEnding(is_waiting=True)
        case PlanCancelledError():
            return MemberEnding()
        case _:
            return MemberEnding(failure=str(error))


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ToolFailedError(tool_name="step", reason="arguments are not a mapping")
    return value
