"""One MCP server's session, asked from ordinary threads.

The protocol's client runs on an event loop in a thread of its own; each
question has a deadline here, whatever the server does.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as LateError
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import mcp_types as types
from anyio import BrokenResourceError, ClosedResourceError
from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from cleveragents.terms.progress import LISTENER
from cleveragents.terms.stop import STOPPER
from cleveragents.tools.broker.edge_error import EdgeError
from cleveragents.tools.mcp_failure import ServerFailedError
from cleveragents.tools.mcp_text import MAX_REASON_CHARS, plain_text

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from contextlib import AbstractAsyncContextManager
    from typing import Protocol, TypeVar

    from cleveragents.terms.progress import Listener
    from cleveragents.terms.stop import Stopper

    Result = TypeVar("Result")

    class Transport(Protocol):
        """What carries a session's messages."""

        problem: str

        def renew(self) -> None:
            """A new call begins."""

        def open(self) -> AbstractAsyncContextManager[Any]:
            """Give the SDK's two streams until the block is left."""


MAX_PAGES: Final = 64
MAX_LISTED: Final = 1_000
"""Tools that are read of a list; what is longer is refused by whoever pins it."""
_CLOSE_S: Final = 5.0
_CLIENT: Final = types.Implementation(name="cleveragents", version="1")


