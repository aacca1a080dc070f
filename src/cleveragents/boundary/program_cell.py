"""The cell of a program actor: the program, its channel, and the tools beside it.

The guest stays in the cell and runs the tool bodies that the host decides to
run for the program, over the same mounts; the program is its child and holds
its own channel, never the tools'. Both are one domain of trust: a program
that breaks its guest breaks its own plan and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cleveragents.boundary.cell import Cell
    from cleveragents.boundary.program_channel import ProgramChannel, Quiet
    from cleveragents.boundary.program_message import FromProgram, ToProgram
    from cleveragents.boundary.spawner import Process


class ProgramCell:
    """One running program.

    Args:
        tools: Runs tool bodies in the program's workspace; for the door's use.
        channel: The host's end of the program's channel.
        process: The cell's processes.
    """

    def __init__(self, tools: Cell, channel: ProgramChannel, process: Process) -> None:
        self.tools = tools
        self._channel = channel
        self._process = process

    def receive(self, *, timeout_s: float) -> FromProgram | Quiet:
        """Wait for the program's next message; see ``ProgramChannel.receive``."""
        return self._channel.receive(timeout_s=timeout_s)

    def send(self, message: ToProgram, *, timeout_s: float = 30.0) -> None:
        """Answer a message; see ``ProgramChannel.send``."""
        self._channel.send(message, timeout_s=timeout_s)

    def wait(self, *, timeout_s: float) -> int | None:
        """Wait for the program's end and give its exit code; ``None`` when it still runs.

        128 and more: a signal ended it. 127: the command could not be started.
        """
        return self._process.wait_exit(timeout_s)

    @property
    def log(self) -> str:
        """The last part of its stdout and stderr, for people; never believed."""
        return self.tools.output

    @property
    def ended_by(self) -> str:
        """Why the host has ended it, such as a workspace past its limit; empty: it has not."""
        return self.tools.ended_by

    def kill(self, reason: str = "the program was ended") -> None:
        """Kill everything in the cell without waiting."""
        self.tools.kill(reason)

    def close(self) -> None:
        """End the cell and wait until its process 1 is dead; nothing is read afterwards.

        Raises:
            RecordError: It does not die.
        """
        self._channel.close()
        self.tools.close()
