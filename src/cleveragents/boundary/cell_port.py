"""Takes the listening socket that a cell with a network hands over before its first word.

The guest that sends it is ours and nobody else has run in the cell yet; what
comes is looked at all the same, since everything that the host accepts later
comes through it.
"""

from __future__ import annotations

import array
import os
import socket
from typing import Final

from cleveragents.boundary.greeting import WallError
from cleveragents.terms.cell_network import ADDRESS, PORT

_ROOM: Final = socket.CMSG_SPACE(8 * array.array("i").itemsize)
"""For more descriptors than may come, so that surplus ones are seen and closed."""


def take_port(network: socket.socket, *, port: int = PORT) -> socket.socket:
    """Give the cell's listening socket, and close the descriptor that it came by.

    Args:
        network: The host's end of the pair; the guest has said hello already.
        port: Where the socket must listen, on the cell's loopback.

    Raises:
        WallError: It was not handed over, or is something else.
    """
    with network:
        listener = _single(network)
    problem = _problem(listener, port)
    if problem:
        listener.close()
        raise WallError(f"the cell's port is not one: {problem}")
    listener.settimeout(0)
    return listener


def _single(network: socket.socket) -> socket.socket:
    try:
        _, ancillary, flags, _ = network.recvmsg(
            1, _ROOM, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        )
    except OSError as error:
        raise WallError(f"the cell's port was not handed over: {error.strerror}") from error
    found = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    if len(found) != 1 or flags & socket.MSG_CTRUNC:
        for descriptor in found:
            os.close(descriptor)
        raise WallError("the cell's port was not handed over")
    try:
        return socket.socket(fileno=found[0])
    except OSError:
        os.close(found[0])
        raise WallError("the cell's port is not one: it is no socket") from None


def _problem(listener: socket.socket, port: int) -> str:
    """Say what is wrong with a descriptor that is said to be the port; empty: nothing."""
    kind = (listener.family, listener.type, listener.proto)
    if kind != (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP):
        return "it is no TCP socket"
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "it does not listen"
    place = listener.getsockname()
    return "" if place == (ADDRESS, port) else f"it listens at {place}"