class LoopThread:
    """An event loop in a thread; made at the first question, ended by ``close``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                # A daemon: a host that is killed does not wait for servers.
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="mcp-client", daemon=True
                )
                self._thread.start()
            return self._loop

    def close(self) -> None:
        """End the loop; every session on it was closed before."""
        with self._lock:
            loop, self._loop = self._loop, None
            thread, self._thread = self._thread, None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class McpSession:
    """One session. Thread-safe.

    Args:
        thread: Where its client runs.
        transport: What carries its messages.
        tells_changes: The server can say by itself that its list has changed.
            Where it cannot, the list is read again before each call.
    """

    def __init__(self, thread: LoopThread, transport: Transport, *, tells_changes: bool) -> None:
        self._thread = thread
        self._transport = transport
        self._tells_changes = tells_changes
        self._session: ClientSession | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._running: Future[None] | None = None
        self._is_changed = threading.Event()

    @property
    def is_alive(self) -> bool:
        """Say whether another question can be asked."""
        return (
            self._session is not None and not self._ended.is_set() and not self._transport.problem
        )

    @property
    def may_have_changed(self) -> bool:
        """Say whether its list of tools has to be read again before it is relied on."""
        return self._is_changed.is_set() or not self._tells_changes

    def start(self, *, timeout_s: float) -> None:
        """Shake hands.

        Raises:
            ServerFailedError: It does not answer in time, or not as it must.
        """
        self._running = asyncio.run_coroutine_threadsafe(self._serve(), self._thread.loop)
        if not self._ready.wait(timeout_s):
            raise ServerFailedError(
                f"it did not answer within {timeout_s:g} s of its start", is_over=True
            )
        if self._session is None:
            raise self._told(self._failure)

    def tools(self, *, timeout_s: float) -> list[dict[str, object]]:
        """Read the list of its tools, as the protocol's JSON.

        Raises:
            ServerFailedError: It does not answer, or not with a list.
        """
        self._is_changed.clear()
        return self._ask(self._list(), timeout_s)

    def call(
        self, tool: str, arguments: Mapping[str, object], *, timeout_s: float
    ) -> dict[str, object]:
        """Call a tool and give the protocol's JSON of its answer.

        Raises:
            ServerFailedError: It does not answer, or not as it must.
        """
        self._transport.renew()
        return self._ask(
            self._call(tool, arguments, LISTENER.get()), timeout_s, stopper=STOPPER.get()
        )

    def close(self) -> None:
        """End the session. May be called again, and by any thread."""
        running, stop = self._running, self._stop
        if running is None or stop is None:
            return
        if self._session is not None:
            self._thread.loop.call_soon_threadsafe(stop.set)
            self._ended.wait(_CLOSE_S)
        # One that never shook hands, or does not part: its task is ended as it stands.
        running.cancel()
        self._ended.wait(_CLOSE_S)

    # -- on the loop's thread ------------------------------------------------

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        try:
            async with (
                self._transport.open() as (read, write),
                ClientSession(
                    read, write, message_handler=self._heard, client_info=_CLIENT
                ) as session,
            ):
                await _shake_hands(session)
                self._session = session
                if session.protocol_version in MODERN_PROTOCOL_VERSIONS:
                    self._tells_changes = False
                self._ready.set()
                await self._stop.wait()
        # Whatever it is becomes the reason that a call's failure gives.
        except BaseException as error:  # noqa: BLE001  # handed to whoever asks the session
            self._failure = error
        finally:
            self._ended.set()
            self._ready.set()

    async def _heard(self, message: object) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            self._is_changed.set()

    async def _list(self) -> list[dict[str, object]]:
        session = self._opened()
        found: list[dict[str, object]] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            params = types.PaginatedRequestParams(cursor=cursor) if cursor else None
            page = await session.list_tools(params=params)
            found += [
                tool.model_dump(by_alias=True, mode="json", exclude_none=True)
                for tool in page.tools
            ]
            cursor = page.next_cursor
            if not cursor or len(found) > MAX_LISTED:
                return found
        raise ServerFailedError("its list of tools does not end", is_over=True)

    async def _call(
        self, tool: str, arguments: Mapping[str, object], listener: Listener | None
    ) -> dict[str, object]:
        async def tell(progress: float, total: float | None, message: str | None) -> None:
            del message
            if listener is not None:
                listener(progress, total)

        # Not ``call_tool``: it checks an answer against the server's own schema, whose
        # regular expressions may take for ever.
        result = await self._opened().send_request(
            types.CallToolRequest(
                params=types.CallToolRequestParams(name=tool, arguments=dict(arguments))
            ),
            types.CallToolResult,
            progress_callback=None if listener is None else tell,
        )
        return result.model_dump(by_alias=True, mode="json", exclude_none=True)

    def _opened(self) -> ClientSession:
        if self._session is None or self._ended.is_set():
            raise self._told(self._failure)
        return self._session

    # -- outside ---------------------------------------------------------------

    def _ask(
        self,
        question: Coroutine[Any, Any, Result],
        timeout_s: float,
        *,
        stopper: Stopper | None = None,
    ) -> Result:
        future = asyncio.run_coroutine_threadsafe(question, self._thread.loop)
        reasons: list[str] = []

        def stop(reason: str) -> None:
            reasons.append(reason)
            # The protocol's client tells the server, and takes no answer any more.
            future.cancel()

        try:
            with nullcontext() if stopper is None else stopper.stopping(stop):
                return future.result(timeout_s)
        except LateError:
            future.cancel()
            raise ServerFailedError(f"no answer within {timeout_s:g} s", is_over=True) from None
        except ServerFailedError:
            raise
        except (MCPError, ValidationError, EdgeError, RuntimeError, ValueError) as error:
            raise self._told(error) from None
        except (ClosedResourceError, BrokenResourceError, CancelledError):
            if reasons:
                raise ServerFailedError(reasons[0], is_over=False, is_line=False) from None
            raise self._told(self._failure) from None

    def _told(self, error: BaseException | None) -> ServerFailedError:
        """Say what went wrong, in our words where the server's are not to be shown whole."""
        if self._transport.problem:
            return ServerFailedError(self._transport.problem, is_over=True)
        for found in _leaves(error):
            match found:
                case EdgeError():
                    return ServerFailedError(found.reason, is_over=False)
                case MCPError():
                    text = plain_text(str(found.error.message), MAX_REASON_CHARS, is_line=True)
                    return ServerFailedError(
                        text or "it refuses and does not say why", is_over=self._ended.is_set()
                    )
                case ValidationError():
                    return ServerFailedError("its answer is not of the protocol", is_over=False)
        return ServerFailedError("it has ended", is_over=True)


async def _shake_hands(session: ClientSession) -> None:
    """Agree on a version: the one that nearly all servers speak first, then the newest.

    The other way round a server that does not know the newer question may
    leave it unanswered, and some end at it.
    """
    try:
        await session.initialize()
    except MCPError as error:
        if error.error.code not in {types.UNSUPPORTED_PROTOCOL_VERSION, types.METHOD_NOT_FOUND}:
            raise
        await session.discover()


def _leaves(error: BaseException | None) -> list[BaseException]:
    """Every error of a group; task groups wrap what went wrong in them."""
    match error:
        case None:
            return []
        case BaseExceptionGroup():
            return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]
