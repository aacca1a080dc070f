"""Hands a server's progress on to the client whose call it is about."""

from __future__ import annotations

import asyncio
import contextvars
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from cleveragents.terms.progress import LISTENER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mcp.server import ServerRequestContext

    Step = tuple[float, float | None]

MAX_STEPS: Final = 1_000
"""Of one call; a server that tells more is not listened to any further."""


@asynccontextmanager
async def relayed_progress(context: ServerRequestContext[Any]) -> AsyncIterator[Callable[..., Any]]:
    """Give what runs a call so that its progress is told; all of it before the block is left.

    Args:
        context: The client's request; one that asked for no progress is told none.
    """
    surroundings = contextvars.copy_context()
    if (context.meta or {}).get("progress_token") is None:
        yield surroundings.run
        return
    steps: asyncio.Queue[Step | None] = asyncio.Queue()
    listener = _Listener(asyncio.get_running_loop(), steps)
    surroundings.run(LISTENER.set, listener)
    teller = asyncio.create_task(_tell(context, steps))
    try:
        yield surroundings.run
        steps.put_nowait(None)
        await teller
    finally:
        teller.cancel()


class _Listener:
    """Takes steps from a server's thread; one that does not lead on is left out."""

    def __init__(self, loop: asyncio.AbstractEventLoop, steps: asyncio.Queue[Step | None]) -> None:
        self._loop = loop
        self._steps = steps
        self._told = 0
        self._last = -math.inf

    def __call__(self, done: float, total: float | None) -> None:
        is_step = math.isfinite(done) and done > self._last and self._told < MAX_STEPS
        if not is_step:
            return
        self._told, self._last = self._told + 1, done
        known = total if total is not None and math.isfinite(total) else None
        self._loop.call_soon_threadsafe(self._steps.put_nowait, (done, known))


async def _tell(context: ServerRequestContext[Any], steps: asyncio.Queue[Step | None]) -> None:
    while (step := await steps.get()) is not None:
        await context.session.report_progress(*step)
