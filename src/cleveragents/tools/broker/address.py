"""Which addresses a host may be reached at; looked up once, checked, and then kept.

A name is resolved once for each request. All its addresses must be admitted,
and the connection goes to one of exactly these: a name that answers
differently the second time is never asked a second time.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from typing import TYPE_CHECKING, Final, Protocol

from cleveragents.policy.host_rule import is_address, is_private
from cleveragents.tools.broker.edge_error import EdgeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cleveragents.tools.broker.deadline import Deadline

    Resolve = Callable[[str, int], Sequence[str]]

MAX_ADDRESSES: Final = 8
"""Tried at most; a name with more is not tried at all of them."""
_METADATA: Final = (
    ipaddress.ip_network("169.254.0.0/16"),
    ipaddress.ip_network("fe80::/10"),
    ipaddress.ip_network("fd00:ec2::/32"),
    ipaddress.ip_network("100.100.100.200/32"),
    ipaddress.ip_network("168.63.129.16/32"),
    ipaddress.ip_network("192.0.0.192/32"),
)
"""Link-local, where clouds answer with a machine's own credentials, and their other places."""


class HostPredicate(Protocol):
    """What the grant and the profiles together say of hosts."""

    def admits(self, host: str) -> bool:
        """Say whether a normalised host may be asked at all."""

    def names_exactly(self, host: str) -> bool:
        """Say whether it is named itself, not by a pattern."""


def system_resolve(host: str, port: int) -> tuple[str, ...]:
    """Ask the system for a name's addresses.

    Raises:
        OSError: It knows none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def checked_addresses(
    host: str, port: int, *, hosts: HostPredicate, resolve: Resolve, deadline: Deadline
) -> tuple[str, ...]:
    """Give the addresses that a host is connected to, every one of them checked.

    Raises:
        EdgeError: The host has no address, or one that it may not be reached at.
    """
    found = [host] if is_address(host) else _resolve(host, port, resolve, deadline)
    if not found:
        raise EdgeError(f"{host!r} has no address")
    for address in found:
        _check(host, address, hosts)
    return tuple(found[:MAX_ADDRESSES])


def _check(host: str, address: str, hosts: HostPredicate) -> None:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        raise EdgeError(f"{host!r} resolves to something that is no address") from None
    if "%" not in address and not is_private(str(parsed)):
        return
    if hosts.names_exactly(str(parsed)):
        return
    if _is_metadata(parsed):
        raise EdgeError(
            f"{host!r} is at {parsed}, a link-local or metadata address; the rules do not name"
            " that address itself"
        )
    # INVARIANT: a public-looking name never leads to a private address on its own word: who
    # holds the name chooses where it leads, and a child may name any name below '*'.
    if not (is_private(host) and hosts.names_exactly(host)):
        raise EdgeError(
            f"{host!r} is at {parsed}, which is not a public address; the rules do not name"
            " that address itself"
        )


def _is_metadata(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    readings = [address]
    if isinstance(address, ipaddress.IPv6Address):
        # The last 32 bits are where mapped and translated addresses carry an IPv4 one.
        readings.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if address.sixtofour is not None:
            readings.append(address.sixtofour)
    return any(
        one in block for one in readings for block in _METADATA if block.version == one.version
    )


def _resolve(host: str, port: int, resolve: Resolve, deadline: Deadline) -> list[str]:
    """Look a name up in a thread of its own: the system's look-up has no time limit."""
    found: list[str] = []
    failed: list[str] = []

    def look_up() -> None:
        try:
            found.extend(resolve(host, port))
        except (OSError, UnicodeError) as error:
            failed.append(str(getattr(error, "strerror", "") or "unknown name"))

    thread = threading.Thread(target=look_up, name="name look-up", daemon=True)
    thread.start()
    thread.join(deadline.left_s())
    if thread.is_alive():
        raise deadline.error()
    if failed:
        raise EdgeError(f"{host!r} cannot be looked up: {failed[0].lower()}")
    return found
