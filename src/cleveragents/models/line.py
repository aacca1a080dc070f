"""All requests to models of this process, on one thread: asked from any, answered to any.

The libraries are asynchronous and the house is not. One loop serves every
plan: a plan's own thread waits for its answer, is told the words as they
arrive, and looks between them whether it should stop.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError, ModelFailedError
from cleveragents.models.provider import target_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cleveragents.models.adapter import Adapter
    from cleveragents.models.exchange import Exchange
    from cleveragents.terms.model import ModelEndpoint, ModelReply, ModelRequest

LOOK_INTERVAL_S: Final = 0.1
"""How often a waiting plan looks whether it should stop."""
_END_LIMIT_S: Final = 5.0
"""For a request that was given up to let go of its connection, and for the line to close."""
_INSTALL: Final = "pip install 'cleveragents[llm]'"
_CLOSED: Final = "the line to the models is closed"


class ModelLine:
    """The line to the models; thread-safe. Nothing of it is loaded before the first request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._adapters: dict[tuple[str, str, str | None], Adapter] = {}

    def ask(
        self,
        endpoint: ModelEndpoint,
        request: ModelRequest,
        *,
        secret: str | None,
        on_text: Callable[[str], None] | None,
        timeout_s: float,
        should_stop: Callable[[], bool],
    ) -> ModelReply:
        """Send one request, once, and wait for its answer.

        Args:
            endpoint: Who is asked.
            request: The whole conversation; its messages do not change any more.
            secret: The key; ``None``: none is sent.
            on_text: Told the answer's words as they arrive, in this thread;
                ``None``: the answer comes in one piece.
            timeout_s: For all of it.
            should_stop: Looked at several times a second.

        Raises:
            ConfigurationError: The endpoint is none, or the extra is not installed.
            ModelFailedError: There is no answer that can be read.
        """
        asking = _Asking()
        exchange = self._exchange(
            endpoint,
            request,
            secret=secret,
            on_text=asking.words.put if on_text is not None else None,
            timeout_s=timeout_s,
        )
        self._start(asking, exchange)
        try:
            asking.wait(on_text, timeout_s=timeout_s, should_stop=should_stop)
        finally:
            asking.give_up()
        if asking.error is not None:
            # Loaded by now, as it was needed to fail.
            from cleveragents.models.failure import failure_of  # noqa: PLC0415

            raise failure_of(asking.error, secret=secret) from None
        if asking.reply is None:
            raise ModelFailedError(kind="cancelled", reason=_CLOSED, is_billed=True)
        return asking.reply

    def close(self) -> None:
        """Give up what is on its way and let go of every connection."""
        with self._lock:
            self._is_closed = True
            loop, thread = self._loop, self._thread
            adapters = tuple(self._adapters.values())
            self._adapters.clear()
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_end(adapters), loop).result(_END_LIMIT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_END_LIMIT_S)

    def _exchange(
        self,
        endpoint: ModelEndpoint,
        request: ModelRequest,
        *,
        secret: str | None,
        on_text: Callable[[str], None] | None,
        timeout_s: float,
    ) -> Exchange:
        target = target_of(endpoint)
        try:
            from cleveragents.models.adapter import Adapter  # noqa: PLC0415  # loads the library
            from cleveragents.models.exchange import Exchange  # noqa: PLC0415  # the same

            with self._lock:
                key = (endpoint.model, endpoint.base_url, secret)
                if key not in self._adapters:
                    self._adapters[key] = Adapter(target, secret)
                adapter = self._adapters[key]
        except ImportError as error:
            raise ConfigurationError(
                problem=f"models need a part that is not installed ({error.name or 'unknown'})",
                hint=f"type: {_INSTALL}",
            ) from error
        return Exchange(adapter, request, on_text=on_text, timeout_s=timeout_s)

    def _start(self, asking: _Asking, exchange: Exchange) -> None:
        with self._lock:
            if self._is_closed:
                raise ModelFailedError(kind="cancelled", reason=_CLOSED)
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="model line", daemon=True
                )
                self._thread.start()
            # Under the lock: a closing line would not run it any more.
            asking.start(self._loop, exchange)


class _Asking:
    """One request on its way: its words, and at last its answer or what went wrong."""

    def __init__(self) -> None:
        self.words: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        """``None`` is the last one: the other two say then what came of it."""
        self.reply: ModelReply | None = None
        self.error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[ModelReply] | None = None
        self._is_over = False

    def start(self, loop: asyncio.AbstractEventLoop, exchange: Exchange) -> None:
        """Send it, on the loop."""
        self._loop = loop
        loop.call_soon_threadsafe(self._run, exchange)

    def wait(
        self,
        on_text: Callable[[str], None] | None,
        *,
        timeout_s: float,
        should_stop: Callable[[], bool],
    ) -> None:
        """Hand on words until the last one.

        Raises:
            ModelFailedError: The time is over, or the plan should stop.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            left_s = deadline - time.monotonic()
            word = self._next(min(LOOK_INTERVAL_S, left_s))
            if word is None:
                return
            if word and on_text is not None:
                on_text(word)
            if should_stop():
                raise ModelFailedError(
                    kind="cancelled", reason="the request was given up", is_billed=True
                )
            if left_s <= 0:
                raise ModelFailedError(
                    kind="timed_out",
                    reason=f"no whole answer in {timeout_s:g} seconds (setting: model_timeout_s)",
                    is_billed=True,
                )

    def give_up(self) -> None:
        """Cancel it, if it is not over, and wait until it has let go of its connection."""
        if self._is_over or self._loop is None:
            return
        # A loop that was stopped meanwhile has cancelled it already.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._cancel)
        deadline = time.monotonic() + _END_LIMIT_S
        while self._next(deadline - time.monotonic()) is not None:
            if time.monotonic() >= deadline:
                return

    def _next(self, limit_s: float) -> str | None:
        try:
            word = self.words.get(timeout=max(limit_s, 0.0))
        except queue.Empty:
            return ""
        self._is_over = word is None
        return word

    # -- on the loop ----------------------------------------------------------

    def _run(self, exchange: Exchange) -> None:
        self._task = asyncio.ensure_future(exchange.run())
        self._task.add_done_callback(self._end)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _end(self, task: asyncio.Task[ModelReply]) -> None:
        if not task.cancelled():
            # Whatever a library raised: it is told from the others by whoever waits.
            self.error = task.exception()
            if self.error is None:
                self.reply = task.result()
        self.words.put(None)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _end(adapters: tuple[Adapter, ...]) -> None:
    waiting = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    for adapter in adapters:
        await adapter.close()
    await asyncio.get_running_loop().shutdown_asyncgens()
