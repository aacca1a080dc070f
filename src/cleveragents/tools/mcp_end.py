"""The two ends of a connection as the protocol's SDK asks for them, without a task between.

The SDK's own transports put a queue and a task of their own between a
descriptor and a session: every message then takes several turns of the event
loop. Here a session reads and writes the descriptor itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Self

    from mcp.shared.message import SessionMessage


class _End:
    """What both have in common: nothing of theirs needs closing before the descriptor is."""

    def __init__(self) -> None:
        self._is_closed = False

    async def aclose(self) -> None:
        """Pass nothing on any more."""
        self._is_closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class MessageSource(_End):
    """Where a session's messages come from; the SDK's ``ReadStream``.

    Args:
        take: Waits for the next message; ``None``: there is none any more. It
            has to let the loop turn now and then, however many have come.
    """

    def __init__(self, take: Callable[[], Awaitable[SessionMessage | None]]) -> None:
        super().__init__()
        self._take = take

    async def receive(self) -> SessionMessage | Exception:
        """Wait for the next message.

        Raises:
            ClosedResourceError: It was closed on this side.
            EndOfStream: Nothing comes any more.
        """
        if self._is_closed:
            raise anyio.ClosedResourceError
        message = await self._take()
        if message is None:
            raise anyio.EndOfStream
        return message

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


class MessageSink(_End):
    """Where a session's messages go; the SDK's ``WriteStream``.

    Args:
        give: Writes one message; False: nobody is there to read it.
    """

    def __init__(self, give: Callable[[SessionMessage], Awaitable[bool]]) -> None:
        super().__init__()
        self._give = give

    async def send(self, item: SessionMessage, /) -> None:
        """Write one message.

        Raises:
            ClosedResourceError: It was closed on this side.
            BrokenResourceError: The other side is gone.
        """
        if self._is_closed:
            raise anyio.ClosedResourceError
        if not await self._give(item):
            raise anyio.BrokenResourceError
