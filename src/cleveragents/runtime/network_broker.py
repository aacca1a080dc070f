"""The host's edge behind the door: which credentials and hosts a network call gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.errors import ToolFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.runtime.call_context import CallContext
    from cleveragents.tools.broker.fetch import Credential, Fetch


class NetworkBroker:
    """Performs ``fetch_url`` and ``send_request`` for a plan, in the host.

    Args:
        open_fetch: Makes the HTTP client at the first request: it is dear to
            load, and most plans never send one.
        credentials: Every declared credential by its handle.
    """

    def __init__(
        self, open_fetch: Callable[[], Fetch], credentials: Mapping[str, Credential]
    ) -> None:
        self._open_fetch = open_fetch
        self._credentials = credentials
        self._fetch: Fetch | None = None

    def perform(
        self, tool: str, arguments: Mapping[str, object], context: CallContext, *, timeout_s: float
    ) -> Mapping[str, object]:
        """Do one network call under the context's hosts and credentials.

        Raises:
            ToolFailedError: The request was refused by an address rule or failed.
        """
        if self._fetch is None:
            self._fetch = self._open_fetch()
        match tool:
            case "fetch_url":
                return self._fetch.fetch_url(arguments, context.hosts, timeout_s=timeout_s)
            case "send_request":
                # INVARIANT: only what the plan's grant holds; the gate has refused the rest.
                granted = {
                    name: value
                    for name, value in self._credentials.items()
                    if name in context.credentials
                }
                return self._fetch.send_request(
                    arguments, context.hosts, granted, timeout_s=timeout_s
                )
        raise ToolFailedError(tool_name=tool, reason="the host has no body for it")
