"""What does a cell's first process do before anything else may happen in it?

Limits, Landlock, the in-cell half of the self-test, and the first word on the
channel, in this order; then, and only then, code that is not ours.

Until the hello is out nothing dear is imported: it is what a cold start
waits for.
"""

from __future__ import annotations

import os
import resource

from cleveragents.boundary import landlock, self_check
from cleveragents.boundary.frame import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

PROTOCOL: Final = 1
_LIMITS: Final = (
    resource.RLIMIT_AS,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_CPU,
    resource.RLIMIT_NOFILE,
    resource.RLIMIT_NPROC,
)
"""In the order in which the host gives them on the command line."""


class Start:
    """What the host said on the command line: nothing of it is secret.

    ``CHANNELS[+NETWORK] LIMITS CANARY_FILE CANARY_SOCKET WRITABLE... [-- COMMAND...]``
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        own = list(arguments)
        self.command: tuple[str, ...] = ()
        """What to become after the hello; empty for a tool cell."""
        if "--" in own:
            cut = own.index("--")
            self.command = tuple(own[cut + 1 :])
            del own[cut:]
        channels, _, network = own[0].partition("+")
        self.network = int(network or -1)
        """Where the listening socket is handed over; -1: the cell has no network."""
        self.channels = tuple(int(value) for value in channels.split(","))
        """The tools' channel; a program's own one is the second."""
        self.channel = self.channels[0]
        self.limits = tuple(int(value) for value in own[1].split(","))
        self.canary_file = own[2]
        self.canary_socket = own[3]
        self.writable = tuple(own[4:])


def enter(start: Start) -> tuple[int, dict[str, str]]:
    """Take on limits and Landlock, then look whether the wall stands.

    Returns:
        The Landlock version in force, and the checks as ``self_check.run`` gives them.
    """
    limit(start.limits)
    if start.network >= 0:
        # Only in cells with a network.
        from cleveragents.guest import forwarder  # noqa: PLC0415

        # Gone before the checks: they find the same descriptors in every cell.
        forwarder.hand_over(start.network)
    version = landlock.apply(start.writable)
    checks = self_check.run(
        channels=start.channels, canary_file=start.canary_file, canary_socket=start.canary_socket
    )
    return version, checks


def limit(values: Sequence[int]) -> None:
    """Set the resource limits, soft and hard, never above what is in force."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind, value in zip(_LIMITS, values, strict=True):
        _, hard = resource.getrlimit(kind)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bound, bound))


def hello(checks: Mapping[str, str], *, version: int) -> bytes:
    """Build the frame of the hello by hand: importing ``json`` costs as much as Python.

    >>> hello({"root": ""}, version=7)[4:]
    b'{"type":"hello","protocol":1,"checks":{"root":""},"landlock":7}'
    """
    pairs = ",".join(f"{_quote(name)}:{_quote(value)}" for name, value in checks.items())
    text = f'{{"type":"hello","protocol":{PROTOCOL},"checks":{{{pairs}}},"landlock":{version}}}'
    return pack(text.encode("ascii"))


def _quote(text: str) -> str:
    plain = "".join(
        c if c.isascii() and c.isprintable() and c not in '"\\' else _escape(c) for c in text
    )
    return f'"{plain}"'


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0xD800 else "?"  # noqa: PLR2004  # surrogates and beyond


def write_all(descriptor: int, data: bytes) -> None:
    """Write until everything is written.

    Raises:
        OSError: The host is gone.
    """
    written = os.write(descriptor, data)
    if written == len(data):
        return
    view = memoryview(data)[written:]
    while view:
        view = view[os.write(descriptor, view) :]
