"""Turns a cell's first process into an MCP server, once the wall has been seen to stand.

The order (what to start, with which environment, where) is the first frame on
the pipe that becomes the server's standard input: never on a command line,
which other users of the host and the server's own children can read.
"""

from __future__ import annotations

import os
import sys

from cleveragents.boundary.frame import HEADER_BYTES, MAX_FRAME
from cleveragents.guest import confine, entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

NOT_STARTED: Final = 127
_OWN: Final = "CLEVERAGENTS_CHANNEL"
_INPUT: Final = 0
_OUTPUT: Final = 1


def main() -> None:
    """Enter the wall, hear the order, become the server; never returns."""
    start = confine.Start(sys.argv[1:])
    entry.enter(start)
    channel, reading, writing = start.channels
    become(read_order(reading), channel=channel, reading=reading, writing=writing)


def read_order(descriptor: int) -> dict[str, Any]:
    """Read exactly one frame: what follows it is the server's.

    Raises:
        EOFError: The host has gone.
        ValueError: It is no order.
    """
    # Dear: only after the hello.
    import json  # noqa: PLC0415

    size = int.from_bytes(_exactly(descriptor, HEADER_BYTES), "big")
    if not 0 < size <= MAX_FRAME:
        raise ValueError(size)
    order: dict[str, Any] = json.loads(_exactly(descriptor, size))
    return order


def become(order: dict[str, Any], *, channel: int, reading: int, writing: int) -> None:
    """Take on the server's streams, directory and environment, and execute it."""
    environment = {k: v for k, v in os.environ.items() if k != _OWN}
    environment.update(order["environment"])
    command = order["command"]
    try:
        os.chdir(order["directory"])
        # The host's end of the channel says nothing further.
        os.close(channel)
        os.dup2(reading, _INPUT)
        os.dup2(writing, _OUTPUT)
        os.close(reading)
        os.close(writing)
        # No shell in between: the operator's command, as a list.
        os.execvpe(command[0], command, environment)  # noqa: S606
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        confine.write_all(2, f"{command[0]}: {reason}\n".encode())
    os._exit(NOT_STARTED)


def _exactly(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(descriptor, size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
