"""What does a program in a cell ask its proxy for? Read strictly, or not at all.

Two forms: ``CONNECT host:port``, and a plain HTTP request for a whole
``http://`` URL. A message that two readers could understand differently (two
lengths, a folded line, another ``Host``, user information, an address in an
odd spelling) is malformed: what is decided on is what is then connected to.

Source:
    RFC 9110, section 7.6.1 (fields between two hops); RFC 9112, sections 3.2
    (forms of a target), 6 (length of a body).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cleveragents.policy.host_rule import parse_url
from cleveragents.terms.connection import Connection

if TYPE_CHECKING:
    from cleveragents.policy.host_rule import Url

END: Final = b"\r\n\r\n"
CHUNKED: Final = -1
"""A body whose length its own framing says."""
PORTS: Final = {"http": 80, "https": 443}
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}", re.ASCII)
_LINE: Final = re.compile(r"([!-~]+) ([!-~]+) HTTP/1\.([01])", re.ASCII)
_UNFIT: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "proxy-connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "upgrade",
    }
)
_FRAMING: Final = frozenset({"host", "content-length", "transfer-encoding"})
Fields = list[tuple[str, str]]


class MalformedError(Exception):
    """What came is no request that may be forwarded: one sentence."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A request to the proxy, read and rewritten."""

    connection: Connection
    """What is decided on."""
    head: bytes = b""
    """What is sent in place of the request's head; empty for a tunnel."""
    body: int = 0
    """Length of the request's body; ``CHUNKED``; 0 for none, and for a tunnel."""
    rest: bytes = b""
    """What came after the head already."""
    is_head: bool = False
    """The answer has no body, whatever it says."""


def read_asking(data: bytes) -> Asking:
    """Read a request's head and what came with it.

    A malformed request gives a connection with a ``problem``.

    Args:
        data: Everything that came, with the end of the head somewhere in it.
    """
    head, _, rest = data.partition(END)
    try:
        return _read(head.decode("latin-1"), rest)
    except MalformedError as error:
        return Asking(Connection(host="", port=0, problem=str(error)))


def unread_asking(problem: str) -> Asking:
    """Stand for a request whose head never came whole."""
    return Asking(Connection(host="", port=0, problem=problem))


def _read(head: str, rest: bytes) -> Asking:
    first, *lines = head.split("\r\n")
    found = _LINE.fullmatch(first)
    if found is None:
        raise MalformedError("the request's first line is not one of HTTP/1.0 or HTTP/1.1")
    method, target = found[1], found[2]
    fields = read_fields(lines)
    if method == "CONNECT":
        url = _url(f"https://{target}")
        if url.rest or not url.port:
            raise MalformedError("CONNECT names a host and a port, and nothing else")
        return Asking(Connection(url.host, int(url.port), "tunnel"), rest=rest)
    if not _TOKEN.fullmatch(method):
        raise MalformedError("the request's method is not one")
    if target.startswith("/") or target == "*":
        raise MalformedError("a proxy is asked for a whole URL, not for a path of its own")
    url = _url(target)
    if url.scheme != "http":
        raise MalformedError("an https URL is asked for by CONNECT")
    if "#" in url.rest:
        raise MalformedError("the URL of a request has no fragment")
    _check_host(fields, url)
    port = int(url.port or PORTS["http"])
    return Asking(
        Connection(url.host, port, "http"),
        head=_rewritten(method, url, fields, version=found[3]),
        body=body_length(fields),
        rest=rest,
        is_head=method == "HEAD",
    )


def read_fields(lines: list[str]) -> Fields:
    """Read header lines, names in lower case.

    Raises:
        MalformedError: One is folded, has no name, or holds a control character.
    """
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or _UNFIT.search(value):
            raise MalformedError("a header line is malformed")
        fields.append((name.lower(), value.strip(" \t")))
    return fields


def body_length(fields: Fields) -> int:
    """Say how long a message's body is: a number, or ``CHUNKED``.

    Raises:
        MalformedError: Two readers could find two lengths.
    """
    lengths = [value for name, value in fields if name == "content-length"]
    codings = [value.lower() for name, value in fields if name == "transfer-encoding"]
    if not codings:
        if len(set(lengths)) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
            raise MalformedError("its length is said twice, or is no number")
        return int(lengths[0]) if lengths else 0
    if codings != ["chunked"] or lengths:
        raise MalformedError("its body is framed in a way that is not understood")
    return CHUNKED


def kept_fields(fields: Fields) -> Fields:
    """Leave out what is said between two hops only.

    Raises:
        MalformedError: It names a field between two hops that frames the message.
    """
    named = {
        token.strip().lower()
        for name, value in fields
        if name in {"connection", "proxy-connection"}
        for token in value.split(",")
    }
    if named & _FRAMING:
        raise MalformedError("a field that frames the message is named in Connection")
    return [(name, value) for name, value in fields if name not in HOP_BY_HOP | named]


def _rewritten(method: str, url: Url, fields: Fields, *, version: str) -> bytes:
    path = url.rest if url.rest.startswith("/") else "/" + url.rest
    host = f"[{url.host}]" if ":" in url.host else url.host
    lines = [f"{method} {path} HTTP/1.{version}", f"Host: {host}{':' * bool(url.port)}{url.port}"]
    lines += [f"{name}: {value}" for name, value in kept_fields(fields) if name != "host"]
    # INVARIANT: one request a connection. What a client sends after it is never forwarded,
    # because nobody has decided on it.
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")


def _check_host(fields: Fields, url: Url) -> None:
    named = [value for name, value in fields if name == "host"]
    if len(named) > 1:
        raise MalformedError("it names its host twice")
    if named:
        said = _url(f"http://{named[0]}")
        if said.rest or (said.host, said.port or "80") != (url.host, url.port or "80"):
            raise MalformedError("its Host is not the host of its URL")


def _url(raw: str) -> Url:
    try:
        return parse_url(raw)
    except ValueError as error:
        # Said by a reader of rules, about what a program sent: short, and on one line.
        raise MalformedError(str(error)[:200]) from None
