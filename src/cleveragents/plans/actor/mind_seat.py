"""Where a model actor sits in the host: its requests and phases, beside its calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.errors import (
    ConfigurationError,
    ModelFailedError,
    PlanBudgetExceededError,
    PlanCancelledError,
    RefusalError,
)
from cleveragents.models.token_count import upper_bound
from cleveragents.plans.actor.conversation import Conversation
from cleveragents.plans.actor.llm import LlmActor
from cleveragents.plans.actor.mind_prompt import first_message, instructions
from cleveragents.plans.actor.mind_tool import offered
from cleveragents.plans.decision_book import Choice
from cleveragents.terms.cost import NO_LIMITS, Limits
from cleveragents.terms.plan import SubplanDefinition
from cleveragents.terms.tool import Effect

if TYPE_CHECKING:
    from collections.abc import Callable

    from cleveragents.plans.actor.program import Submission
    from cleveragents.plans.decision_book import DecisionBook
    from cleveragents.plans.executor import PlanExecutor
    from cleveragents.plans.group import MemberEnding
    from cleveragents.plans.running_plan import RunningPlan
    from cleveragents.plans.watch import Watch
    from cleveragents.runtime.model_ask import ModelAsk
    from cleveragents.runtime.tool_runtime import ToolRuntime
    from cleveragents.terms.call import CallResult, ToolCall
    from cleveragents.terms.model import ModelReply, ModelRequest
    from cleveragents.terms.plan import Phase, PlanDefinition

LOOKS: Final = frozenset({Effect.READ, Effect.NETWORK})
"""Effects of calls that change nothing: those of the phase ``strategize``."""
BYTES_PER_TOKEN: Final = 3
"""Of running text, and on the safe side; what is *held* for a request is not guessed like this."""


class MindSeat:
    """A plan's executor, as its model sees it.

    Args:
        executor: Takes its calls through the door.
        plan: The plan.
        door: Takes its requests.
        watch: Cancel requests and time limits.
        decisions: Where its choices are kept.
        enter: Says which phase the plan is in.
    """

    def __init__(
        self,
        executor: PlanExecutor,
        plan: RunningPlan,
        *,
        door: ToolRuntime,
        watch: Watch,
        decisions: DecisionBook,
        enter: Callable[[Phase], None],
    ) -> None:
        self._executor = executor
        self._plan = plan
        self._door = door
        self._watch = watch
        self._decisions = decisions
        self._enter = enter
        self._is_looking = True
        self._has_decided = False

    def run(self) -> Submission:
        """Let the model act until it is done.

        Raises:
            ConfigurationError: No model was lent to the plan.
            CleverAgentsError: As ``LlmActor.run``.
        """
        charter, definition = self._plan.charter, self._plan.definition
        endpoints = charter.mind.endpoints_for(definition.actor)
        if not endpoints:
            raise ConfigurationError(
                problem="no model thinks for this plan",
                where="actor.model",
                hint="name one in the actor, by --model, or by the setting 'model'",
            )
        self._enter("strategize")
        tools = offered(self._plan.context.scope, charter.grant, definition.outputs)
        names = tuple(tool.name for tool in tools)
        conversation = Conversation(
            instructions(
                charter,
                names,
                budget=_handed_budget(definition),
                has_outputs=bool(definition.outputs),
            ),
            tools,
            max_output_tokens=charter.mind.max_output_tokens,
        )
        conversation.say(self._door.redacted(first_message(definition.goal, charter.inputs)))
        return LlmActor(
            self,
            mind=charter.mind,
            endpoints=endpoints,
            conversation=conversation,
            tools=tools,
            outputs=definition.outputs,
            size_of=_estimate,
        ).run()

    # -- its calls: the executor's --------------------------------------------

    def call(self, call: ToolCall) -> CallResult:
        """Take one call through the door."""
        return self._executor.call(call)

    def open_group(self, steps: tuple[str, ...], *, fail_fast: bool) -> None:
        """Announce spawn calls that merge in this order after all of them ended."""
        self._executor.open_group(steps, fail_fast=fail_fast)

    def leave_group(self, step: str, ending: MemberEnding) -> None:
        """Say how a member's last attempt ended."""
        self._executor.leave_group(step, ending)

    def tell(self, text: str) -> None:
        """Report a line of the model's own words."""
        self._executor.tell(text)

    # -- its requests and choices ---------------------------------------------

    def ask_model(self, ask: ModelAsk) -> ModelReply:
        """Take one request to a model through the door.

        Raises:
            CleverAgentsError: As ``ToolRuntime.ask_model``, and of a cancelled plan.
        """
        self._watch.check(self._plan)
        try:
            return self._door.ask_model(ask, self._plan.context)
        except RefusalError as error:
            self._executor.report("denied", f"{ask.step}: {error.message}")
            raise
        except ModelFailedError as error:
            # A request that the watch ended looks like a failed one from here.
            self._watch.check(self._plan)
            self._executor.report("failed", f"{ask.step}: {error.message}")
            raise

    def should_stop(self) -> bool:
        """Say whether the plan is cancelled or out of time."""
        try:
            self._watch.check(self._plan)
        except (PlanCancelledError, PlanBudgetExceededError):
            return True
        return False

    def place_of(self, tool: str) -> str:
        """Where a tool's body runs; what is no tool is refused in the cell's place."""
        spec = self._plan.context.tools.find(tool)
        return spec.place if spec else "cell"

    def decide(self, choice: Choice) -> str:
        """Record a decision of the model's, once; gives its id."""
        # What the runtime chose, such as another model, is no strategy.
        self._has_decided = self._has_decided or choice.by != "runtime"
        return self._executor.decide(choice)

    def begin_changes(self, call_id: str, tool: str, words: str) -> None:
        """End the phase ``strategize`` before the first call that may change something."""
        spec = self._plan.context.tools.find(tool)
        if not self._is_looking or spec is None or spec.effects <= LOOKS:
            return
        self._is_looking = False
        if not self._has_decided:
            self.decide(
                Choice(
                    key="strategy",
                    question=self._plan.definition.goal,
                    choice=words.strip() or f"{tool}, without a written strategy",
                    calls=(call_id,),
                )
            )
        self._enter("execute")

    def told(self, call_id: str) -> str | None:
        """What the model was told of a call that has no outcome; ``None`` when nothing."""
        name = self._decisions.find_key(self._plan.plan_id, _told(call_id))
        decision = self._decisions.find(self._plan.plan_id, name) if name else None
        return decision.choice if decision else None

    def tell_of(self, call_id: str, text: str) -> str:
        """Record what the model is told of a call that has no outcome, and give it as kept."""
        question = "does the plan go on without this child?"
        self._executor.decide(
            Choice(_told(call_id), question, text, calls=(call_id,), by="runtime")
        )
        # What is kept may be shorter: the model is told the same now and on a resume.
        return self.told(call_id) or text


def _told(call_id: str) -> str:
    return f"told:{call_id}"


def _handed_budget(definition: PlanDefinition | SubplanDefinition) -> Limits:
    return definition.delegate.budget if isinstance(definition, SubplanDefinition) else NO_LIMITS


def _estimate(request: ModelRequest) -> int:
    return upper_bound(request) // BYTES_PER_TOKEN
