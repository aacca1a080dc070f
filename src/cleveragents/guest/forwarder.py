"""How do connections leave a cell whose network namespace is empty? By one socket, given away.

The guest opens a listening socket in the cell's own namespace and hands it to
the host over an inherited descriptor, before any code that is not ours runs.
A socket belongs to the namespace that it was made in, whoever holds it: from
then on the kernel itself forwards every connection that a program of the cell
makes to that port to the host's proxy, which alone can accept it. Nothing of
this is left in the cell: no process that could be killed or talked to, no
descriptor that a command could inherit, no byte that is pumped inside.

Runs in the guest before its first message, therefore it imports nothing dear:
``_socket`` is the part of ``socket`` that is written in C.

Source:
    unix(7), "SCM_RIGHTS"; network_namespaces(7).
"""

from __future__ import annotations

import os
import sys

from cleveragents.terms.cell_network import ADDRESS, CERTIFICATES, PORT, VARIABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Final

BACKLOG: Final = 64
"""Connections that wait in the kernel while the host serves as many as it will at once."""
READY: Final = b"L"
"""What goes with the socket; a message without bytes could not carry it."""


def hand_over(descriptor: int, *, port: int = PORT) -> None:
    """Open the cell's port, give the listening socket to the host and keep nothing of it.

    Args:
        descriptor: One end of a stream pair of unix sockets; closed afterwards.
        port: On the cell's loopback; 0 takes any that is free.

    Raises:
        OSError: The port cannot be opened, or the host is gone. The cell does
            not start then.
    """
    # Only in cells with a network.
    import _socket  # noqa: PLC0415

    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, descriptor)
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    try:
        listener.bind((ADDRESS, port))
        listener.listen(BACKLOG)
        handed = listener.fileno().to_bytes(4, sys.byteorder)
        channel.sendmsg([READY], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, handed)])
    finally:
        listener.close()
        channel.close()


def announce(environment: MutableMapping[str, str]) -> None:
    """Name the proxy and the certificate authorities to whatever is started from now on."""
    environment.update(VARIABLES)
    if not os.path.exists(CERTIFICATES):  # noqa: PTH110  # pathlib is dear here
        # A host without authorities: a program's own ones, if it brings any, are better.
        for name in [name for name, value in VARIABLES.items() if value == CERTIFICATES]:
            del environment[name]
