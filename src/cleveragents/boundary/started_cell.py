"""A cell that was started and has not been listened to yet."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cleveragents.boundary import bubblewrap
from cleveragents.boundary.cell_port import take_port
from cleveragents.boundary.channel import Channel, ChannelError
from cleveragents.boundary.greeting import WallError, greet
from cleveragents.boundary.spawner import NotDeadError, Process
from cleveragents.errors import IsolationUnavailableError

if TYPE_CHECKING:
    import socket

    from cleveragents.boundary.cell_spec import CellSpec
    from cleveragents.boundary.program_channel import ProgramChannel


@dataclass(frozen=True, slots=True)
class Started:
    """What belongs to it, all of which somebody has to close."""

    process: Process
    channel: Channel
    spec: CellSpec
    program: ProgramChannel | None
    """The program actor's own channel."""
    network: socket.socket | None = None
    """Where the guest hands over its listening socket; ``None``: the cell has no network."""
    streams: tuple[int, ...] = ()
    """A server's output and input; empty: the cell is none's."""

    def greeted(self) -> tuple[int, socket.socket | None]:
        """Hear the hello, believe it only when every check held, and configure the guest.

        Returns:
            The Landlock version, and the listening socket of a cell with a network.

        Raises:
            IsolationUnavailableError: The wall does not stand; the cell is ended.
        """
        try:
            own_tools = bubblewrap.own_tools_inside(self.spec)
            landlock = greet(self.channel, self.spec, own_tools=own_tools)
            listener = None if self.network is None else take_port(self.network)
        except (WallError, ChannelError) as error:
            raise self._failure(str(error)) from error
        return landlock, listener

    def discard(self) -> None:
        """End it and wait until it is dead.

        Raises:
            IsolationUnavailableError: It does not end.
        """
        self.process.kill()
        self.channel.close()
        if self.program is not None:
            self.program.close()
        if self.network is not None:
            self.network.close()
        for descriptor in self.streams:
            os.close(descriptor)
        try:
            self.process.wait_dead()
        except NotDeadError as error:
            raise IsolationUnavailableError(
                problem="a cell that did not start does not end either",
                fix="the kernel is in trouble; restart the machine",
            ) from error

    def _failure(self, problem: str) -> IsolationUnavailableError:
        """End a cell that did not start, and say why and what mends it."""
        self.discard()
        said = " ".join(self.process.err.text().split())
        return IsolationUnavailableError(
            problem=f"the cell did not start: {said or problem}", fix=bubblewrap.fix_for(said)
        )
