"""Runs a program actor's command beside the tools that the host runs for it.

The program is a child with its own channel. The guest stays, answers the
host's tool calls over the same mounts, and ends with the program's exit code.
"""

from __future__ import annotations

import os
import sys

from cleveragents.guest import confine, entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from cleveragents.guest.tool_main import Guest

_PR_SET_DUMPABLE: Final = 4
_NOT_STARTED: Final = 127
_SIGNALLED: Final = 128
_GUEST: Final = "/guest"


def main() -> None:
    """Enter the wall, start the program, serve tools until it ends."""
    start = confine.Start(sys.argv[1:])
    entry.enter(start)
    # Dear: only after the hello.
    from cleveragents.guest import sweep, tool_main  # noqa: PLC0415

    sweep.become_reaper()
    _hide_memory()
    tools, own = start.channels
    os.chdir(tool_main.WORKSPACE)
    root = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    os.set_inheritable(tools, False)  # noqa: FBT003  # positional only
    before: set[int] = set()
    program = 0

    def end_processes() -> None:
        sweep.end_new(before, keep=program)

    guest = tool_main.Guest(channel=tools, root=root, end_processes=end_processes)
    # INVARIANT: foreign code starts after the host has judged the wall; it then configures.
    if not guest.serve_one():
        sys.exit(_NOT_STARTED)
    # Single-threaded, and started by us alone.
    program = os.fork()  # noqa: TID251
    if program == 0:
        os.close(tools)
        become(start.command, channel=own)
    os.close(own)
    code = serve_beside(program, tools, guest, before_call=lambda: _note(before))
    sweep.end_namespace()
    sys.exit(code)


def become(command: tuple[str, ...], *, channel: int) -> None:
    """Turn this process into the program; never returns."""
    os.setsid()
    os.set_inheritable(channel, True)  # noqa: FBT003  # positional only
    # The client for Python programs lies there; nothing else of the guest's is of use.
    environment = {**os.environ, "PYTHONPATH": _GUEST}
    try:
        # No shell in between: the operator's command, as a list.
        os.execvpe(command[0], command, environment)  # noqa: S606
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    os._exit(_NOT_STARTED)


def serve_beside(program: int, tools: int, guest: Guest, *, before_call: Callable[[], None]) -> int:
    """Serve the host until the program ends, and give its exit code.

    Args:
        program: The program's process.
        tools: The descriptor of the tools' channel.
        guest: Answers on it.
        before_call: Called before each request.
    """
    import select  # noqa: PLC0415  # only after the hello

    ended = os.pidfd_open(program)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(tools, select.POLLIN)
    try:
        while True:
            # A second message may have come with the first one.
            ready = {tools} if guest.has_more else {descriptor for descriptor, _ in poll.poll()}
            if tools in ready:
                before_call()
                if not guest.serve_one():
                    return _NOT_STARTED
            elif ended in ready:
                break
    finally:
        os.close(ended)
    _, status = os.waitpid(program, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _SIGNALLED - code


def _note(before: set[int]) -> None:
    from cleveragents.boundary.process_tree import descendants  # noqa: PLC0415  # as in main

    before.clear()
    before.update(descendants(os.getpid()))


def _hide_memory() -> None:
    """Keep the program, which has the same uid, out of this process's memory."""
    import ctypes  # noqa: PLC0415  # loaded already, by Landlock

    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
