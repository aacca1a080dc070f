"""Does what was let in: in the plan's cell, by a server, in the host, or by a child.

The door's own hand: nothing here decides or records, and nobody else calls it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from cleveragents.errors import ToolFailedError
from cleveragents.terms.call import ToolCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.runtime.asked import Asked
    from cleveragents.runtime.call_context import Broker
    from cleveragents.terms.decision import Allowed

GRACE_S: Final = 5.0
"""What the host waits beyond a call's own time limit before it ends the cell."""


class Readied(NamedTuple):
    """What is known of a call before it is done."""

    is_prepared: bool = False
    """It is worked out and changes something at its commit only."""
    files: Mapping[str, object] = MappingProxyType({})
    """Digests of the files that it changes, ``before`` and ``after``; for its decision."""
    failure: ToolFailedError | None = None
    """Why it cannot be done; it is recorded as a call that failed."""


class CallEffect:
    """Performs calls.

    Args:
        broker: Performs network calls for the plan, in the host.
        call_timeout_s: Time limit of a call that names none.
    """

    def __init__(self, broker: Broker, *, call_timeout_s: float) -> None:
        self._broker = broker
        self._call_timeout_s = call_timeout_s

    def ready(self, asked: Asked) -> Readied:
        """Have a file tool work out what it is going to change, changing nothing."""
        hands = asked.context.hands
        if asked.spec.place != "cell" or not hands.is_prepared(asked.spec.name):
            return Readied()
        try:
            effect = hands.prepare(
                asked.spec.name, asked.arguments, timeout_s=self._timeout_s(asked)
            )
        except ToolFailedError as error:
            return Readied(is_prepared=True, failure=error)
        files = {"before": dict(effect.before), "after": dict(effect.after)}
        return Readied(is_prepared=True, files=files)

    def perform(self, asked: Asked, decision: Allowed, readied: Readied) -> Mapping[str, object]:
        """Do it, now that its decision is recorded.

        Raises:
            ToolFailedError: The tool failed.
            ToolAccessDeniedError: An MCP server offers something else than was approved.
            DelegationError: A spawn asks for more than may be handed on.
            BudgetExceededError: What was to be moved into a subplan is not there.
            MergeRefusedError: What the child made may not come back.
            SubplanRefusedError: The spawned child was ended by a refusal.
        """
        if readied.failure is not None:
            raise readied.failure
        name, arguments, context = asked.spec.name, asked.arguments, asked.context
        timeout_s = self._timeout_s(asked)
        if readied.is_prepared:
            return context.hands.commit(timeout_s=timeout_s)
        if asked.spec.place == "cell" and asked.may_change(decision):
            context.hands.checkpoint(asked.call.call_id)
        if asked.spec.origin == "mcp" and context.servers is not None:
            return context.servers.call(asked.spec, arguments, timeout_s=timeout_s)
        match asked.spec.place:
            case "cell":
                return context.hands.call(name, arguments, timeout_s=timeout_s)
            case "host":
                return self._broker.perform(name, arguments, context, timeout_s=timeout_s)
            case "door":
                step, attempt = asked.call.step, asked.call.attempt
                call = ToolCall(step=step, tool=name, arguments=arguments, attempt=attempt)
                return context.spawner.spawn(call, context)

    def _timeout_s(self, asked: Asked) -> float:
        # As it was asked for: a default that the tool's schema fills in overrules no setting.
        own = asked.call.arguments.get("timeout_s")
        return (float(own) if isinstance(own, int | float) else self._call_timeout_s) + GRACE_S
