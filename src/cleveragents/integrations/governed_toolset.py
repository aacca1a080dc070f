"""Every tool call of an agent, through the door: the last thing before the tool's own body."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic_ai import exceptions as lib
from pydantic_ai.toolsets import WrapperToolset

from cleveragents.assembly.passage import Passage
from cleveragents.errors import (
    ApprovalPendingError,
    CleverAgentsError,
    PlanCancelledError,
    RecordError,
    ToolFailedError,
)
from cleveragents.integrations.governed_run import plain, refusal, sentence_of
from cleveragents.terms.call import ToolCall
from cleveragents.terms.digest import digest_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_ai.models import Model
    from pydantic_ai.tools import RunContext
    from pydantic_ai.toolsets import ToolsetTool

    from cleveragents.integrations.governed_run import GovernedRun
    from cleveragents.terms.call import CallResult
    from cleveragents.terms.tool import ToolSpec

VALUE: Final = "value"
"""The field of a result, as for every own tool."""


@dataclass
class GovernedToolset(WrapperToolset[Any]):
    """The agent's tools; each call is decided on the arguments that its body really gets."""

    run: GovernedRun

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        """Give the agent's tools; the first time, its plan starts and pins them."""
        tools = await self.wrapped.get_tools(ctx)
        await self.run.ready((one.tool_def for one in tools.values()), cast("Model", ctx.model))
        return self.run.pins.shown(tools)

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        """Take one call through the door, and run its body if that lets it in.

        Raises:
            ToolFailed: It is refused; the model reads why.
            ApprovalRequired: It waits for a person, and the program asks one.
            PlanCancelledError: ``agents plan cancel``; the agent's run ends.
            RecordError: The record cannot say what happened; the agent's run ends.
        """
        run, spec = self.run, self.run.spec(name)
        try:
            shown = plain(tool_args)
        except (ValueError, TypeError, RecursionError) as error:
            message = f"arguments: they cannot be recorded ({type(error).__name__})"
            raise lib.ToolFailed(message) from error
        key = (name, digest_value(shown))
        call = ToolCall(
            step=run.step(ctx.run_step, key),
            tool=run.late_name(name) if spec is None else spec.name,
            arguments=shown,
        )
        passage: Passage[Mapping[str, object], Mapping[str, object], CallResult] = Passage()

        def perform(arguments: Mapping[str, object]) -> Mapping[str, object]:
            run.pins.check(name, call.tool)
            return passage.perform(arguments)

        def door() -> CallResult:
            approved = bool(ctx.tool_call_approved)
            return run.plan.call(call, perform=perform, is_approved=approved)

        def gone(error: BaseException) -> BaseException:
            return ToolFailedError(tool_name=call.tool, reason=sentence_of(error))

        try:
            with run.under_way():
                async with passage.open(door, gone=gone) as decided:
                    final = _as_decided(tool_args, decided, spec)
                    given = await self.wrapped.call_tool(name, final, ctx, tool)
                    passage.answer({VALUE: plain(given)})
        except ApprovalPendingError as error:
            run.wait(key, call.step)
            raise self._pending(error) from error
        except (PlanCancelledError, RecordError):
            raise
        except CleverAgentsError as error:
            raise refusal(error) from error
        # What the record replaced, because it holds a credential, the model does not get either.
        value = passage.end.value[VALUE]
        return given if value == plain(given) else value

    def _pending(self, error: ApprovalPendingError) -> Exception:
        if self.run.asked.defer_approvals:
            return lib.ApprovalRequired(
                metadata={"plan_id": error.plan_id, "call_id": error.call_id}
            )
        return lib.ToolFailed(
            f"{error.code}: {error.message} admits exactly this call; asked again as it was it"
            " then runs"
        )


def _as_decided(
    tool_args: dict[str, Any], decided: Mapping[str, object], spec: ToolSpec | None
) -> dict[str, Any]:
    """The arguments with their paths and hosts in the one spelling that was decided on."""
    final = dict(tool_args)
    for one in spec.resources if spec else ():
        given = tool_args.get(one.argument)
        if isinstance(given, str | list | tuple):
            final[one.argument] = decided[one.argument]
        elif isinstance(given, PurePath):
            final[one.argument] = type(given)(str(decided[one.argument]))
    return final
