"""Connects to checked addresses only, under one time limit, with the name for TLS and Host."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import httpcore
import httpx

from cleveragents.tools.broker.edge_error import EdgeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cleveragents.tools.broker.deadline import Deadline

_CONNECT_LIMIT_S: Final = 10.0
"""For one address, so that the next is tried while there is time."""


class PinnedTransport(httpx.BaseTransport):
    """Sends one request to one of the addresses that were checked for its host.

    No proxy, no environment, no retry, no kept connection.

    Args:
        addresses: Checked; tried in this order.
        deadline: Of the whole call.
        context: For ``https``.
    """

    def __init__(
        self, addresses: tuple[str, ...], *, deadline: Deadline, context: ssl.SSLContext
    ) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            http2=False,
            retries=0,
            network_backend=_PinnedBackend(addresses, deadline),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and give its answer, whose content is still to be read.

        Raises:
            EdgeError: There is no connection, or no valid answer in time.
        """
        content = request.stream
        if not isinstance(content, httpx.SyncByteStream):
            raise EdgeError("the request's body cannot be sent")
        with _told():
            answer = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=content,
                )
            )
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_AnswerStream(answer.stream)
        )

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


class _AnswerStream(httpx.SyncByteStream):
    def __init__(self, stream: object) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        # The pool is the synchronous one, and so is what it gives.
        pieces: Iterable[bytes] = self._stream  # type: ignore[assignment]  # opened as a synchronous one
        with _told():
            yield from pieces

    def close(self) -> None:
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()


@contextmanager
def _told() -> Iterator[None]:
    """Say what went wrong in our words: the library's may quote a header."""
    try:
        yield
    except httpcore.ConnectError as error:
        raise EdgeError(f"no connection: {_cause(error)}") from None
    except httpcore.TimeoutException:
        raise EdgeError("the host did not answer in time") from None
    except httpcore.RemoteProtocolError:
        raise EdgeError("the answer is not valid HTTP") from None
    except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol):
        raise EdgeError("the request is not valid HTTP") from None
    except httpcore.NetworkError:
        raise EdgeError("the connection broke") from None


def _cause(error: BaseException) -> str:
    """Find the system's or TLS's own words below a library's error."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, ssl.SSLCertVerificationError):
            return f"the certificate is not accepted: {below.verify_message}"
        if isinstance(below, ssl.SSLError):
            return "TLS failed"
        if isinstance(below, OSError) and below.strerror:
            return below.strerror.lower()
        below = below.__cause__ or below.__context__
    return "the host cannot be reached"


class _PinnedBackend(httpcore.NetworkBackend):
    def __init__(self, addresses: tuple[str, ...], deadline: Deadline) -> None:
        self._addresses = addresses
        self._deadline = deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        # INVARIANT: the name is never looked up again; only what was checked is connected to.
        del host, timeout, local_address, socket_options
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in self._addresses:
            limit_s = min(self._deadline.left_s(), _CONNECT_LIMIT_S)
            try:
                stream = self._sockets.connect_tcp(address, port, timeout=limit_s)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _TimedStream(stream, self._deadline)
        raise failure or httpcore.ConnectError("no address")


class _TimedStream(httpcore.NetworkStream):
    """Gives each operation what is left of the whole, so that a slow drip ends with it."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        return self._stream.read(max_bytes, timeout=self._deadline.left_s())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self._stream.write(buffer, timeout=self._deadline.left_s())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        del timeout
        secured = self._stream.start_tls(
            ssl_context, server_hostname, timeout=self._deadline.left_s()
        )
        return _TimedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
