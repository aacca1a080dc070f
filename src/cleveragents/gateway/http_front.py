"""MCP over HTTP: nobody is heard who has not the token, or comes from another site.

Host and Origin are compared with the names that the gateway is served under:
a page in the operator's browser can reach a loopback port, by a name of its
own choosing. The token is compared in constant time, before a byte of the
body is read.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings

from cleveragents.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp.server.lowlevel import Server
    from starlette.types import ASGIApp, Receive, Scope, Send

PATH: Final = "/mcp"
MAX_BODY_BYTES: Final = 4 << 20
MAX_SESSIONS: Final = 64
MAX_CONNECTIONS: Final = 128
_LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
_SCHEMES: Final = ("http", "https")
_HTTP_PORT: Final = 80
"""Clients leave it out of ``Host``."""
_PORT: Final = re.compile(r":\d{1,5}$")


@dataclass(frozen=True, slots=True)
class HttpPlace:
    """Where the gateway listens, and for whom."""

    host: str
    port: int
    """0: any free one."""
    token: str
    names: tuple[str, ...] = ()
    """Further names that clients may reach it by, ``host`` or ``host:port``."""


def listen(place: HttpPlace) -> socket.socket:
    """Open the port.

    Raises:
        ConfigurationError: It cannot be had.
    """
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((place.host, place.port))
        listener.listen(MAX_CONNECTIONS)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            problem=f"cannot listen on {place.host}:{place.port}: {error.strerror}", where="--http"
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """The address that a client is given."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"


def known_names(place: HttpPlace, port: int) -> frozenset[str]:
    """Every value that the header ``Host`` may have."""
    plain = [*_LOOPBACK_NAMES, *(name for name in place.names if not _PORT.search(name))]
    names = [name for name in place.names if _PORT.search(name)]
    names += [f"{name}:{port}" for name in plain]
    names += plain if port == _HTTP_PORT else []
    return frozenset(name.lower() for name in names)


class Guard:
    """Lets a request through to the protocol, or answers it without reading its body.

    Args:
        app: What is behind it.
        token: What a client has to show.
        names: As ``known_names`` gives them.
    """

    def __init__(self, app: ASGIApp, *, token: str, names: frozenset[str]) -> None:
        self._app = app
        self._token = _digest(token.encode())
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] != "http":
            return
        status, text = self._problem(scope)
        if not status:
            await self._app(scope, receive, send)
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        if status == 401:  # noqa: PLR2004  # the protocol's number
            headers.append((b"www-authenticate", b"Bearer"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text.encode()})

    def _problem(self, scope: Scope) -> tuple[int, str]:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        host = _only(headers, b"host").lower()
        if host not in self._names:
            return 421, "this gateway is not served under that name\n"
        origin = headers.get(b"origin")
        if origin is not None and _only(headers, b"origin").lower() not in {
            f"{scheme}://{host}" for scheme in _SCHEMES
        }:
            return 403, "requests of other sites are not answered\n"
        scheme, _, token = _only(headers, b"authorization").partition(" ")
        shown = _digest(token.strip().encode("latin-1"))
        if not hmac.compare_digest(shown, self._token) or scheme.lower() != "bearer":
            return 401, "a bearer token is needed\n"
        if scope["path"] != PATH:
            return 404, f"the gateway is at {PATH}\n"
        length = _only(headers, b"content-length")
        if length and (not length.isdigit() or int(length) > MAX_BODY_BYTES):
            return 413, f"a request holds at most {MAX_BODY_BYTES} bytes\n"
        return 0, ""


def _only(headers: dict[bytes, list[bytes]], name: bytes) -> str:
    """A header's value; one that is sent twice counts as none."""
    values = headers.get(name, [])
    return values[0].decode("latin-1") if len(values) == 1 else ""


def _digest(token: bytes) -> bytes:
    # Of one length, so that a comparison says nothing about the token's.
    return hashlib.sha256(token).digest()


class HttpFront(uvicorn.Server):
    """One HTTP server before the protocol, ended by us and not by signals of its own.

    Args:
        server: The protocol.
        place: For whom.
        listener: The open port.
    """

    def __init__(
        self, server: Server[dict[str, Any]], place: HttpPlace, listener: socket.socket
    ) -> None:
        names = known_names(place, listener.getsockname()[1])
        self._listener = listener
        self._manager = StreamableHTTPSessionManager(
            server,
            max_request_body_size=MAX_BODY_BYTES,
            max_sessions=MAX_SESSIONS,
            security_settings=TransportSecuritySettings(
                allowed_hosts=sorted(names),
                allowed_origins=[f"{s}://{name}" for name in sorted(names) for s in _SCHEMES],
            ),
        )
        super().__init__(
            uvicorn.Config(
                Guard(StreamableHTTPASGIApp(self._manager), token=place.token, names=names),
                lifespan="off",
                log_config=None,
                # At the end every stream that is still open is cut, which it takes for errors.
                log_level="critical",
                access_log=False,
                server_header=False,
                date_header=False,
                limit_concurrency=MAX_CONNECTIONS,
                ws="none",
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the gateway."""
        yield

    async def run_front(self) -> None:
        """Serve until ``end``."""
        async with self._manager.run():
            await self.serve(sockets=[self._listener])

    def end(self) -> None:
        """Close every connection, and the port."""
        self.should_exit = self.force_exit = True
