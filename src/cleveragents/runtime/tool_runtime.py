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
    ModelFailedError,
    SubplanRefusedError,
    ToolAccessDeniedError,
    ToolFailedError,
    UnpricedModelError,
)
from cleveragents.policy import gate
from cleveragents.runtime.asked import Asked
from cleveragents.runtime.call_effect import CallEffect
from cleveragents.runtime.call_ending import CallEnding
from cleveragents.runtime.connection import asked_connection, outcome_of
from cleveragents.runtime.consent import Consent
from cleveragents.runtime.cut_off import CutOff
from cleveragents.runtime.model_ask import asked_model, recorded_reply
from cleveragents.runtime.program_start import PROGRAM, asked_program
from cleveragents.runtime.refusal import recorded_answer
from cleveragents.terms.decision import Allowed, Denied
from cleveragents.terms.digest import digest_value
from cleveragents.terms.resource import parse_resource
from cleveragents.terms.tool import Effect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.policy.connection import Caller
    from cleveragents.record.redaction import Redactor
    from cleveragents.runtime.approval import ApprovalDesk
    from cleveragents.runtime.call_context import Broker, CallContext
    from cleveragents.runtime.call_recorder import CallRecorder
    from cleveragents.runtime.model_ask import ModelAsk
    from cleveragents.runtime.model_desk import ModelDesk
    from cleveragents.runtime.refusal_desk import RefusalDesk
    from cleveragents.terms.call import CallResult, ToolCall
    from cleveragents.terms.connection import Connection, Traffic
    from cleveragents.terms.decision import Decision
    from cleveragents.terms.model import ModelReply

RUN_COMMAND: Final = "run_command"
Program = TypeVar("Program")
Value = TypeVar("Value")
MAX_RESOURCE: Final = 256
"""Characters of an unreadable resource name that are kept."""
INTERRUPTED: Final = "the host ended before the answer came; it may have been billed"


