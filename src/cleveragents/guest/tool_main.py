"""Runs tool bodies inside the cell: one request, one answer, nothing left behind.

The only place that loads tool bodies. They are imported at their first call,
or before, for as long as the host has nothing to ask: a pre-warmed cell has
them all.
"""

from __future__ import annotations

import os
import select
import sys
from functools import cache

from cleveragents.boundary.frame import FrameError, FrameReader
from cleveragents.errors import ToolFailedError
from cleveragents.guest import confine, sweep, tool_wire
from cleveragents.guest.tool_wire import WireError

# No typing: it is what a cold cell would wait for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

    from cleveragents.tools.body.change import Prepared

    Body = Callable[[int, Mapping[str, object]], dict[str, object]]
    Preparer = Callable[[int, Mapping[str, object]], Prepared]

WORKSPACE: Final = "/workspace"
ALWAYS: Final = frozenset({"digest_files"})
"""What the host itself asks, whatever the plan may use."""
_STARTERS: Final = frozenset({"run_command"})
"""Built-in bodies that start processes; every own tool may."""
_QUOTA: Final = 1 << 62
"""The host is the trusted side."""
_EXIT_WIRE: Final = 70
_FAILURES: Final = (ToolFailedError, OSError, MemoryError, RecursionError)
_BUGS: Final = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError)


def serve(channel: int, workspace: str, end_processes: Callable[[], None]) -> None:
    """Answer the host until it closes the channel, then leave nothing running.

    Args:
        channel: The descriptor of the channel.
        workspace: The directory that every path is relative to.
        end_processes: Ends every process that a body left behind.
    """
    sweep.become_reaper()
    # INVARIANT: commands never inherit the channel.
    os.set_inheritable(channel, False)  # noqa: FBT003  # positional only
    os.chdir(workspace)
    root = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    preload(channel)
    try:
        Guest(channel=channel, root=root, end_processes=end_processes).serve()
    except (WireError, FrameError, OSError) as error:
        sys.stderr.write(f"the channel is at its end: {error}\n")
        sys.exit(_EXIT_WIRE)
    finally:
        os.close(root)
        end_processes()


def preload(channel: int) -> None:
    """Import bodies for as long as the host has nothing to ask."""
    for table in (_file_bodies, _search_bodies, _command_bodies):
        if select.select([channel], [], [], 0)[0]:
            return
        table()


