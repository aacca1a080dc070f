"""A plan whose actor and whose tools are another program's own: only the door is ours.

Every call and every request to a model is decided, recorded, budgeted and
shown like a plan's. The bodies run in that program's process: no cell stands
around them, and the plan's status says so.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from cleveragents.assembly.allowance import joined
from cleveragents.assembly.clock import now_ms
from cleveragents.assembly.embedded_charter import (
    EmbeddedRequest,
    embedded_charter,
    embedded_context,
    embedded_pens,
    no_hands,
)
from cleveragents.assembly.house import OFF_UNSAFE, open_house, person
from cleveragents.errors import ConfigurationError, PlanBudgetExceededError
from cleveragents.plans.lifecycle import PlanLifecycleService
from cleveragents.plans.running_plan import Served
from cleveragents.record.approval import ApprovalBook
from cleveragents.runtime.approval import ApprovalDesk
from cleveragents.runtime.model_desk import ModelDesk
from cleveragents.runtime.refusal_desk import RefusalDesk
from cleveragents.runtime.tool_registry import ToolRegistry
from cleveragents.runtime.tool_runtime import ToolRuntime
from cleveragents.terms.interaction import Nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cleveragents.assembly.house import House
    from cleveragents.errors import CleverAgentsError
    from cleveragents.models.price import PriceBook
    from cleveragents.plans.executor import PlanExecutor
    from cleveragents.runtime.call_context import CallContext
    from cleveragents.runtime.model_ask import ModelAsk
    from cleveragents.runtime.model_desk import Models, Price
    from cleveragents.terms.call import CallResult, ToolCall
    from cleveragents.terms.interaction import ApprovalQuestion
    from cleveragents.terms.model import ModelEndpoint, ModelReply
    from cleveragents.terms.tool import ToolSpec


class EmbeddedPlan:
    """One plan from its start to its end; ``call`` and ``ask`` from any thread.

    Args:
        house: The shared parts; closed with the plan.
        request: What is wanted.
        specs: The program's tools.
        endpoint: The model that it asks.

    Raises:
        CleverAgentsError: Nothing started.
    """

    def __init__(
        self,
        house: House,
        request: EmbeddedRequest,
        *,
        specs: Sequence[ToolSpec],
        endpoint: ModelEndpoint,
    ) -> None:
        self._house = house
        self._registry = ToolRegistry(specs)
        charter = embedded_charter(house, request, self._registry, endpoint)
        self._means = house.means(Nobody(), charter.credentials)
        self._charter = joined(house, self._means, charter, is_default=request.session is None)
        self._pens = embedded_pens(house, self._means, self._charter)
        self._context = embedded_context(self._charter, self._registry, self._means)
        self._prices: PriceBook | None = None
        self._executor: PlanExecutor | None = None
        self._ready, self._over = threading.Event(), threading.Event()
        self._ending: CleverAgentsError | None = None
        self._broken: BaseException | None = None
        self._thread = threading.Thread(target=self._live, name="embedded-plan", daemon=True)

    @property
    def plan_id(self) -> str:
        """Its id, for ``agents plan status``."""
        return self._charter.plan_id

    @property
    def is_metered(self) -> bool:
        """Say whether a limit of the chain counts tokens or money."""
        snapshots = [self._means.accounts.snapshot(name) for name in self._charter.accounts]
        return any(
            one.limits.tokens is not None or one.limits.cost_microusd is not None
            for one in snapshots
        )

    def price(self, endpoint: ModelEndpoint) -> Price | None:
        """What a model costs; ``None`` when nobody says."""
        # Dear to load, and wanted by the first request only.
        from cleveragents.models.price import PriceBook  # noqa: PLC0415

        if self._prices is None:
            self._prices = PriceBook(self._house.settings.prices)
        try:
            return self._prices.find(endpoint)
        except ConfigurationError:
            # A provider that we do not know, which the program does.
            return None

    def start(self) -> EmbeddedPlan:
        """Put the plan on record, from where it is seen and can be cancelled.

        Raises:
            RecordError: The record cannot be written.
        """
        self._thread.start()
        self._ready.wait()
        if self._broken is not None:
            self.close(None)
            raise self._broken
        return self

    def call(
        self,
        call: ToolCall,
        *,
        perform: Callable[[Mapping[str, object]], Mapping[str, object]],
        is_approved: bool,
    ) -> CallResult:
        """Take one call through the door; in a thread that may wait.

        Args:
            call: Tool and arguments, as plain JSON.
            perform: The tool's own body, handed the arguments as they were decided.
            is_approved: A person admitted exactly this call to the program.

        Raises:
            CleverAgentsError: As ``ToolRuntime.call``.
        """
        door = self._door(broker=_Body(perform), models=None, is_approved=is_approved)
        try:
            self._check()
        except PlanBudgetExceededError as error:
            door.refuse_late(error, call, self._context, is_under_way=False)
        return door.call(call, self._context)

    def ask(self, ask: ModelAsk, *, models: Models) -> ModelReply:
        """Take one request to a model through the door; in a thread that may wait.

        The program chose the model, and holds its key: what is decided is the
        budget. Another model than the plan began with is recorded as such.

        Args:
            ask: The request.
            models: Bounds, prices and sends it.

        Raises:
            CleverAgentsError: As ``ToolRuntime.ask_model``; also when the plan
                is cancelled or out of time.
        """
        self._check()
        context = replace(self._context, endpoints=frozenset((ask.endpoint,)))
        return self._door(broker=None, models=models, is_approved=False).ask_model(ask, context)

    def close(self, ending: CleverAgentsError | None) -> None:
        """End the plan: what it was ended by is its outcome; nothing is complete."""
        self._ending = ending
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._means.watch.close()
        self._house.close()

    def _check(self) -> None:
        if self._executor is not None:
            self._executor.check()

    def _live(self) -> None:
        served = Served(self._registry, no_hands(), self._act)
        try:
            PlanLifecycleService(self._means).serve_root(self._charter, served)
        except BaseException as error:  # noqa: BLE001  # handed to whoever started the plan
            self._broken = error
        finally:
            self._ready.set()

    def _act(self, executor: PlanExecutor) -> None:
        self._executor = executor
        self._ready.set()
        self._over.wait()
        if self._ending is not None:
            raise self._ending

    def _door(
        self, *, broker: _Body | None, models: Models | None, is_approved: bool
    ) -> ToolRuntime:
        means, house = self._means, self._house
        who = person(house.environ)
        interaction = _Person(is_approved=is_approved)
        return ToolRuntime(
            recorder=self._pens.recorder,
            refusals=RefusalDesk(self._pens.recorder, self._pens.redactor),
            desk=ApprovalDesk(ApprovalBook(means.log), interaction, who=who),
            broker=broker or _Body(dict),
            models=ModelDesk(lambda: cast("Models", models), book=means.accounts, credentials={}),
            redactor=self._pens.redactor,
            now_ms=now_ms,
            call_timeout_s=house.settings.timeout_s,
        )


def open_plan(
    request: EmbeddedRequest,
    *,
    specs: Sequence[ToolSpec],
    endpoint: ModelEndpoint,
    environ: Mapping[str, str],
) -> EmbeddedPlan:
    """Start a plan for another program.

    Raises:
        CleverAgentsError: Nothing started.
    """
    # No cell is started for it, so no wall is built either.
    house = open_house(environ, isolation=OFF_UNSAFE)
    try:
        plan = EmbeddedPlan(house, request, specs=specs, endpoint=endpoint)
    except BaseException:
        # Whatever it is goes on up: nothing that was opened stays behind.
        house.close()
        raise
    return plan.start()


class _Body:
    """The door's broker for one call: the program's own function."""

    def __init__(self, perform: Callable[[Mapping[str, object]], Mapping[str, object]]) -> None:
        self._perform = perform

    def perform(
        self, tool: str, arguments: Mapping[str, object], context: CallContext, *, timeout_s: float
    ) -> Mapping[str, object]:
        """Run it; how long it may take is the program's own business."""
        del tool, context, timeout_s
        return self._perform(arguments)


class _Person(Nobody):
    """Who is asked about a call: the program has asked already, or nobody is there."""

    def __init__(self, *, is_approved: bool) -> None:
        self._is_approved = is_approved

    def approve_call(self, question: ApprovalQuestion) -> bool | None:
        """Give what a person told the program; else leave the question open."""
        return True if self._is_approved else super().approve_call(question)
