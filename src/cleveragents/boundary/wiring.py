"""Which descriptors does one start need, and who closes them when it fails?

The host keeps its ends; bubblewrap inherits the others and the host closes
its own copies of them as soon as it is started.
"""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cleveragents.boundary.bubblewrap import Descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Wiring:
    """The host's ends, and the numbers of the others."""

    channel: socket.socket
    program: socket.socket | None
    network: socket.socket | None
    """Where the guest hands over its listening socket; ``None``: the cell has no network."""
    streams: tuple[int, ...]
    """A server's output and input; empty: the cell is none's."""
    status: int
    """Where bubblewrap says the number of its child."""
    inherited: Descriptors


@contextmanager
def wired(
    *,
    code: bytes,
    own_tools: Sequence[bytes],
    has_program: bool,
    has_network: bool = False,
    has_streams: bool = False,
) -> Iterator[Wiring]:
    """Open what one start needs.

    On leaving, what was inherited is closed here; when it is left by an
    exception, the host's ends too.

    Args:
        code: The system call filter.
        own_tools: The content of each file of own tools.
        has_program: Whether there is a program with a channel of its own.
        has_network: Whether the cell gets a port of the host's proxy.
        has_streams: Whether the cell is a server's, with an input and an output.
    """
    with ExitStack() as inherited, ExitStack() as own:
        channel, guest_end = _pair(own, inherited)
        program, program_end = _pair(own, inherited) if has_program else (None, -1)
        network, network_end = _pair(own, inherited) if has_network else (None, -1)
        status, said = _pipe(own, inherited)
        streams, theirs = _streams(own, inherited) if has_streams else ((), ())
        files = [_memory_file(data, inherited) for data in (code, *own_tools)]
        yield Wiring(
            channel=channel,
            program=program,
            network=network,
            streams=streams,
            status=status,
            inherited=Descriptors(
                channel=guest_end,
                program=program_end,
                network=network_end,
                streams=theirs,
                seccomp=files[0],
                status=said,
                own_tools=tuple(files[1:]),
            ),
        )
        own.pop_all()


def _pair(own: ExitStack, inherited: ExitStack) -> tuple[socket.socket, int]:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    own.callback(here.close)
    inherited.callback(there.close)
    return here, there.fileno()


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    reader.callback(os.close, reading)
    writer.callback(os.close, writing)
    return reading, writing


def _streams(own: ExitStack, inherited: ExitStack) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Give the host's ends (output, input) and the server's (input, output)."""
    output, said = _pipe(own, inherited)
    heard, words = _pipe(inherited, own)
    return (output, words), (heard, said)


def _memory_file(data: bytes, inherited: ExitStack) -> int:
    descriptor = os.memfd_create("cell", os.MFD_CLOEXEC)
    inherited.callback(os.close, descriptor)
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
