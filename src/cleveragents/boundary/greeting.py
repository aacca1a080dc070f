"""What is said first, between a host and a cell that was just started?

The guest's hello reports the checks that were made inside; only a whole and
clean report is believed. Then the host says which tools the cell may run.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from cleveragents.boundary import self_check
from cleveragents.boundary.message import PROTOCOL, Configure, Hello, OwnTool
from cleveragents.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from cleveragents.boundary.cell_spec import CellSpec
    from cleveragents.boundary.channel import Channel

CONFIGURE_S: Final = 30.0


def greet(channel: Channel, spec: CellSpec, *, own_tools: tuple[OwnTool, ...]) -> int:
    """Hear a confined guest's hello and, when the wall stands, configure it.

    Returns:
        The Landlock version in force in the cell.

    Raises:
        WallError: A check inside failed, or the hello is not whole.
        ChannelError: It said nothing in time, or ended.
    """
    hello = channel.receive(timeout_s=spec.limits.start_s)
    if not isinstance(hello, Hello) or hello.protocol != PROTOCOL:
        raise WallError("its first message is not the hello of this version")
    problem = judge(hello)
    if problem:
        raise WallError(problem)
    channel.send(Configure(tools=spec.tools, own=own_tools), timeout_s=CONFIGURE_S)
    return hello.landlock


class WallError(Exception):
    """What a hello says is wrong with the wall; never leaves the boundary."""


def judge(hello: Hello) -> str:
    """Say what is wrong with a report; empty when every check was made and held."""
    if set(hello.checks) != set(self_check.NAMES):
        return "its hello does not report every check"
    return "; ".join(f"{name}: {text}" for name, text in hello.checks.items() if text)


def own_tool_paths(spec: CellSpec) -> tuple[Path, ...]:
    """List the files of own tools, each once."""
    return tuple(dict.fromkeys(tool.path for tool in spec.own_tools))


def own_tool_data(spec: CellSpec) -> tuple[bytes, ...]:
    """Read the files of own tools, in the order of ``own_tool_paths``.

    Raises:
        ConfigurationError: One cannot be read, or has changed since it was
            registered.
    """
    digests = {tool.path: tool.digest for tool in spec.own_tools}
    found: list[bytes] = []
    for path in own_tool_paths(spec):
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                problem=f"the tool file {path} cannot be read: {error.strerror}"
            ) from error
        if "sha256:" + hashlib.sha256(data).hexdigest() != digests[path]:
            raise ConfigurationError(
                problem=f"the tool file {path} has changed since the plan started",
                hint="start a new plan",
            )
        found.append(data)
    return tuple(found)
