"""Puts credentials into a request at the edge, and takes them out of what comes back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from cleveragents.policy.argument import CREDENTIAL_TEMPLATE
from cleveragents.tools.broker.answer import Content
from cleveragents.tools.broker.edge_error import EdgeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.tools.broker.address import HostPredicate

_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f]")
_MIN_HIDDEN_CHARS: Final = 4
"""Shorter values are not looked for in answers: they are everywhere by chance."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret and the hosts that it may be sent to."""

    value: str = field(repr=False)
    hosts: HostPredicate
    """From the operator's declaration."""


class Filling:
    """Fills the templates of one request and remembers what it has put in.

    Args:
        credentials: Those that the plan was handed, by handle.
    """

    def __init__(self, credentials: Mapping[str, Credential]) -> None:
        self._credentials = credentials
        self._used: dict[str, Credential] = {}

    @property
    def is_used(self) -> bool:
        """Say whether any credential was put in."""
        return bool(self._used)

    def header(self, text: str, host: str) -> str:
        """Fill a header's value.

        Raises:
            EdgeError: A credential is unknown, is not for this host, or does
                not fit into a header.
        """
        return CREDENTIAL_TEMPLATE.sub(lambda found: self._value(found[1], host), text)

    def url_rest(self, text: str, host: str) -> str:
        """Fill path and query of a URL, percent-encoded so that nothing else changes.

        Raises:
            EdgeError: As for ``header``.
        """
        return CREDENTIAL_TEMPLATE.sub(lambda found: quote(self._value(found[1], host), ""), text)

    def _value(self, name: str, host: str) -> str:
        credential = self._credentials.get(name)
        if credential is None:
            raise EdgeError(f"no credential {name[:64]!r} was handed to this plan")
        if not credential.hosts.admits(host):
            raise EdgeError(f"the credential {name!r} is not declared for {host!r}")
        if _UNFIT.search(credential.value) or not credential.value:
            raise EdgeError(f"the credential {name!r} is empty or holds a control character")
        self._used[name] = credential
        return credential.value

    def may_go_to(self, url: str, host: str) -> bool:
        """Say whether a redirect's URL carries no credential to a host it is not for."""
        return all(
            credential.hosts.admits(host) or not any(form in url for form in _forms(credential))
            for credential in self._used.values()
        )

    def hide(self, text: str) -> str:
        """Replace the values that were put in, plain and percent-encoded, by their names."""
        for name, credential in self._used.items():
            if len(credential.value) >= _MIN_HIDDEN_CHARS:
                for form in _forms(credential):
                    text = text.replace(form, f"[redacted:{name}]")
        return text

    def hide_in(self, content: Content) -> Content:
        """The same in an answer's bytes; of a value that the cap cut through, its beginning."""
        data = content.data
        for name, credential in self._used.items():
            if len(credential.value) < _MIN_HIDDEN_CHARS:
                continue
            for form in map(str.encode, _forms(credential)):
                data = data.replace(form, f"[redacted:{name}]".encode())
                if content.is_cut:
                    data = _without_beginning(data, form)
        return Content(data, content.is_cut)


def _without_beginning(data: bytes, form: bytes) -> bytes:
    """Drop the beginning of a value at the end of what was kept."""
    for length in range(len(form) - 1, _MIN_HIDDEN_CHARS - 1, -1):
        if data.endswith(form[:length]):
            return data[:-length]
    return data


def _forms(credential: Credential) -> tuple[str, ...]:
    encoded = quote(credential.value, "")
    return tuple(dict.fromkeys((credential.value, encoded, quote(credential.value))))
