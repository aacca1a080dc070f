"""The start of a program actor on its way through the door: the call that it is recorded as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.runtime.asked import Asked
from cleveragents.terms.call import ToolCall
from cleveragents.terms.digest import digest_value
from cleveragents.terms.tool import Effect, ToolSpec

if TYPE_CHECKING:
    from cleveragents.record.redaction import Redactor
    from cleveragents.runtime.call_context import CallContext

PROGRAM: Final = ToolSpec(
    name="program",
    description="The start of a program actor.",
    parameters={"type": "object"},
    effects=frozenset({Effect.EXECUTE}),
    place="door",
)
"""Not in any registry: a plan's definition asks for it, never a call."""


def asked_program(command: tuple[str, ...], context: CallContext, redactor: Redactor) -> Asked:
    """Give the start of a program the form of a call; a plan has one."""
    arguments: dict[str, object] = {"command": list(command)}
    return Asked(
        call=ToolCall(step=PROGRAM.name, tool=PROGRAM.name, arguments=arguments),
        context=context,
        spec=PROGRAM,
        arguments=arguments,
        resources=(),
        shown=redactor.value(arguments),
        digests={"arguments_digest": digest_value(arguments), "tool_digest": PROGRAM.name},
    )
