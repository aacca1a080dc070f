"""THE DOOR: the one function through which every effect of every plan passes.

The order is the contract (design, section 11): canonical name and normalised
paths -> record (answered?) -> registry -> gate -> approval -> reserve ->
decision recorded -> effect -> outcome and settlement in one transaction.
Nothing is held while a call waits for a person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Never, TypeVar

from cleveragents.errors import (
    BudgetExceededError,
    DelegationError,
    MergeRefusedError,
    SubplanRefusedError,
    ToolAccessDeniedError,
    ToolFailedError,
)
from cleveragents.policy import gate
from cleveragents.runtime.asked import Asked
from cleveragents.runtime.call_ending import CallEnding
from cleveragents.runtime.cut_off import fate_of
from cleveragents.runtime.refusal import recorded_answer
from cleveragents.terms.call import ToolCall
from cleveragents.terms.decision import Allowed, Denied
from cleveragents.terms.digest import digest_value
from cleveragents.terms.resource import parse_resource
from cleveragents.terms.tool import Effect, ToolSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.record.redaction import Redactor
    from cleveragents.runtime.approval import ApprovalDesk
    from cleveragents.runtime.call_context import Broker, CallContext
    from cleveragents.runtime.call_recorder import CallRecorder
    from cleveragents.runtime.journal import Trace
    from cleveragents.runtime.refusal_desk import RefusalDesk
    from cleveragents.terms.call import CallResult

CHANGES: Final = frozenset({Effect.WRITE, Effect.DELETE, Effect.EXECUTE})
"""Effects after which the workspace may differ."""
RUN_COMMAND: Final = "run_command"
PROGRAM: Final = ToolSpec(
    name="program",
    description="The start of a program actor.",
    parameters={"type": "object"},
    effects=frozenset({Effect.EXECUTE}),
    place="door",
)
"""Not in any registry: a plan's definition asks for it, never a call."""
Program = TypeVar("Program")
Value = TypeVar("Value")
MAX_RESOURCE: Final = 256
"""Characters of an unreadable resource name that are kept."""
GRACE_S: Final = 5.0
"""What the host waits beyond a call's own time limit before it ends the cell."""


