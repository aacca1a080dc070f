"""One call's way through the door while its body stays where it is: in the caller's own task.

The door is made of plain functions that wait; a foreign agent's tool is a
coroutine in an event loop. So the door runs in a thread of its own, and where
it would perform the call it lets the loop know and waits for the answer: the
body runs in the task that asked, with its context and its cancellation.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

Given = TypeVar("Given")
"""What the door hands to the body."""
Answer = TypeVar("Answer")
"""What the body gives back to the door."""
End = TypeVar("End")
"""What the door gives in the end."""


class Passage(Generic[Given, Answer, End]):
    """One call; made, and crossed, in the loop's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._admitted: asyncio.Future[Given] = self._loop.create_future()
        self._ended: asyncio.Future[End] = self._loop.create_future()
        self._answer: Future[Answer] = Future()

    def perform(self, given: Given) -> Answer:
        """Let the body run and wait for it; called by the door, in its thread.

        Raises:
            BaseException: What the body's side handed to ``fail``.
        """
        self._loop.call_soon_threadsafe(self._let_in, given)
        return self._answer.result()

    def answer(self, value: Answer) -> None:
        """Say what the body gave."""
        self._answer.set_result(value)

    def fail(self, error: BaseException) -> None:
        """Say that the body gave nothing, or that it is not going to run."""
        try:
            self._answer.set_exception(error)
        except InvalidStateError:
            # It had answered, and was cancelled while the door wrote that down.
            return

    def _let_in(self, given: Given) -> None:
        self._admitted.set_result(given)

    @asynccontextmanager
    async def open(
        self, door: Callable[[], End], *, gone: Callable[[BaseException], BaseException]
    ) -> AsyncIterator[Given]:
        """Take the call through the door; the body is what runs inside, and ``answer``s.

        Args:
            door: Decides, records and calls ``perform``; runs in a thread.
            gone: What the door is told when the body raises or its task is cancelled.

        Yields:
            What the door hands to the body, once it lets it in.

        Raises:
            BaseException: What the door raises, which after an answer is at
                its end; or what the body raised.
        """
        thread = threading.Thread(target=self._walk, args=(door,), name="door", daemon=True)
        thread.start()
        try:
            await asyncio.wait((self._admitted, self._ended), return_when=asyncio.FIRST_COMPLETED)
            if not self._admitted.done():
                # It ended without letting anybody in: refused.
                self._ended.result()
            yield self._admitted.result()
            await asyncio.shield(self._ended)
        except BaseException as error:
            self.fail(gone(error))
            raise
        finally:
            # It has only to write the outcome down; nobody goes on before that is done.
            thread.join()

    @property
    def end(self) -> End:
        """What the door gave after it had recorded the outcome."""
        return self._ended.result()

    def _walk(self, door: Callable[[], End]) -> None:
        try:
            value = door()
        except BaseException as error:  # noqa: BLE001  # handed to the task that waits
            self._loop.call_soon_threadsafe(_settle, self._ended, None, error)
        else:
            self._loop.call_soon_threadsafe(_settle, self._ended, value, None)


def _settle(ended: asyncio.Future[End], value: End | None, error: BaseException | None) -> None:
    if error is None:
        ended.set_result(value)  # type: ignore[arg-type]  # a door without an error has a value
        return
    ended.set_exception(error)
    # Whoever was cancelled does not fetch it; it is in the record.
    ended.exception()
