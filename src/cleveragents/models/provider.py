"""Which host does a model's name lead to, and whose key does it want?

A table and strict readers: nothing here loads a provider's library, so that a
request can be decided, and refused, without one.

Spelling: ``provider:name``, as pydantic-ai writes it. ``openai:`` is the
Responses API at OpenAI itself, and the chat protocol of whatever server a
``base_url`` names; ``openai-chat:`` and ``openai-responses:`` are these two of
OpenAI's own protocols, at a ``base_url`` too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from cleveragents.errors import ConfigurationError
from cleveragents.policy.host_rule import Url, is_address, is_private, parse_url
from cleveragents.policy.suggestion import hint_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.terms.model import ModelEndpoint

Protocol = Literal["openai-chat", "openai-compatible", "openai-responses", "anthropic", "google"]
"""What is spoken with a host."""
# Part of Google's URLs, so '..' is refused and the first character is a letter or a digit.
_NAME: Final = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}", re.ASCII)
_MAX_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Provider:
    """One prefix of a model's name."""

    name: str
    """Whose rate limits and prices hold: several prefixes may share one."""
    protocol: Protocol
    base_url: str
    variables: tuple[str, ...]
    """Where its key usually is, the likeliest first; none: it wants no key."""


_OPENAI_URL: Final = "https://api.openai.com/v1"
PROVIDERS: Final[Mapping[str, Provider]] = {
    "openai": Provider("openai", "openai-responses", _OPENAI_URL, ("OPENAI_API_KEY",)),
    "openai-chat": Provider("openai", "openai-chat", _OPENAI_URL, ("OPENAI_API_KEY",)),
    "openai-responses": Provider("openai", "openai-responses", _OPENAI_URL, ("OPENAI_API_KEY",)),
    "anthropic": Provider(
        "anthropic", "anthropic", "https://api.anthropic.com", ("ANTHROPIC_API_KEY",)
    ),
    "google": Provider(
        "google",
        "google",
        "https://generativelanguage.googleapis.com",
        ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    ),
    "ollama": Provider("ollama", "openai-compatible", "http://127.0.0.1:11434/v1", ()),
}
"""By prefix."""


@dataclass(frozen=True, slots=True)
class Target:
    """A model's name and address, read."""

    provider: Provider
    model: str
    """As the provider calls it."""
    protocol: Protocol
    url: Url
    """Where its paths start."""
    is_own_host: bool
    """The provider's own, not one that a ``base_url`` names."""


@dataclass(frozen=True, slots=True)
class DefaultCredential:
    """The key that a model wants when nobody says another."""

    names: tuple[str, ...]
    """Handles and, at once, environment variables; the likeliest first."""
    hosts: tuple[str, ...]
    """The provider's own: a ``base_url`` that a plan names gets no key by default."""


def target_of(endpoint: ModelEndpoint, *, where: str = "") -> Target:
    """Read an endpoint.

    Args:
        endpoint: As somebody wrote it.
        where: File and key path, for errors.

    Raises:
        ConfigurationError: The name has another form, its provider is not
            known, the address is none, or a key would travel unencrypted.

    >>> from cleveragents.terms.model import ModelEndpoint
    >>> target_of(ModelEndpoint("anthropic:claude-opus-5")).url.host
    'api.anthropic.com'
    """
    prefix, _, name = endpoint.model.partition(":")
    provider = _provider(endpoint.model, prefix, name, where)
    if not endpoint.base_url:
        url = parse_url(provider.base_url)
        return Target(provider, name, provider.protocol, url, is_own_host=True)
    url = _base_url(endpoint, where)
    # A server that speaks OpenAI's chat protocol is what people mean by a base_url.
    protocol = "openai-compatible" if prefix == "openai" else provider.protocol
    return Target(provider, name, protocol, url, is_own_host=False)


def host_of(endpoint: ModelEndpoint, *, where: str = "") -> str:
    """The host that a request goes to, normalised.

    Raises:
        ConfigurationError: As ``target_of``.
    """
    return target_of(endpoint, where=where).url.host


def provider_of(endpoint: ModelEndpoint, *, where: str = "") -> str:
    """The name under which the settings limit how fast it is asked.

    Raises:
        ConfigurationError: As ``target_of``.
    """
    return target_of(endpoint, where=where).provider.name


def default_credential(model: str, *, where: str = "") -> DefaultCredential | None:
    """Say where the key of a model usually is; ``None`` when it wants none.

    Raises:
        ConfigurationError: The name has another form, or its provider is not known.

    >>> default_credential("google:gemini-2.5-pro").names
    ('GOOGLE_API_KEY', 'GEMINI_API_KEY')
    """
    prefix, _, name = model.partition(":")
    provider = _provider(model, prefix, name, where)
    if not provider.variables:
        return None
    return DefaultCredential(provider.variables, (parse_url(provider.base_url).host,))


def _provider(model: str, prefix: str, name: str, where: str) -> Provider:
    known = PROVIDERS.get(prefix)
    if known is None:
        hint = f"{hint_for(prefix, PROVIDERS)}; a server with OpenAI's protocol is 'openai:NAME'"
        if not name:
            problem = f"the model {_shown(model)} names no provider"
            hint = "write provider:name, such as openai:gpt-5-mini"
        else:
            problem = f"no model provider is named {_shown(prefix)}"
            hint += " with a base_url"
        raise ConfigurationError(problem=problem, where=where, hint=hint)
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            problem=f"{_shown(model)} cannot be the name of a model",
            where=where,
            hint="after the provider: letters, digits and . _ : / @ + -, at most 200",
        )
    return known


def _base_url(endpoint: ModelEndpoint, where: str) -> Url:
    hint = "write it like https://host/v1"
    try:
        url = parse_url(endpoint.base_url)
    except ValueError as error:
        raise ConfigurationError(
            problem=f"the base_url of {_shown(endpoint.model)} cannot be used: {error}",
            where=where,
            hint=hint,
        ) from error
    if "?" in url.rest or "#" in url.rest:
        raise ConfigurationError(
            problem=f"the base_url of {_shown(endpoint.model)} has a query or a fragment",
            where=where,
            hint=hint,
        )
    if endpoint.credential and url.scheme == "http" and not _is_near(url.host):
        raise ConfigurationError(
            problem=f"the credential {endpoint.credential!r} would go to {url.host!r} unencrypted",
            where=where,
            hint="use https",
        )
    return url


def _is_near(host: str) -> bool:
    """Say whether plain HTTP to a host stays in a private network: by address, or ``localhost``."""
    return is_private(host) and (is_address(host) or host == "localhost")


def _shown(text: str) -> str:
    return repr(text[:_MAX_SHOWN])
