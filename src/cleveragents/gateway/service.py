"""How long does a gateway serve? Until its client leaves, a signal comes, or its plan is ended."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import anyio

from cleveragents.errors import ToolFailedError
from cleveragents.gateway.call_desk import CallDesk
from cleveragents.gateway.wire import open_wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from cleveragents.gateway.http_front import HttpFront
    from cleveragents.gateway.live_hands import LiveHands
    from cleveragents.gateway.mcp_server import Gateway
    from cleveragents.plans.executor import PlanExecutor

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Front(Protocol):
    """One way for clients to come in."""

    async def run_front(self) -> None:
        """Serve until there is nobody left, or ``end``."""

    def end(self) -> None:
        """Stop serving; called on the loop."""


class StdioFront:
    """One client, at the other end of two descriptors.

    Args:
        gateway: What it talks to.
        incoming: Its lines.
        outgoing: Ours.
    """

    def __init__(self, gateway: Gateway, incoming: int, outgoing: int) -> None:
        self._server = gateway.server
        self._ends = (incoming, outgoing)
        self._scope = anyio.CancelScope()

    async def run_front(self) -> None:
        """Serve until the client leaves, or ``end``."""
        with self._scope:
            async with open_wire(*self._ends) as (reading, writing):
                options = self._server.create_initialization_options()
                await self._server.run(reading, writing, options)

    def end(self) -> None:
        """Stop serving."""
        self._scope.cancel()


class Service:
    """One gateway, from its first client to its last.

    Args:
        plan_id: Its plan.
        gateway: The protocol.
        hands: Its cells.
        open_front: Makes the way in, once there is a loop.
        rule_of: Which rule refused a call, as the record has it.
        on_ready: Told when clients can come.
    """

    def __init__(
        self,
        plan_id: str,
        gateway: Gateway,
        hands: LiveHands,
        *,
        open_front: Callable[[], HttpFront | StdioFront],
        rule_of: Callable[[str], str],
        on_ready: Callable[[], None],
    ) -> None:
        self._plan_id = plan_id
        self._gateway = gateway
        self._hands = hands
        self._open_front = open_front
        self._rule_of = rule_of
        self._on_ready = on_ready
        self._is_stopped = threading.Event()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._front: Front | None = None

    def act(self, executor: PlanExecutor) -> None:
        """Serve; the plan's actor is whoever calls.

        Raises:
            RecordError: The record cannot be relied on any more.
        """
        desk = CallDesk(
            self._plan_id, executor, self._hands, rule_of=self._rule_of, on_fatal=self.stop
        )
        self._hands.on_end = self.stop
        self._gateway.open(desk)
        # The first call need not wait for its cell.
        threading.Thread(target=self._warm, name="gateway-warm", daemon=True).start()
        try:
            anyio.run(self._serve)
        finally:
            # There is nobody left to tell: what is under way ends, and its outcome is recorded.
            self._hands.end_now()
            self._gateway.close()
        if desk.fatal is not None:
            raise desk.fatal

    def stop(self) -> None:
        """End the service; from any thread, at any time, also before it has begun."""
        self._is_stopped.set()
        with self._lock:
            loop = self._loop
            if loop is not None:
                loop.call_soon_threadsafe(self._end)

    async def _serve(self) -> None:
        self._front = self._open_front()
        loop = asyncio.get_running_loop()
        before = {one: signal.signal(one, self._on_signal) for one in _SIGNALS}
        with self._lock:
            self._loop = loop
        try:
            if not self._is_stopped.is_set():
                self._on_ready()
                await self._front.run_front()
        finally:
            with self._lock:
                self._loop = None
            for one, handler in before.items():
                signal.signal(one, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.stop()

    def _end(self) -> None:
        if self._front is not None:
            self._front.end()

    def _warm(self) -> None:
        # The first call that needs a cell says why there is none.
        with suppress(ToolFailedError):
            self._hands.warm()
