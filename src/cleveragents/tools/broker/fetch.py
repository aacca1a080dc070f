"""Makes a plan's HTTP requests in the host: rules, addresses, credentials and caps at one edge."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Protocol

import httpx

from cleveragents.errors import ToolFailedError
from cleveragents.policy.host_rule import is_private
from cleveragents.tools.broker.address import checked_addresses, system_resolve
from cleveragents.tools.broker.answer import as_fields, read_content
from cleveragents.tools.broker.credential import Credential, Filling
from cleveragents.tools.broker.deadline import Deadline
from cleveragents.tools.broker.edge_error import EdgeError
from cleveragents.tools.broker.pinned_transport import PinnedTransport
from cleveragents.tools.broker.request import (
    PORTS,
    REDIRECTS,
    Request,
    fill,
    read_request,
    redirected,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from cleveragents.tools.broker.address import HostPredicate, Resolve

__all__ = ["Credential", "Fetch"]

TIMEOUT_S: Final = 30.0
"""For one call as a whole, redirects included."""
MAX_REDIRECTS: Final = 5
MAX_HEADERS_SHOWN: Final = 64
_MAX_HEADER_CHARS: Final = 2_000
_NOT_SHOWN: Final = frozenset({"set-cookie", "set-cookie2"})


class MakeTransport(Protocol):
    """What connects: to these addresses and no others."""

    def __call__(
        self, addresses: tuple[str, ...], *, deadline: Deadline, context: ssl.SSLContext
    ) -> httpx.BaseTransport:
        """Give a transport for one request."""


class Fetch:
    """The broker of ``fetch_url`` and ``send_request``; one serves all plans and threads.

    Args:
        resolve: Gives a name's addresses.
        transport: Connects to checked addresses.
        timeout_s: For one call as a whole.
        context: For ``https``; absent: the usual certificate authorities.
    """

    def __init__(
        self,
        *,
        resolve: Resolve = system_resolve,
        transport: MakeTransport = PinnedTransport,
        timeout_s: float = TIMEOUT_S,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._resolve = resolve
        self._transport = transport
        self._timeout_s = timeout_s
        self._context = context
        self._lock = threading.Lock()

    def fetch_url(
        self,
        arguments: Mapping[str, object],
        hosts: HostPredicate,
        *,
        timeout_s: float | None = None,
    ) -> dict[str, object]:
        """GET a URL.

        Args:
            arguments: ``url``.
            hosts: What the plan may ask.
            timeout_s: A shorter limit than this broker's own.

        Returns:
            ``status``, ``text``, ``url`` (after redirects), ``content_type``,
            ``headers``, ``size``, ``truncated``, ``encoding`` and, for binary
            content, ``base64``.

        Raises:
            ToolFailedError: A host or address is not admitted, or the request failed.
        """
        return self._call(
            "fetch_url", {**arguments, "method": "GET"}, hosts, Filling({}), timeout_s
        )

    def send_request(
        self,
        arguments: Mapping[str, object],
        hosts: HostPredicate,
        credentials: Mapping[str, Credential],
        *,
        timeout_s: float | None = None,
    ) -> dict[str, object]:
        """Send a request, with the credentials that it names put in.

        Args:
            arguments: ``url``, ``method``, ``headers``, ``body``.
            hosts: What the plan may ask.
            credentials: Those that the plan was handed, by handle.
            timeout_s: A shorter limit than this broker's own.

        Returns:
            As ``fetch_url``.

        Raises:
            ToolFailedError: As ``fetch_url``, or a credential is not for this plan or host.
        """
        return self._call("send_request", arguments, hosts, Filling(credentials), timeout_s)

    def _call(
        self,
        tool: str,
        arguments: Mapping[str, object],
        hosts: HostPredicate,
        filling: Filling,
        timeout_s: float | None,
    ) -> dict[str, object]:
        try:
            request = read_request(arguments)
            limit_s = min(self._timeout_s, timeout_s or self._timeout_s)
            return self._follow(request, hosts, filling, Deadline(limit_s))
        except EdgeError as error:
            # Without its cause: a traceback must not show what the credentials were put into.
            raise ToolFailedError(tool_name=tool, reason=filling.hide(error.reason)) from None

    def _follow(
        self, request: Request, hosts: HostPredicate, filling: Filling, deadline: Deadline
    ) -> dict[str, object]:
        for _ in range(MAX_REDIRECTS + 1):
            result = self._send(request, hosts, filling, deadline)
            if isinstance(result, dict):
                return result
            request = result
        raise EdgeError(f"more than {MAX_REDIRECTS} redirects")

    def _send(
        self, request: Request, hosts: HostPredicate, filling: Filling, deadline: Deadline
    ) -> dict[str, object] | Request:
        """Send once; give the result, or the request that a redirect asks for."""
        url = request.url
        if not hosts.admits(url.host):
            raise EdgeError(f"the rules do not admit the host {url.host!r}")
        addresses = checked_addresses(
            url.host,
            int(url.port or PORTS[url.scheme]),
            hosts=hosts,
            resolve=self._resolve,
            deadline=deadline,
        )
        filled = fill(request, filling)
        if filling.is_used and url.scheme == "http" and not all(map(is_private, addresses)):
            raise EdgeError("a credential is not sent over plain http; use https")
        transport = self._transport(addresses, deadline=deadline, context=self._tls())
        with transport:
            answer = transport.handle_request(filled)
            try:
                if answer.status_code in REDIRECTS and "location" in answer.headers:
                    return redirected(request, answer, filled, filling)
                content = filling.hide_in(read_content(answer))
            finally:
                answer.close()
        content_type = answer.headers.get("content-type", "")
        return {
            "status": answer.status_code,
            "url": filling.hide(str(url)),
            "content_type": filling.hide(content_type[:_MAX_HEADER_CHARS]),
            "headers": _shown_headers(answer, filling),
            **as_fields(content, content_type),
        }

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                # Reading the authorities takes longer than a request; once is enough.
                self._context = httpx.create_ssl_context(trust_env=False)
                self._context.load_default_certs()
            return self._context


def _shown_headers(answer: httpx.Response, filling: Filling) -> dict[str, str]:
    shown = [
        (name[:_MAX_HEADER_CHARS], filling.hide(value)[:_MAX_HEADER_CHARS])
        for name, value in answer.headers.items()
        if name not in _NOT_SHOWN
    ]
    return dict(shown[:MAX_HEADERS_SHOWN])