class ToolRuntime:
    """Decides, records, performs and records again. There is no second way.

    Args:
        recorder: Writes decision and outcome.
        refusals: Records and raises every no.
        desk: Asks a person.
        broker: Performs network calls for the plan, in the host.
        models: Prices and sends requests to models.
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
        models: ModelDesk,
        redactor: Redactor,
        now_ms: Callable[[], int],
        call_timeout_s: float,
    ) -> None:
        self._recorder = recorder
        self._refusals = refusals
        self._ending = CallEnding(recorder, refusals, redactor)
        self._consent = Consent(desk, refusals)
        self._cut_off = CutOff(recorder, self._ending, self._consent)
        self._effect = CallEffect(broker, call_timeout_s=call_timeout_s)
        self._models = models
        self._redactor = redactor
        self._now_ms = now_ms

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
            found = self._cut_off.take_up(asked, decision, trace)
            if found is not None:
                return found
        approver = self._consent.listed(asked, trace)
        return self._perform(asked, decision, approver)

    def ask_model(self, ask: ModelAsk, context: CallContext) -> ModelReply:
        """Take one request to a model through the door.

        It is decided by what the host holds for the plan: the endpoints that
        it was started with, else the hosts and credentials of its grant. Lists
        of tool names and effects do not apply (design, section 11).

        Args:
            ask: What the plan's own actor asks.
            context: What the host holds for its plan.

        Raises:
            SecurityBoundaryViolation: The grant holds neither the endpoint nor its host.
            BudgetExceededError: A limit of the chain does not admit the worst case.
            UnpricedModelError: A cost limit is in force and the model has no price.
            ModelFailedError: There is no answer; nothing else happened.
            RecordError: The record cannot say what happened; the plan stops.
        """
        resources = self._models.resources(ask.endpoint)
        asked = asked_model(ask, context, resources, self._redactor)
        trace = context.journal.find(asked.call.call_id, tool=asked.spec.name, **asked.digests)
        if trace.violation is not None:
            recorded_answer(asked, trace)
        if trace.outcome is not None:
            return recorded_reply(trace)
        decision: Decision = Allowed(rule="grant: model")
        if ask.endpoint not in context.endpoints:
            decision = gate.decide_resources(context.scope, asked.resources, call="model request")
            decision = self._models.unlent(
                ask.endpoint, decision, in_subplan=context.scope.in_subplan
            )
        if isinstance(decision, Denied):
            self._refusals.denied(asked, decision)
        try:
            worst = self._models.worst(ask, context.accounts)
        except UnpricedModelError as error:
            self._refusals.over_budget(asked, error)
        asked = asked._replace(worst=worst)
        started = self._now_ms()
        held = self._decide(asked, decision, {})
        if trace.is_unfinished:
            cut = ModelFailedError(kind="interrupted", reason=INTERRUPTED, is_billed=True)
            lost = self._models.lost(ask, worst, is_billed=True)
            self._ending.unanswered(asked, cut, milliseconds=0, held=held, used=lost)
        try:
            reply = self._models.send(ask, worst)
        except ModelFailedError as error:
            used = self._models.lost(ask, worst, is_billed=error.is_billed)
            passed = self._now_ms() - started
            self._ending.unanswered(asked, error, milliseconds=passed, held=held, used=used)
        return self._ending.answered(
            asked,
            reply,
            milliseconds=self._now_ms() - started,
            held=held,
            used=self._models.used(ask, reply.usage, worst),
        )

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
        asked = asked_program(command, context, self._redactor)
        if Effect.EXECUTE not in effects:
            self._refusals.program(asked)
        trace = context.journal.find(PROGRAM.name, tool=PROGRAM.name, **asked.digests)
        approver = ""
        # One that was cut off starts again in its own workspace; it was admitted then.
        if RUN_COMMAND in context.approvals and trace.decision is None:
            approver = self._consent.require(
                asked, "a program runs commands, which wait for a person"
            )
        if trace.decision is not None and context.journal.has_connected(since=trace.position):
            approver = self._consent.require(
                asked, "it had reached hosts by itself and was cut off; it may do so again"
            )
        extra = {"approved_by": approver} if approver else {}
        held = self._decide(asked, Allowed(rule="effects: execute"), extra)
        program = start()
        self._recorder.outcome(
            asked, {"status": "done", "value": {"started": True}}, milliseconds=0, held=held
        )
        return program

    def connect(
        self,
        connection: Connection,
        caller: Caller,
        context: CallContext,
        *,
        effects: frozenset[Effect],
        carry: Callable[[], Traffic],
    ) -> Traffic:
        """Take a connection that something in a cell makes by itself through the door.

        Args:
            connection: What is to be reached.
            caller: Who asks, as the host knows it.
            context: What the host holds for the plan of that cell.
            effects: The ceiling of the plan's profiles and grant.
            carry: Makes it, and returns when it has ended; never raises.

        Raises:
            ToolAccessDeniedError: A profile does not admit the host.
            SecurityBoundaryViolation: The subplan's grant does not hold it.
            BudgetExceededError: A limit of the chain does not admit another call.
            ToolFailedError: What was asked for cannot be read.
            RecordError: Nothing can be recorded; the plan stops.
        """
        asked = asked_connection(connection, caller, context, self._redactor)
        if connection.problem:
            # As a call with malformed arguments: no rule forbids it.
            held = self._decide(asked, Allowed(rule="arguments"), {})
            self._ending.failed(asked, connection.problem, milliseconds=0, held=held)
        (host,) = asked.resources
        decision = gate.decide_connection(context.scope, host, caller, effects=effects)
        if isinstance(decision, Denied):
            self._refusals.denied(asked, decision)
        started = self._now_ms()
        held = self._decide(asked, decision, {})
        traffic = carry()
        body = self._redactor.value(outcome_of(connection, traffic))
        self._recorder.outcome(asked, body, milliseconds=self._now_ms() - started, held=held)
        return traffic

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

    def _perform(self, asked: Asked, decision: Allowed, approver: str) -> CallResult:
        started = self._now_ms()
        readied = self._effect.ready(asked)
        extra = {"approved_by": approver} if approver else {}
        held = self._decide(asked, decision, {**extra, **readied.files})
        try:
            value = self._effect.perform(asked, decision, readied)
        except ToolFailedError as error:
            self._ending.failed(
                asked, error.reason, milliseconds=self._now_ms() - started, held=held
            )
        except ToolAccessDeniedError as error:
            # An MCP server that offers something else than was approved.
            self._recorder.give_back(asked, held=held)
            self._refusals.changed(asked, error)
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
