"""The one way in which a request leaves for a model's host, and how its answer comes in.

The providers' libraries hold no key, follow no redirect, read no proxy and no
header from the environment, because all they are given is this transport: it
sends to one host, with the headers of a short list and the key that it puts
in itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cleveragents.policy.host_rule import Url

MAX_REPLY_BYTES: Final = 16 << 20
"""Of one answer on the wire, a stream's framing included: a hundred times a long answer."""
CONNECT_LIMIT_S: Final = 10.0
PLACEHOLDER: Final = "put-in-at-the-edge"
"""What the libraries take for the key."""
_SENT: Final = frozenset(
    {
        "accept",
        "anthropic-beta",
        "anthropic-version",
        "connection",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "user-agent",
    }
)
"""Everything else stays here: a library's own telemetry, and what it read from the environment."""
_PORTS: Final = {"http": 80, "https": 443}


class EdgeError(httpx2.TransportError):
    """The edge refuses to send, or to read on.

    Derived from the libraries' transport error: they hand it on as a cause.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class EdgeTransport(httpx2.AsyncBaseTransport):
    """Sends to one host only.

    Args:
        url: Where the provider's paths start.
        key_header: Name and value of the header that carries the key; ``None``:
            the host gets none.
        max_reply_bytes: Of one answer.
    """

    def __init__(
        self,
        url: Url,
        *,
        key_header: tuple[str, str] | None,
        max_reply_bytes: int = MAX_REPLY_BYTES,
    ) -> None:
        self._origin = (url.scheme, url.host, int(url.port or _PORTS[url.scheme]))
        self._key_header = key_header
        self._max_reply_bytes = max_reply_bytes
        # No limit: how many requests run at once is decided by the budget and the rate limits.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=32)
        if url.scheme == "https":
            context = httpx2.create_ssl_context(trust_env=False)
            context.load_default_certs()
            self._inner = httpx2.AsyncHTTPTransport(verify=context, trust_env=False, limits=limits)
        else:
            # Nothing is verified where nothing is encrypted; authorities take long to read.
            self._inner = httpx2.AsyncHTTPTransport(verify=False, trust_env=False, limits=limits)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request.

        Raises:
            EdgeError: It is for another host, or the answer is a redirect, is
                compressed or is too large.
        """
        self._check(request)
        request.headers = httpx2.Headers(self._headers(request))
        timeout = dict(request.extensions.get("timeout", {}))
        # A host that does not take the connection is soon told from one that thinks long.
        timeout["connect"] = CONNECT_LIMIT_S
        timeout["pool"] = None
        request.extensions = {**request.extensions, "timeout": timeout}
        answer = await self._inner.handle_async_request(request)
        problem = _problem(answer)
        if problem:
            await answer.aclose()
            raise EdgeError("refused_by_provider", problem)
        stream = answer.stream
        if isinstance(stream, httpx2.AsyncByteStream):
            answer.stream = _CappedStream(stream, self._max_reply_bytes)
        return answer

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()

    def _check(self, request: httpx2.Request) -> None:
        url = request.url
        port = url.port or _PORTS.get(url.scheme, 0)
        if (url.scheme, url.host.removesuffix("."), port) != self._origin:
            raise EdgeError(
                "refused_by_provider",
                f"the provider's library turned to another host, {url.host[:80]!r}",
            )

    def _headers(self, request: httpx2.Request) -> list[tuple[str, str]]:
        kept = [(name, value) for name, value in request.headers.items() if name in _SENT]
        # A compressed answer could be a thousand times what the cap counts.
        kept.append(("accept-encoding", "identity"))
        if self._key_header is not None:
            kept.append(self._key_header)
        return kept


def _problem(answer: httpx2.Response) -> str:
    if answer.is_redirect or answer.has_redirect_location:
        return f"the host answers with a redirect ({answer.status_code}), which is not followed"
    coding = answer.headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"", "identity"}:
        return "the answer is compressed, which was not asked for"
    return ""


class _CappedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, max_bytes: int) -> None:
        self._stream = stream
        self._left = max_bytes
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._left -= len(piece)
            if self._left < 0:
                raise EdgeError("bad_reply", f"the answer is larger than {self._max_bytes} bytes")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
