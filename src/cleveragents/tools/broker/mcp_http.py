"""Reaches MCP servers over HTTP by the same edge as ``fetch_url``: rules, addresses, credentials.

The protocol's client sees only this transport. Each of its requests is asked
of the host rules, goes to an address that was checked for it, and has its
credentials put in here, so that they are in no object of the client's.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx
import httpx2
from mcp.client.streamable_http import streamable_http_client

from cleveragents.policy.host_rule import is_private, normalise_host
from cleveragents.tools.broker.address import checked_addresses, system_resolve
from cleveragents.tools.broker.credential import Filling
from cleveragents.tools.broker.deadline import Deadline
from cleveragents.tools.broker.edge_error import EdgeError
from cleveragents.tools.broker.pinned_transport import PinnedTransport
from cleveragents.tools.broker.request import PORTS

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping

    from cleveragents.tools.broker.address import HostPredicate, Resolve
    from cleveragents.tools.broker.credential import Credential

Result = TypeVar("Result")
MAX_ANSWER_BYTES: Final = 8 << 20
"""Of one answer, a stream of events included."""
_NOT_ALLOWED: Final = 405
_NOT_SENT: Final = frozenset({"host", "accept-encoding", "connection", "transfer-encoding"})
"""Said by this transport itself."""


class HttpStream:
    """One server behind a URL.

    Args:
        url: Of the server.
        headers: Of the operator's configuration; may name credentials.
        hosts: What the plan may ask.
        credentials: Those that the plan was handed, by handle.
        timeout_s: Of one request as a whole.
        resolve: Gives a name's addresses.
        context: For ``https``; absent: the usual certificate authorities.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        hosts: HostPredicate,
        credentials: Mapping[str, Credential],
        timeout_s: float,
        resolve: Resolve = system_resolve,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._url = url
        self._edge = _Edge(headers, hosts, credentials, timeout_s, resolve, context)
        self.problem = ""

    def renew(self) -> None:
        """Nothing is counted between calls: each request has its own limits."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Any]:
        """Give the SDK's two streams until the block is left."""
        async with (
            httpx2.AsyncClient(transport=self._edge, trust_env=False, timeout=None) as client,
            streamable_http_client(
                self._url, http_client=client, max_sse_event_size=MAX_ANSWER_BYTES
            ) as streams,
        ):
            yield streams


class _Edge(httpx2.AsyncBaseTransport):
    def __init__(
        self,
        headers: Mapping[str, str],
        hosts: HostPredicate,
        credentials: Mapping[str, Credential],
        timeout_s: float,
        resolve: Resolve,
        context: ssl.SSLContext | None,
    ) -> None:
        self._headers = headers
        self._hosts = hosts
        self._credentials = credentials
        self._timeout_s = timeout_s
        self._resolve = resolve
        self._context = context

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            # A stream that is open for ever has no deadline; the list of tools is read
            # again before each call instead of being told about over it.
            return httpx2.Response(_NOT_ALLOWED)
        body = await request.aread()
        answer, transport = await _in_thread(lambda: self._send(request, body))
        stream = _AnswerStream(answer, transport)
        return httpx2.Response(answer.status_code, headers=_shown(answer), stream=stream)

    def _send(self, request: httpx2.Request, body: bytes) -> tuple[httpx.Response, PinnedTransport]:
        host = normalise_host(request.url.host)
        scheme = request.url.scheme
        if scheme not in PORTS or not self._hosts.admits(host):
            raise EdgeError(f"the rules do not admit the host {host!r}")
        deadline = Deadline(self._timeout_s)
        addresses = checked_addresses(
            host,
            request.url.port or int(PORTS[scheme]),
            hosts=self._hosts,
            resolve=self._resolve,
            deadline=deadline,
        )
        filling = Filling(self._credentials)
        headers = [(n, v) for n, v in request.headers.items() if n.lower() not in _NOT_SENT]
        headers += [(name, filling.header(text, host)) for name, text in self._headers.items()]
        # What is not compressed cannot be a bomb.
        headers += [("accept-encoding", "identity"), ("connection", "close")]
        if filling.is_used and scheme == "http" and not all(map(is_private, addresses)):
            raise EdgeError("a credential is not sent over plain http; use https")
        transport = PinnedTransport(addresses, deadline=deadline, context=self._tls())
        try:
            sent = httpx.Request(request.method, str(request.url), headers=headers, content=body)
            answer = _as_it_is(transport.handle_request(sent))
        except (EdgeError, ValueError, UnicodeError) as error:
            transport.close()
            reason = error.reason if isinstance(error, EdgeError) else "a header is not valid"
            # Without its cause: a traceback must not show what the credentials were put into.
            raise EdgeError(filling.hide(reason)) from None
        return answer, transport

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = httpx.create_ssl_context(trust_env=False)
            self._context.load_default_certs()
        return self._context


class _AnswerStream(httpx2.AsyncByteStream):
    def __init__(self, answer: httpx.Response, transport: PinnedTransport) -> None:
        self._answer = answer
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._answer.stream
        pieces = iter(stream) if isinstance(stream, httpx.SyncByteStream) else iter(())
        taken = 0
        while (piece := await _in_thread(lambda: next(pieces, None))) is not None:
            taken += len(piece)
            if taken > MAX_ANSWER_BYTES:
                raise EdgeError(f"its answer is larger than {MAX_ANSWER_BYTES >> 20} MiB")
            yield piece

    async def aclose(self) -> None:
        self._answer.close()
        self._transport.close()


def _as_it_is(answer: httpx.Response) -> httpx.Response:
    if answer.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise EdgeError("the answer is compressed in a way that was not asked for")
    return answer


def _shown(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(n, v) for n, v in answer.headers.items() if n.lower() != "content-length"]


async def _in_thread(work: Callable[[], Result]) -> Result:
    """Do what blocks beside the loop; nobody waits for it at the host's end.

    Raises:
        Exception: Whatever it raises.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(value: Result | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(value)  # type: ignore[arg-type]  # the work's own

    def run() -> None:
        value: Result | None = None
        failure: BaseException | None = None
        try:
            value = work()
        # It is the waiting side's exception: raised there, whatever it is.
        except BaseException as error:  # noqa: BLE001  # handed to the task that waits
            failure = error
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, value, failure)

    threading.Thread(target=run, name="mcp-http", daemon=True).start()
    return await done
