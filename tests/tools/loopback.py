"""A hostile little HTTP server on loopback, and names that resolve as a test says."""

from __future__ import annotations

import gzip
import threading
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence

    Answer = Callable[["Handler"], None]


@dataclass
class Names:
    """A resolver: each look-up of a name gives its next answer, the last one for ever."""

    answers: dict[str, list[tuple[str, ...]]]
    asked: list[str] = field(default_factory=list)

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        known = self.answers.get(host)
        if known is None:
            raise OSError(-2, "Name or service not known")
        return known.pop(0) if len(known) > 1 else known[0]


@dataclass
class Seen:
    """What the server was sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Handler(BaseHTTPRequestHandler):
    seen: ClassVar[list[Seen]]
    port: ClassVar[int]
    released: ClassVar[threading.Event]
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.seen.append(Seen(self.command, self.path, headers, body))
        name = self.path.partition("?")[0].strip("/").partition("/")[0]
        ANSWERS.get(name, plain)(self)

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = _serve  # noqa: N815  # the library's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, data: bytes, *, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def query(self) -> str:
        return self.path.partition("?")[2]


def plain(handler: Handler) -> None:
    handler.answer(b"hello", content_type="text/plain; charset=utf-8", set_cookie="a=b")


def echo(handler: Handler) -> None:
    text = handler.path + "\n" + str(handler.headers)
    handler.answer(text.encode(), content_type="text/plain", x_echo=handler.path)


def redirect(handler: Handler) -> None:
    status, _, target = handler.query().partition("&")
    target = target.replace("PORT", str(handler.port))
    handler.answer(b"", status=int(status), location=target)


def around(handler: Handler) -> None:
    handler.answer(b"", status=302, location="/around?" + handler.query() + "x")


def drip(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "1000000")
    handler.end_headers()
    _drip(handler, b"x")


def drip_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
    _drip(handler, b"x")


def _drip(handler: Handler, piece: bytes) -> None:
    try:
        while not handler.released.wait(0.02):
            handler.wfile.write(piece)
            handler.wfile.flush()
    except OSError:
        handler.close_connection = True


def silent(handler: Handler) -> None:
    handler.released.wait(20)
    handler.close_connection = True


def large(handler: Handler) -> None:
    handler.answer(b"y" * 2_000_000, content_type="text/plain")


def zipped(handler: Handler) -> None:
    data = gzip.compress(b"hello " * 10)
    handler.answer(data, content_type="text/plain", content_encoding="gzip")


def deflated(handler: Handler) -> None:
    handler.answer(zlib.compress(b"hello"), content_type="text/plain", content_encoding="deflate")


def bomb(handler: Handler) -> None:
    data = gzip.compress(b"\0" * 50_000_000)
    handler.answer(data, content_type="text/plain", content_encoding="gzip")


def empty_bomb(handler: Handler) -> None:
    handler.answer(b"\0" * 3_000_000, content_encoding="identity")


def broken_zip(handler: Handler) -> None:
    handler.answer(b"no zip", content_encoding="gzip")


def unknown_coding(handler: Handler) -> None:
    handler.answer(b"x", content_encoding="br")


def binary(handler: Handler) -> None:
    handler.answer(b"\0\1\2", content_type="application/octet-stream")


def odd(handler: Handler) -> None:
    handler.answer(b"caf\xe9", content_type=f"text/plain; charset={handler.query()}")


def untyped(handler: Handler) -> None:
    data = {"text": "é".encode(), "noise": b"\xff\xfe\xfd"}[handler.query()]
    handler.answer(data)


def missing(handler: Handler) -> None:
    handler.answer(b"not here", status=404, content_type="text/html")


def nonsense(handler: Handler) -> None:
    handler.wfile.write(b"this is not HTTP\r\n\r\n")
    handler.close_connection = True


def cut_off(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "100")
    handler.end_headers()
    handler.wfile.write(b"only this")
    handler.close_connection = True


def edge_echo(handler: Handler) -> None:
    secret = handler.headers["x-key"].encode()
    handler.answer(b"z" * (600_000 - 5) + secret, content_type="text/plain")


ANSWERS: dict[str, Answer] = {
    "echo": echo,
    "redirect": redirect,
    "around": around,
    "drip": drip,
    "drip-headers": drip_headers,
    "silent": silent,
    "large": large,
    "zipped": zipped,
    "deflated": deflated,
    "bomb": bomb,
    "empty-bomb": empty_bomb,
    "broken-zip": broken_zip,
    "unknown-coding": unknown_coding,
    "binary": binary,
    "odd": odd,
    "untyped": untyped,
    "missing": missing,
    "nonsense": nonsense,
    "cut-off": cut_off,
    "edge-echo": edge_echo,
}


@dataclass
class Server:
    port: int
    seen: list[Seen]


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serve on a free port until the block ends."""
    seen: list[Seen] = []
    released = threading.Event()

    class Bound(Handler):
        port = 0

    Bound.seen, Bound.released = seen, released
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    server.daemon_threads = False
    Bound.port = server.server_address[1]
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Server(server.server_address[1], seen)
    finally:
        released.set()
        server.shutdown()
        thread.join()
        server.server_close()
