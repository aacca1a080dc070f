"""The confined process of one MCP server: two byte streams, a capped log, and an end.

Nothing that comes out of it is believed here; who reads the streams sets the
limits. It lives by the same wall as every other cell.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.frame import MAX_FRAME, pack
from cleveragents.boundary.spawner import NotDeadError
from cleveragents.errors import ConfigurationError, RecordError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from cleveragents.boundary.cell_spec import CellSpec
    from cleveragents.boundary.channel import Channel
    from cleveragents.boundary.spawner import Process

BASE_ENVIRONMENT: Final[Mapping[str, str]] = {
    # The files belong to the cell's user or to the operator, never to a stranger who
    # could have put a configuration there that the wall does not hold.
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "PYTHONDONTWRITEBYTECODE": "1",
    "NO_UPDATE_NOTIFIER": "1",
}
"""Beside PATH, HOME and LANG; what the configuration hands wins."""


@dataclass(frozen=True, slots=True)
class ServerOrder:
    """What is started in the cell."""

    command: tuple[str, ...]
    """Paths as they are in the cell."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    directory: str = "/workspace"

    def frame(self) -> bytes:
        """The first bytes on the server's standard input, for the guest.

        Raises:
            ConfigurationError: It is larger than a message may be.
        """
        text = json.dumps(
            {
                "command": list(self.command),
                "environment": {**BASE_ENVIRONMENT, **self.environment},
                "directory": self.directory,
            }
        ).encode()
        if len(text) > MAX_FRAME:
            raise ConfigurationError(
                problem=f"arguments and environment of {self.command[0]!r} are larger than 1 MiB"
            )
        return pack(text)


class ServerCell:
    """One running server. ``kill`` may come from any thread.

    Args:
        process: The started processes; the cell's from now on.
        channel: The host's end of the guest's channel; nothing is said on it any more.
        spec: What it was made of.
        reading: Descriptor of the server's standard output.
        writing: Descriptor of its standard input.
        listener: The listening socket of its port, where it has a network.
        on_end: Told once, when the cell is closed.
    """

    def __init__(
        self,
        process: Process,
        channel: Channel,
        spec: CellSpec,
        *,
        reading: int,
        writing: int,
        listener: socket.socket | None = None,
        on_end: Callable[[ServerCell], None] = lambda _: None,
    ) -> None:
        self._process = process
        self._channel = channel
        self._streams: tuple[int, int] | None = (reading, writing)
        self._listener = listener
        self._on_end = on_end
        self._lock = threading.Lock()
        self._is_closed = False
        self.reason = ""
        """Why it was ended; empty while nobody has ended it."""
        self.spec = spec

    @property
    def alive(self) -> bool:
        """Say whether it still runs."""
        return not self.reason and self._process.is_alive

    @property
    def pid(self) -> int:
        """The process outside, for people."""
        return self._process.pid

    @property
    def log(self) -> str:
        """The last part of its standard error, for people; never believed."""
        return self._process.err.text()

    def take_streams(self) -> tuple[int, int]:
        """Give its output and its input, once; they are the caller's from now on.

        Raises:
            ValueError: They were taken already.
        """
        with self._lock:
            streams, self._streams = self._streams, None
        if streams is None:
            raise ValueError("taken already")
        return streams

    def take_listener(self) -> socket.socket | None:
        """Give the listening socket that the cell handed over, once; ``None``: no network."""
        listener, self._listener = self._listener, None
        return listener

    def kill(self, reason: str = "the server was ended") -> None:
        """Kill everything in the cell without waiting."""
        self.reason = self.reason or reason
        self._process.kill()

    def wait_exit(self, *, timeout_s: float) -> int | None:
        """Wait for the server's end by itself and give its exit code; ``None``: it still runs.

        Once it has ended, ``log`` is whole.
        """
        code = self._process.wait_exit(timeout_s)
        if code is not None:
            self._process.err.wait_end(timeout_s)
        return code

    def close(self) -> None:
        """End the cell and wait until its process 1 is dead. May be called again.

        Raises:
            RecordError: It does not die; nobody can say what happens in its workspace.
        """
        self.kill()
        with self._lock:
            if self._is_closed:
                return
            self._channel.close()
            if self._listener is not None:
                self._listener.close()
            for descriptor in self._streams or ():
                with suppress(OSError):
                    os.close(descriptor)
            self._streams = None
            try:
                self._process.wait_dead()
            except NotDeadError as error:
                raise RecordError(
                    problem=f"the cell of process {self._process.pid} does not end",
                    hint="the kernel is in trouble; restart the machine before resuming",
                ) from error
            self._is_closed = True
        self._on_end(self)