class ToolRuntime:
    """Decides, records, performs and records again. There is no second way.

    Args:
        recorder: Writes decision and outcome.
        refusals: Records and raises every no.
        desk: Asks a person.
        broker: Performs network calls for the plan, in the host.
        redactor: Replaces credential values before record and actor.
        now_ms: A monotonic clock in milliseconds, for durations.
        call_timeout_s: Time limit of a call that names none.
    """

    def __init__(
        self,
        *,
        recorder: CallRecorder,
        refusals: RefusalDesk,
        desk: ApprovalDesk,
        broker: Broker,
        redactor: Redactor,
        now_ms: Callable[[], int],
        call_timeout_s: float,
    ) -> None:
        self._recorder = recorder
        self._refusals = refusals
        self._ending = CallEnding(recorder, refusals, redactor)
        self._desk = desk
        self._broker = broker
        self._redactor = redactor
        self._now_ms = now_ms
        self._call_timeout_s = call_timeout_s

    def call(self, call: ToolCall, context: CallContext) -> CallResult:
        """Take one call through the door.

        Args:
            call: What the actor asks for.
            context: What the host holds for that actor's plan.

        Returns:
            The result; from the record when the call had ended before.

        Raises:
            ToolAccessDeniedError: A profile, or a person, refuses.
            SecurityBoundaryViolation: The subplan's grant does not hold it.
            DelegationError: A spawn asks for more than may be handed on.
            BudgetExceededError: A limit of the chain does not admit the worst case.
            SubplanRefusedError: The spawned child was ended by a refusal.
            MergeRefusedError: What the child made may not come back.
            ApprovalPendingError: The call waits for a person.
            ToolFailedError: The tool failed, or its arguments are malformed.
            RecordError: The record cannot say what happened; the plan stops.
        """
        asked = self._asked(call, context)
        trace = context.journal.find(call.call_id, tool=asked.spec.name, **asked.digests)
        if trace.outcome is not None or trace.violation is not None:
            return recorded_answer(asked, trace)
        decision = gate.decide(context.scope, asked.spec, asked.arguments, asked.resources)
        if isinstance(decision, Denied):
            self._refuse(asked, decision)
        if trace.is_unfinished:
            found = self._take_up(asked, decision, trace)
            if found is not None:
                return found
        approver = self._approve(asked, trace)
        return self._perform(asked, decision, approver)

    def open(self, name: str, call_id: str, context: CallContext) -> Mapping[str, object]:
        """Answer a program that asks its channel for a resource by name.

        Args:
            name: ``plan:<id>/context``, ``credential:NAME``, ``file:PATH``, ``host:NAME``.
            call_id: The program's message.
            context: What the host holds for that channel.

        Returns:
            The name again: the resource is used through tools, and a
            credential's value never leaves the host.

        Raises:
            SecurityBoundaryViolation: It is another plan's, or was not handed on.
        """
        resource = parse_resource(name)
        if resource is None:
            self._refusals.resource(name[:MAX_RESOURCE], call_id, context)
        decision = gate.decide_resources(context.scope, (resource,), call="open")
        if isinstance(decision, Denied):
            self._refusals.resource(resource.name, call_id, context)
        return {"resource": resource.name}

    def start_program(
        self,
        command: tuple[str, ...],
        context: CallContext,
        *,
        effects: frozenset[Effect],
        start: Callable[[], Program],
    ) -> Program:
        """Start a program actor: an effect like any other, decided and recorded.

        Args:
            command: What is started.
            context: What the host holds for its plan.
            effects: The ceiling of the plan's profiles and grant.
            start: Starts it in its cell.

        Raises:
            ToolAccessDeniedError: The ceiling lacks ``execute``, or a person refuses.
            SecurityBoundaryViolation: The same, in a subplan.
            ApprovalPendingError: ``run_command`` is listed under approvals, and nobody is there.
        """
        arguments: dict[str, object] = {"command": list(command)}
        asked = Asked(
            call=ToolCall(step=PROGRAM.name, tool=PROGRAM.name, arguments=arguments),
            context=context,
            spec=PROGRAM,
            arguments=arguments,
            resources=(),
            shown=self._redactor.value(arguments),
            digests={"arguments_digest": digest_value(arguments), "tool_digest": "program"},
        )
        if Effect.EXECUTE not in effects:
            self._refusals.program(asked)
        trace = context.journal.find(PROGRAM.name, tool=PROGRAM.name, **asked.digests)
        approver = ""
        # One that was cut off starts again in its own workspace; it was admitted then.
        if RUN_COMMAND in context.approvals and trace.decision is None:
            approver = self._ask_person(asked, "a program runs commands, which wait for a person")
        extra = {"approved_by": approver} if approver else {}
        held = self._decide(asked, Allowed(rule="effects: execute"), extra)
        program = start()
        self._recorder.outcome(
            asked, {"status": "done", "value": {"started": True}}, milliseconds=0, held=held
        )
        return program

    def apply(
        self, plan_id: str, body: Mapping[str, object], *, perform: Callable[[], None]
    ) -> None:
        """Bring a root plan's change into the user's directory: written, done, written.

        Args:
            plan_id: The root plan; this process owns it, and somebody said yes.
            body: The trees, and the held paths that were looked at.
            perform: Changes the directory, all files or none.

        Raises:
            CleverAgentsError: Of ``perform``; the record then holds a start and no end.
        """
        self._recorder.apply("apply_started", plan_id, body)
        perform()
        self._recorder.apply("apply_finished", plan_id, body)

    def redacted(self, value: Value) -> Value:
        """What a program handed in, as everybody but it may see it."""
        return self._redactor.value(value)

    def refuse_merge(self, error: MergeRefusedError, context: CallContext) -> None:
        """Record that what a plan made may not go further."""
        self._refusals.merge(error, context)

    def refuse_late(
        self,
        error: BudgetExceededError,
        call: ToolCall,
        context: CallContext,
        *,
        is_under_way: bool,
    ) -> Never:
        """Record that a plan's time was used up before a call, or under it.

        Raises:
            BudgetExceededError: Always; the one given.
        """
        asked = self._asked(call, context)
        trace = context.journal.find(call.call_id, tool=asked.spec.name, **asked.digests)
        if trace.outcome is not None and not is_under_way:
            # A resumed plan that has no time left: this call had ended well, another was refused.
            raise error
        self._refusals.over_budget(asked, error)

    def _asked(self, call: ToolCall, context: CallContext) -> Asked:
        spec = context.tools.find(call.tool)
        if spec is None:
            self._refusals.unknown_tool(call, context)
        prepared = gate.prepare(spec, call.arguments)
        return Asked(
            call=call,
            context=context,
            spec=spec,
            arguments=prepared.arguments,
            resources=prepared.resources,
            shown=self._redactor.value(prepared.arguments),
            digests={
                "arguments_digest": digest_value(prepared.arguments),
                "tool_digest": context.tools.digest(spec.name),
            },
        )

    def _refuse(self, asked: Asked, denied: Denied) -> Never:
        first = denied.refusals[0]
        if first.rule == "arguments":
            # No rule forbids the call; it is malformed, and the actor can mend it.
            held = self._decide(asked, Allowed(rule="arguments"), {})
            self._ending.failed(asked, first.reason, milliseconds=0, held=held)
        self._refusals.denied(asked, denied)

    def _take_up(self, asked: Asked, decision: Allowed, trace: Trace) -> CallResult | None:
        """Settle a call that was started and never ended.

        Returns:
            Its result when it turns out to have happened; ``None`` when it may
            be run (again).

        Raises:
            ApprovalPendingError: It may have reached the outside: a person decides.
            RecordError: Its files are neither as before nor as after.
        """
        match fate_of(asked, trace, may_change=_may_change(asked, decision)):
            case "happened":
                # It is counted, whatever became of what was held for it.
                held = self._recorder.hold(asked)
                return self._ending.done(asked, {"recovered": True}, milliseconds=0, held=held)
            case "unknown":
                self._ask_person(
                    asked, "it was started and never ended; it may have happened already"
                )
        return None

    def _approve(self, asked: Asked, trace: Trace) -> str:
        if asked.spec.name not in asked.context.approvals or trace.is_unfinished:
            return ""
        return self._ask_person(asked, f"{asked.spec.name} is listed under approvals")

    def _ask_person(self, asked: Asked, reason: str) -> str:
        try:
            return self._desk.require(
                asked.call,
                asked.context,
                arguments=asked.shown,
                digests=asked.digests,
                reason=reason,
            )
        except ToolAccessDeniedError as no:
            self._refusals.by_person(asked, no)

    def _perform(self, asked: Asked, decision: Allowed, approver: str) -> CallResult:
        started = self._now_ms()
        extra: dict[str, object] = {"approved_by": approver} if approver else {}
        hands = asked.context.hands
        prepares = asked.spec.place == "cell" and hands.is_prepared(asked.spec.name)
        timeout_s = self._timeout_s(asked)
        failure: ToolFailedError | None = None
        if prepares:
            try:
                effect = hands.prepare(asked.spec.name, asked.arguments, timeout_s=timeout_s)
                extra |= {"before": dict(effect.before), "after": dict(effect.after)}
            except ToolFailedError as error:
                failure = error
        held = self._decide(asked, decision, extra)
        try:
            if failure is not None:
                raise failure
            if prepares:
                value = hands.commit(timeout_s=timeout_s)
            else:
                value = self._effect(asked, decision, timeout_s)
        except ToolFailedError as error:
            self._ending.failed(
                asked, error.reason, milliseconds=self._now_ms() - started, held=held
            )
        except DelegationError as error:
            self._recorder.give_back(asked, held=held)
            self._refusals.delegation(asked, error)
        except BudgetExceededError as error:
            # What was to be moved into a subplan is not there.
            self._recorder.give_back(asked, held=held)
            self._refusals.over_budget(asked, error)
        except MergeRefusedError as error:
            self._ending.unmerged(asked, error, milliseconds=self._now_ms() - started, held=held)
        except SubplanRefusedError as error:
            self._ending.refused(asked, error, milliseconds=self._now_ms() - started, held=held)
        return self._ending.done(asked, value, milliseconds=self._now_ms() - started, held=held)

    def _decide(self, asked: Asked, decision: Allowed, extra: Mapping[str, object]) -> bool:
        try:
            return self._recorder.decision(asked, decision, extra=extra)
        except BudgetExceededError as error:
            self._refusals.over_budget(asked, error)

    def _effect(self, asked: Asked, decision: Allowed, timeout_s: float) -> Mapping[str, object]:
        name, arguments, context = asked.spec.name, asked.arguments, asked.context
        match asked.spec.place:
            case "cell":
                if _may_change(asked, decision):
                    context.hands.checkpoint(asked.call.call_id)
                return context.hands.call(name, arguments, timeout_s=timeout_s)
            case "host":
                return self._broker.perform(name, arguments, context, timeout_s=timeout_s)
            case "door":
                call = ToolCall(
                    step=asked.call.step,
                    tool=name,
                    arguments=arguments,
                    attempt=asked.call.attempt,
                )
                return context.spawner.spawn(call, context)

    def _timeout_s(self, asked: Asked) -> float:
        # As it was asked for: a default that the tool's schema fills in overrules no setting.
        own = asked.call.arguments.get("timeout_s")
        return (float(own) if isinstance(own, int | float) else self._call_timeout_s) + GRACE_S


def _may_change(asked: Asked, decision: Allowed) -> bool:
    return bool((asked.spec.effects - decision.imposed) & CHANGES)
