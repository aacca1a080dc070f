"""To which addresses may a plan file send its conversation? To those a person's side admits.

A plan file is untrusted input (design, section 11), and the address of a model
in it is a way out: the whole conversation goes there, from the host and not
from a cell. What is not admitted here is not lent to the plan, so that the door
decides it like any other host, refuses it and records that.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from cleveragents.models.provider import target_of
from cleveragents.policy.host_rule import HostRules, is_address, is_private, parse_url
from cleveragents.terms.model import ModelEndpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cleveragents.config.settings import Settings
    from cleveragents.policy.host_rule import Url
    from cleveragents.policy.profile import SafetyProfile

_PORTS: Final = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class ModelHosts:
    """What settings, automation profiles and options say of hosts."""

    binding: tuple[SafetyProfile, ...]
    """All but the plan file's own: each that names ``hosts`` must admit one."""
    trusted: tuple[SafetyProfile, ...]
    """Those of them that an operator named: their ``hosts`` may name a private one."""
    settings: Settings
    model: str | None
    """``--model``."""

    def admit(self, endpoint: ModelEndpoint, *, where: str) -> bool:
        """Say whether an endpoint that a plan file names is lent to the plan.

        One that is the operator's own too is, and one on this machine where
        the operator says nothing of hosts: who runs a file with a local model
        means it. Any other private address, and a public name without TLS,
        which may lead to one, needs to be named exactly.

        Args:
            endpoint: As the file names it.
            where: File and key path, for errors.

        Raises:
            ConfigurationError: It, or one of the operator's, cannot be read.
        """
        own = {(one.model, one.base_url) for one, _ in self._operators()}
        if (endpoint.model, endpoint.base_url) in own:
            return True
        url = target_of(endpoint, where=where).url
        stated = [HostRules.of_normal(p.hosts) for p in self.binding if p.hosts is not None]
        if not stated and _is_here(url.host):
            return True
        if not all(rules.admits(url.host) for rules in stated):
            return False
        return not _may_lead_inward(url) or self._names(url)

    def _names(self, url: Url) -> bool:
        named = [HostRules.of_normal(p.hosts) for p in self.trusted if p.hosts is not None]
        if any(rules.names_exactly(url.host) for rules in named):
            return True
        # A model's address names one server, not whatever else listens on that machine.
        return _place(url) in map(_place, self._urls())

    def _urls(self) -> Iterator[Url]:
        if self.settings.model_base_url:
            yield parse_url(self.settings.model_base_url)
        for one, where in self._operators():
            yield target_of(one, where=where).url

    def _operators(self) -> Iterator[tuple[ModelEndpoint, str]]:
        settings = self.settings
        for name, where in ((self.model, "--model"), (settings.model, "the settings: model")):
            if name:
                yield ModelEndpoint(name, settings.model_base_url), where
        for one in settings.fallback_models:
            yield one, "the settings: fallback_models"


def _may_lead_inward(url: Url) -> bool:
    """Say whether a private server may answer: over TLS it cannot for a public name."""
    return is_private(url.host) or (url.scheme == "http" and not is_address(url.host))


def _is_here(host: str) -> bool:
    """Say whether a host is this machine, by an address of its own or the name for it."""
    return host == "localhost" or (is_address(host) and ip_address(host).is_loopback)


def _place(url: Url) -> tuple[str, str]:
    return url.host, url.port or _PORTS[url.scheme]
