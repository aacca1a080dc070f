"""A cell's connection on its way through the door: the call that it is recorded as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.runtime.asked import Asked
from cleveragents.terms.call import ToolCall
from cleveragents.terms.digest import digest_value
from cleveragents.terms.resource import Resource
from cleveragents.terms.tool import Effect, ToolSpec

if TYPE_CHECKING:
    from cleveragents.policy.connection import Caller
    from cleveragents.record.redaction import Redactor
    from cleveragents.runtime.call_context import CallContext
    from cleveragents.terms.connection import Connection, Traffic

CONNECT: Final = ToolSpec(
    name="connect",
    description="A connection that something in a cell makes through the host.",
    parameters={"type": "object"},
    effects=frozenset({Effect.NETWORK}),
    place="door",
)
"""Not in any registry: nobody calls it, the host makes a call of each connection."""


def asked_connection(
    connection: Connection, caller: Caller, context: CallContext, redactor: Redactor
) -> Asked:
    """Give a connection the form of a call, under an identity that it alone has.

    Never that of an earlier one: a connection is not replayed, whatever the
    record holds (design, section 11).
    """
    arguments: dict[str, object] = {
        "host": connection.host,
        "port": connection.port,
        "form": connection.form,
        "caller": caller.name,
    }
    if caller.call_id:
        arguments["call"] = caller.call_id
    return Asked(
        call=ToolCall(
            step=context.journal.next_connection(), tool=CONNECT.name, arguments=arguments
        ),
        context=context,
        spec=CONNECT,
        arguments=arguments,
        resources=(Resource("host", connection.host, "use"),),
        shown=redactor.value(arguments),
        digests={"arguments_digest": digest_value(arguments), "tool_digest": CONNECT.name},
    )


def outcome_of(connection: Connection, traffic: Traffic) -> dict[str, object]:
    """Give the body of the outcome: where it led, and how much went which way."""
    value = {
        "host": connection.host,
        "port": connection.port,
        "address": traffic.address,
        "sent_bytes": traffic.sent,
        "received_bytes": traffic.received,
    }
    if not traffic.error:
        return {"status": "done", "value": value}
    return {"status": "failed", "value": value, "error": traffic.error}
