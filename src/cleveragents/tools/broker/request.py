"""A request as the plan wrote it, as it is sent, and as a redirect changes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urljoin

import httpx

from cleveragents.policy.argument import CREDENTIAL_TEMPLATE
from cleveragents.policy.host_rule import parse_url
from cleveragents.tools.broker.edge_error import EdgeError
from cleveragents.tools.catalog import METHODS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.policy.host_rule import Url
    from cleveragents.tools.broker.credential import Filling

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEEPS_METHOD: Final = frozenset({307, 308})
PORTS: Final = {"http": 80, "https": 443}
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
_HEADER_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_OURS: Final = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "upgrade",
        "te",
        "trailer",
        "expect",
        "accept-encoding",
        "proxy-authorization",
        "proxy-connection",
    }
)
"""What frames a request is not for its sender to say."""
_URL_CHARACTERS: Final = "%/:=&?~#+!$,;'@()*[]"
"""What servers may write as it is; anything else in a redirect's URL is percent-encoded."""
_PERSONAL: Final = frozenset({"authorization", "cookie"})
"""Not sent on to another origin, wherever the value comes from."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the plan wrote it: templates are still templates."""

    method: str
    url: Url
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    fills_url: bool = True
    """False after a redirect: a template in a URL that a server wrote stays what it is."""


def read_request(arguments: Mapping[str, object]) -> Request:
    """Read a call's arguments.

    Raises:
        EdgeError: One is missing, malformed or not for a plan to say.
    """
    raw_url, method, body = arguments.get("url"), arguments.get("method"), arguments.get("body")
    headers = arguments.get("headers") or {}
    if not isinstance(raw_url, str) or method not in METHODS:
        raise EdgeError("'url' or 'method' is missing or unknown")
    if not isinstance(body, str | None) or not isinstance(headers, dict):
        raise EdgeError("'body' is not a text, or 'headers' no object")
    for name, value in headers.items():
        if not isinstance(name, str) or _HEADER_NAME.fullmatch(name) is None:
            raise EdgeError("a header's name is not valid")
        if name.lower() in _OURS:
            raise EdgeError(f"the header {name!r} is set by the program itself")
        if not isinstance(value, str) or _HEADER_VALUE.fullmatch(value) is None:
            raise EdgeError(f"the value of the header {name!r} is not valid")
    try:
        data = None if body is None else body.encode()
        return Request(str(method), _url(raw_url), tuple(headers.items()), data)
    except UnicodeEncodeError:
        raise EdgeError("the body is not valid Unicode") from None


def _url(raw: str) -> Url:
    try:
        return parse_url(raw)
    except ValueError as error:
        raise EdgeError(str(error)) from None


def fill(request: Request, filling: Filling) -> httpx.Request:
    """Put the credentials in; the host stays the one that was decided on.

    Raises:
        EdgeError: A credential is not for this host, or the URL is not valid.
    """
    url = request.url
    rest = url.rest.partition("#")[0]
    if request.fills_url:
        rest = filling.url_rest(rest, url.host)
    headers = [
        (name.encode(), filling.header(value, url.host).encode()) for name, value in request.headers
    ]
    names = {name.lower() for name, _ in request.headers}
    defaults = {"accept": "*/*", "user-agent": "cleveragents"}
    headers += [
        (name.encode(), value.encode()) for name, value in defaults.items() if name not in names
    ]
    # Nothing is kept open, and what is not compressed cannot be a bomb.
    headers += [(b"accept-encoding", b"identity"), (b"connection", b"close")]
    try:
        base = str(url).removesuffix(url.rest)
        filled = httpx.Request(request.method, base + rest, headers=headers, content=request.body)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise EdgeError("the URL or a header is not valid") from None
    # INVARIANT: both readers of the URL see one host; the rules were asked about this one.
    if filled.url.raw_host.decode("ascii").strip("[]") != url.host:
        raise EdgeError("the URL's host is ambiguous")
    return filled


def redirected(
    request: Request, answer: httpx.Response, filled: httpx.Request, filling: Filling
) -> Request:
    """Work out the request that follows a redirect; its host is checked when it is sent.

    Raises:
        EdgeError: It leads to no URL, or would carry a credential away.
    """
    location = answer.headers["location"]
    url = _url(urljoin(str(filled.url), quote(location, safe=_URL_CHARACTERS)))
    if not filling.may_go_to(str(url), url.host):
        raise EdgeError(f"a redirect would carry a credential to {url.host!r}")
    headers = request.headers
    if (url.scheme, url.host, url.port) != (
        request.url.scheme,
        request.url.host,
        request.url.port,
    ):
        headers = tuple((name, value) for name, value in headers if not _is_personal(name, value))
    if answer.status_code in _KEEPS_METHOD or request.method in {"GET", "HEAD"}:
        return Request(request.method, url, headers, request.body, fills_url=False)
    kept = tuple(pair for pair in headers if not pair[0].lower().startswith("content-"))
    return Request("GET", url, kept, fills_url=False)


def _is_personal(name: str, value: str) -> bool:
    return name.lower() in _PERSONAL or CREDENTIAL_TEMPLATE.search(value) is not None