class Guest:
    """Answers the host's requests, in their order.

    Args:
        channel: The descriptor of the channel.
        root: A descriptor of the workspace.
        end_processes: Ends every process that a body left behind.
    """

    def __init__(self, *, channel: int, root: int, end_processes: Callable[[], None]) -> None:
        self._channel = channel
        self._root = root
        self._end_processes = end_processes
        self._reader = FrameReader(lambda size: os.read(channel, size), quota=_QUOTA)
        self._tools: frozenset[str] = frozenset()
        self._own: dict[str, tuple[str, str]] = {}
        self._own_functions: dict[str, Callable[..., object]] = {}
        self._prepared: Prepared | None = None
        self._last_seq = 0
        self._is_configured = False

    def serve(self) -> None:
        """Answer until the host closes the channel.

        Raises:
            WireError: The host sent what is no message, or out of order.
            FrameError: Its framing is broken.
            OSError: The channel broke.
        """
        while self.serve_one():
            pass

    @property
    def has_more(self) -> bool:
        """Say whether bytes of a further message have been read already."""
        return self._reader.has_more

    def serve_one(self) -> bool:
        """Take one message; False when the host has closed the channel.

        Raises:
            WireError: As ``serve``.
            FrameError: As ``serve``.
            OSError: As ``serve``.
        """
        payload = self._reader.next()
        if payload is None:
            return False
        message = tool_wire.decode(payload)
        if self._is_configured:
            self.handle(message)
        else:
            self.configure(message)
        return True

    def configure(self, message: Mapping[str, object]) -> None:
        """Learn which tools may run.

        Raises:
            WireError: It is another message.
        """
        tools, own = message.get("tools"), message.get("own")
        if not isinstance(tools, list) or not isinstance(own, list):
            raise WireError("the first message is not the configuration")
        self._is_configured = True
        self._tools = frozenset(tools) | ALWAYS
        self._own = {tool["name"]: (tool["path"], tool["digest"]) for tool in own}

    def handle(self, message: Mapping[str, object]) -> None:
        """Answer one request.

        Raises:
            WireError: It is out of order, or a second configuration.
            OSError: The host is gone.
        """
        seq = message.get("seq")
        if not isinstance(seq, int) or seq != self._last_seq + 1:
            raise WireError("a message is missing, repeated or out of order")
        self._last_seq = seq
        confine.write_all(self._channel, self._answer(seq, message))

    def _answer(self, seq: int, message: Mapping[str, object]) -> bytes:
        try:
            return self._perform(seq, message)
        except _FAILURES as error:
            return tool_wire.failure(seq, *_explained(error))
        # A body of ours that breaks fails its call and not the plan's cell.
        except _BUGS as error:
            return tool_wire.failure(seq, "broken", f"{type(error).__name__}: {error}")

    def _perform(self, seq: int, message: Mapping[str, object]) -> bytes:
        kind = message["type"]
        if kind == "commit":
            return tool_wire.answer("reply", seq, value=self._commit())
        if kind == "abandon":
            self._prepared = None
            return tool_wire.answer("reply", seq, value={})
        tool, arguments = self._admitted(message)
        if message["phase"] == "run":
            return tool_wire.answer("reply", seq, value=self._run(tool, arguments))
        self._prepared = prepared = _preparer(tool)(self._root, arguments)
        return tool_wire.answer(
            "prepared", seq, before=dict(prepared.before), after=dict(prepared.after)
        )

    def _commit(self) -> Mapping[str, object]:
        prepared, self._prepared = self._prepared, None
        if prepared is None:
            msg = "nothing is prepared"
            raise ValueError(msg)
        return prepared.commit()

    def _run(self, tool: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        is_own = tool in self._own
        try:
            if is_own:
                return {"value": self._call_own(tool, arguments)}
            return _body(tool)(self._root, arguments)
        finally:
            if is_own or tool in _STARTERS:
                self._end_processes()

    def _admitted(self, message: Mapping[str, object]) -> tuple[str, dict[str, object]]:
        tool, arguments = message["tool"], message["arguments"]
        if not isinstance(tool, str) or not isinstance(arguments, dict):
            msg = "no call"
            raise TypeError(msg)
        if tool not in self._tools and tool not in self._own:
            msg = f"this cell does not run {tool!r}"
            raise ValueError(msg)
        return tool, arguments

    def _call_own(self, tool: str, arguments: Mapping[str, object]) -> object:
        # Dear: only where there are own tools.
        from cleveragents.guest import own_call  # noqa: PLC0415

        function = self._own_functions.get(tool)
        if function is None:
            path, digest = self._own[tool]
            function = self._own_functions[tool] = own_call.load(tool, path, digest=digest)
        return own_call.call_in_child(tool, function, arguments, channel=self._channel)


def _explained(error: ToolFailedError | OSError | MemoryError | RecursionError) -> tuple[str, str]:
    match error:
        case ToolFailedError():
            return "failed", error.reason
        case OSError():
            return "system", error.strerror or str(error)
        case MemoryError():
            return "memory", "it needs more memory than the cell may use"
        case RecursionError():
            return "memory", "its arguments or its result nest too deeply"


@cache
def _body(tool: str) -> Body:
    for table in (_file_bodies, _search_bodies, _command_bodies):
        found = table().get(tool)
        if found is not None:
            return found
    msg = f"there is no body of {tool!r}"
    raise ValueError(msg)


def _preparer(tool: str) -> Preparer:
    # Dear: imported at the first use, or while nothing is asked.
    from cleveragents.tools.body import file  # noqa: PLC0415

    found = file.PREPARED.get(tool)
    if found is None:
        msg = f"{tool!r} does not work in two steps"
        raise ValueError(msg)
    return found


def _file_bodies() -> Mapping[str, Body]:
    # As above.
    from cleveragents.tools.body import file  # noqa: PLC0415

    return file.IMMEDIATE


def _search_bodies() -> Mapping[str, Body]:
    # As above.
    from cleveragents.tools.body import search  # noqa: PLC0415

    return search.IMMEDIATE


def _command_bodies() -> Mapping[str, Body]:
    # As above.
    from cleveragents.tools.body import command  # noqa: PLC0415

    return command.IMMEDIATE
