"""Which hosts do the ``hosts`` entries admit, and which host does a URL name?

Written by hand and strict: a spelling that two parsers could read differently
is refused, never interpreted. The broker checks the resolved addresses too.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

ANY: Final = "*"
"""The entry for any public host."""

_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.ASCII | re.IGNORECASE
)
_PORT: Final = re.compile(r"[0-9]{1,5}", re.ASCII)
_MAX_HOST: Final = 253
_MAX_PORT: Final = 65535
_LOCAL_SUFFIXES: Final = (
    ".localhost",
    ".local",
    ".internal",
    ".intranet",
    ".lan",
    ".home",
    ".corp",
    ".private",
    ".home.arpa",
)
# Addresses that carry an IPv4 address which the network would unwrap.
_TUNNELS: Final = tuple(
    ipaddress.IPv6Network(block)
    for block in ("::ffff:0:0/96", "::/96", "64:ff9b::/32", "2002::/16", "2001::/32")
)
# Not on the public internet either, whatever the standard library's tables say.
_MORE_PRIVATE: Final = tuple(
    ipaddress.ip_network(block)
    for block in ("168.63.129.16/32", "192.0.0.0/24", "fec0::/10", "3fff::/20", "5f00::/16")
)
# The interface identifier of an address that ends in an IPv4 one (ISATAP), and the bit in it
# that may be set or not.
_ISATAP: Final = 0x0000_5EFE
_ISATAP_FREE_BIT: Final = 0x0200_0000


def normalise_host(raw: str) -> str:
    """Bring a host to its one spelling: lower case, no trailing dot, no brackets.

    Raises:
        ValueError: It is no host, or one in a spelling that readers disagree
            about (octal, hexadecimal or shortened addresses, zones, escapes).

    >>> normalise_host("Example.COM."), normalise_host("[::1]"), normalise_host("127.0.0.1")
    ('example.com', '::1', '127.0.0.1')
    """
    host = raw.lower()
    if not host.isascii():
        msg = f"{raw!r} holds a character that is not ASCII; write the 'xn--' form"
        raise ValueError(msg)
    if ":" in host or host.startswith("["):
        return _normalise_v6(raw, host)
    host = host.removesuffix(".")
    labels = host.split(".")
    if len(host) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        msg = f"{raw!r} is not a host name"
        raise ValueError(msg)
    if _NUMBER.fullmatch(labels[-1]):
        # INVARIANT: what ends in a number is an address in four plain decimals or nothing;
        # the resolver would read 0x7f.1, 0177.0.0.1 and 2130706433 as loopback.
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            msg = f"{raw!r} is not an address in four decimal numbers"
            raise ValueError(msg) from None
    return host


def _normalise_v6(raw: str, host: str) -> str:
    inner = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        # A zone ("%eth0") is an address of this machine's links: made unreadable, so refused.
        return str(ipaddress.IPv6Address(inner.replace("%", "?")))
    except ValueError:
        msg = f"{raw!r} is not an IPv6 address (a host is named without its port)"
        raise ValueError(msg) from None


def is_address(host: str) -> bool:
    """Say whether a normalised host is an address rather than a name."""
    return ":" in host or _NUMBER.fullmatch(host, host.rfind(".") + 1) is not None


def is_private(host: str) -> bool:
    """Say whether a normalised host is not on the public internet.

    Loopback, private, link-local, metadata, multicast and reserved addresses,
    addresses that wrap an IPv4 one, and names that only a local resolver knows.

    >>> [is_private(h) for h in ("10.0.0.1", "169.254.169.254", "::1", "localhost", "db")]
    [True, True, True, True, True]
    >>> is_private("example.com"), is_private("1.1.1.1")
    (False, False)
    """
    if not is_address(host):
        return "." not in host or host.endswith(_LOCAL_SUFFIXES)
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address) and _wraps_private(address):
        return True
    if any(address in block for block in _MORE_PRIVATE if block.version == address.version):
        return True
    return not address.is_global or address.is_multicast or address.is_reserved


def _wraps_private(address: ipaddress.IPv6Address) -> bool:
    if any(address in one for one in _TUNNELS):
        return True
    bits = int(address)
    if (bits >> 32) & 0xFFFF_FFFF & ~_ISATAP_FREE_BIT != _ISATAP:
        return False
    return is_private(str(ipaddress.IPv4Address(bits & 0xFFFF_FFFF)))


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of a URL that a decision looks at."""

    scheme: str
    host: str
    """Normalised, without brackets."""
    port: str
    """As written; empty for the scheme's own."""
    rest: str
    """From the first ``/``, ``?`` or ``#`` on, untouched."""

    def __str__(self) -> str:
        """The one spelling, in which every later reader finds the same host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{':' + self.port if self.port else ''}{self.rest}"


def parse_url(raw: str) -> Url:
    """Read an ``http`` or ``https`` URL strictly.

    Raises:
        ValueError: Another scheme, user information, a backslash, white space,
            a control or non-ASCII character, a bad port or a bad host.

    >>> str(parse_url("HTTPS://Example.COM.:8443/a?b#c"))
    'https://example.com:8443/a?b#c'
    """
    if not raw.isascii() or not raw.isprintable() or " " in raw or "\\" in raw:
        msg = "the URL holds a backslash, white space or a character that is not printable ASCII"
        raise ValueError(msg)
    found = _URL.fullmatch(raw)
    if found is None:
        msg = "the URL is not of the form http(s)://host/..."
        raise ValueError(msg)
    authority = found["authority"]
    if "@" in authority:
        msg = "the URL holds user information before its host"
        raise ValueError(msg)
    name, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        name, port = authority, ""
    if ":" in name and not name.startswith("["):
        msg = "an IPv6 address in a URL stands in brackets"
        raise ValueError(msg)
    if colon and port and not (_PORT.fullmatch(port) and 0 < int(port) <= _MAX_PORT):
        msg = f"the URL's port {port[:16]!r} is not a port"
        raise ValueError(msg)
    return Url(found["scheme"].lower(), normalise_host(name), port, found["rest"])


def host_of_url(raw: str) -> str:
    """The normalised host of a URL.

    Raises:
        ValueError: As ``parse_url``.
    """
    return parse_url(raw).host


def normalise_entry(raw: str, *, where: str = "") -> str:
    """Bring one ``hosts`` entry to its one spelling: ``*``, ``*.domain`` or a host.

    Raises:
        ConfigurationError: It is none of the three.
    """
    if not isinstance(raw, str):
        raise ConfigurationError(problem=f"{raw!r} is not a host", where=where)
    if raw == ANY:
        return ANY
    try:
        return _normalise_pattern(raw) if raw.startswith("*.") else normalise_host(raw)
    except ValueError as error:
        raise ConfigurationError(
            problem=str(error), where=where, hint="write a host, '*.domain' or '*'"
        ) from error


def _normalise_pattern(raw: str) -> str:
    domain = normalise_host(raw[2:])
    if is_address(domain) or is_private("x." + domain):
        msg = f"{raw!r} is a pattern of private hosts or addresses; name each one"
        raise ValueError(msg)
    return "*." + domain


@dataclass(frozen=True, slots=True)
class HostRules:
    """A set of hosts, prepared for comparison."""

    entries: tuple[str, ...]
    """Normalised: ``*``, ``*.domain`` or a host."""
    exact: frozenset[str]
    suffixes: tuple[str, ...]
    is_any: bool

    @classmethod
    def parse(cls, entries: Iterable[str], *, where: str = "") -> HostRules:
        """Read entries as a person wrote them; none at all admits nothing.

        Raises:
            ConfigurationError: An entry cannot be one.
        """
        return cls.of_normal(tuple(normalise_entry(entry, where=where) for entry in entries))

    @classmethod
    def of_normal(cls, entries: tuple[str, ...]) -> HostRules:
        """Build from entries that ``normalise_entry`` has made."""
        return cls(
            entries=entries,
            exact=frozenset(entry for entry in entries if entry[0] != ANY),
            suffixes=tuple(entry[1:] for entry in entries if entry[0] == ANY and entry != ANY),
            is_any=ANY in entries,
        )

    def admits(self, host: str) -> bool:
        """Say whether a host is among them; a private one only by its exact name.

        >>> rules = HostRules.parse(["*.example.com", "127.0.0.1"])
        >>> rules.admits("api.example.com"), rules.admits("example.com")
        (True, False)
        >>> rules.admits("127.0.0.1"), HostRules.parse(["*"]).admits("127.0.0.1")
        (True, False)
        """
        if host in self.exact:
            return True
        try:
            return self._admits_normal(normalise_host(host))
        except ValueError:
            return False

    def _admits_normal(self, host: str) -> bool:
        if host in self.exact:
            return True
        return (self.is_any or host.endswith(self.suffixes)) and not is_private(host)

    def names_exactly(self, host: str) -> bool:
        """Say whether an entry is this very host: what a private address needs."""
        return host in self.exact

    def covers(self, entry: str) -> bool:
        """Say whether every host of one normalised entry is admitted here."""
        if entry == ANY:
            return self.is_any
        if entry[0] == ANY:
            return self.is_any or entry[1:].endswith(self.suffixes)
        return self._admits_normal(entry)

    def contains(self, other: HostRules) -> bool:
        """Say whether everything that the other admits is admitted here."""
        return all(self.covers(entry) for entry in other.entries)

    def meet(self, other: HostRules) -> HostRules:
        """The hosts that both admit.

        >>> HostRules.parse(["*"]).meet(HostRules.parse(["*.a.org", "127.0.0.1"])).entries
        ('*.a.org',)
        """
        both = [entry for entry in self.entries if other.covers(entry)]
        both += [entry for entry in other.entries if self.covers(entry)]
        return HostRules.of_normal(tuple(dict.fromkeys(both)))


PUBLIC: Final = HostRules.of_normal((ANY,))
