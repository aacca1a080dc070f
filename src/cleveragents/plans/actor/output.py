"""Does what a plan hands in fit what it declared? One check for every actor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.errors import CleverAgentsError
from cleveragents.policy.condition import compile_output

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_OUTPUTS: Final = 256


def output_problem(
    outputs: Mapping[str, object], declared: Mapping[str, Mapping[str, object]]
) -> str:
    """Say what is wrong with outputs, in one sentence; empty when nothing is.

    Args:
        outputs: What is handed in.
        declared: JSON Schema of each output that may be.
    """
    if len(outputs) > MAX_OUTPUTS:
        return f"more than {MAX_OUTPUTS} outputs"
    for name, value in outputs.items():
        if name not in declared:
            return f"the output {name!r} is not declared"
        try:
            failure = compile_output(declared[name], where=f"outputs.{name}").failure(value)
        except CleverAgentsError as error:
            failure = error.message
        if failure:
            return f"the output {name!r} does not fit its schema: {failure}"
    return ""
