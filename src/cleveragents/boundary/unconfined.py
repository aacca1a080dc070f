"""Starts tool guests without any wall: ``--isolation off-unsafe``, and nothing else does.

The same guest, the same channel, an environment from nothing; but the host's
files, network and processes are within reach of every tool body.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cleveragents.boundary
from cleveragents.boundary.cell import Cell
from cleveragents.boundary.channel import Channel, ChannelError
from cleveragents.boundary.footing import search_path, user_packages
from cleveragents.boundary.greeting import CONFIGURE_S
from cleveragents.boundary.message import PROTOCOL, Configure, Hello, OwnTool
from cleveragents.boundary.report import IsolationReport, Layer
from cleveragents.boundary.spawner import SPAWNER, Program, Spawner
from cleveragents.boundary.workspace_watch import WorkspaceWatch
from cleveragents.errors import ConfigurationError, IsolationUnavailableError

if TYPE_CHECKING:
    from cleveragents.boundary.cell_spec import CellSpec
    from cleveragents.boundary.program_cell import ProgramCell
    from cleveragents.boundary.server_cell import ServerCell, ServerOrder
    from cleveragents.boundary.spawner import Process
    from cleveragents.boundary.warm_cell import WarmCell


class UnconfinedLauncher:
    """No tier at all; stamped as such on everything that it runs.

    Args:
        spawner: Who starts the processes; one for a host process.
    """

    def __init__(self, *, spawner: Spawner = SPAWNER) -> None:
        self._spawner = spawner
        self._watch = WorkspaceWatch()

    @property
    def owner(self) -> tuple[int, int] | None:
        """``None``: everything stays the host's own user's."""
        return None

    @property
    def isolation(self) -> IsolationReport:
        """Says that there is none."""
        return IsolationReport(
            tier="off-unsafe",
            verified=False,
            layers=(
                Layer(
                    "none",
                    is_present=False,
                    detail="tools run with everything that this user may do",
                    fix="leave out --isolation off-unsafe",
                ),
            ),
        )

    def start(self, spec: CellSpec) -> Cell:
        """Start a guest in the workspace's directory; see ``CellLauncher``."""
        if spec.workspace.kind == "overlay":
            raise ConfigurationError(problem="an overlay cannot be mounted without a cell")
        if spec.command:
            raise ConfigurationError(problem="a program actor is refused without a cell")
        process, channel = self._spawn(spec)
        try:
            hello = channel.receive(timeout_s=spec.limits.start_s)
            own = tuple(OwnTool(t.name, str(t.path), t.digest) for t in spec.own_tools)
            channel.send(Configure(tools=spec.tools, own=own), timeout_s=CONFIGURE_S)
        except ChannelError as error:
            process.kill()
            channel.close()
            process.wait_dead()
            said = " ".join(process.err.text().split()) or str(error)
            raise IsolationUnavailableError(
                problem=f"the guest did not start: {said}", fix="check the Python installation"
            ) from error
        cell = Cell(process, channel, spec, on_end=self._watch.forget)
        self._watch.add(cell)
        if not isinstance(hello, Hello) or hello.protocol != PROTOCOL:
            cell.close()
            raise IsolationUnavailableError(
                problem="the guest is of another version", fix="install the package again"
            )
        return cell

    def _spawn(self, spec: CellSpec) -> tuple[Process, Channel]:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with there:
            line = [
                *(os.path.realpath(sys.executable), "-I", "-S", "-B", "-c", _start_code()),
                str(there.fileno()),
                str(spec.workspace.layers[0]),
            ]
            process = self._spawner.start(
                Program(
                    line=line,
                    descriptors=(there.fileno(),),
                    keep_output=spec.limits.output_bytes,
                    environment={
                        "PATH": search_path(),
                        "HOME": "/tmp",  # noqa: S108  # never the user's
                        "LANG": "C.UTF-8",
                    },
                )
            )
        return process, Channel(here, quota=spec.limits.channel_bytes)

    def start_program(self, spec: CellSpec) -> ProgramCell:
        """Refuse: a foreign program never runs without a wall.

        Raises:
            IsolationUnavailableError: Always.
        """
        raise IsolationUnavailableError(
            problem=f"the program {spec.command[0]!r} cannot run without a wall",
            fix="leave out --isolation off-unsafe",
        )

    def start_server(self, spec: CellSpec, order: ServerOrder) -> ServerCell:
        """Refuse: a foreign program never runs without a wall.

        Raises:
            IsolationUnavailableError: Always.
        """
        del spec
        raise IsolationUnavailableError(
            problem=f"the MCP server {order.command[0]!r} cannot run without a wall",
            fix="leave out --isolation off-unsafe",
        )

    def warm(self, spec: CellSpec) -> WarmCell:
        """Refuse: there is no stack to start in advance, and no subplan that waits for one.

        Raises:
            IsolationUnavailableError: Always.
        """
        del spec
        raise IsolationUnavailableError(
            problem="a subplan never runs without the wall", fix="leave out --isolation off-unsafe"
        )

    def close(self) -> None:
        """Stop the watch; guests in use stay their plans'."""
        self._watch.close()


def _start_code() -> str:
    site = str(Path(cleveragents.boundary.__file__).parent.parent.parent)
    return (
        f"import sys;sys.path.insert(0,{site!r});sys.path.append({user_packages()!r});"
        "from cleveragents.guest.entry import main_unconfined;main_unconfined()"
    )
