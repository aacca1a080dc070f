"""How is every process ended that a call left behind?

The guest makes itself the reaper of its orphans, so whatever a body started
is below it. In a cell of its own one signal to "all but me and process 1"
ends even a fork bomb: the kernel sends it to every process at once. Where
there is no pid namespace that call would end the host's processes; there the
guest's descendants are looked up and ended one by one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress

from cleveragents.boundary.process_tree import descendants

# No typing: it is what a cold cell would wait for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36
_PAUSE_S: Final = 0.001
"""Between two looks at processes that are about to be gone."""


def become_reaper() -> None:
    """Have orphaned descendants given to this process instead of to process 1."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_namespace() -> None:
    """End every other process of this pid namespace, and wait until it is so.

    Only where the self-test has seen that nobody but process 1 and this
    process was there: what is there now was started from here.

    Raises:
        RuntimeError: Called where there is no pid namespace of our own.
    """
    if not _is_alone_in_namespace():
        msg = "refusing to signal every process: this pid namespace is not a cell's"
        raise RuntimeError(msg)
    while True:
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            _reap(os.WNOHANG)
            return
        # The kernel has told every one of them: waiting for all cannot last.
        _reap(0)


def end_descendants() -> None:
    """End every descendant of this process, and wait until none is left."""
    while below := descendants(os.getpid()):
        for pid in below:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        # One that was started meanwhile is not killed yet: never wait for it.
        _reap(os.WNOHANG)
        time.sleep(_PAUSE_S)
    _reap(os.WNOHANG)


def end_new(before: set[int], *, keep: int) -> None:
    """End what was started since ``before`` and is not below a process that is kept.

    Beside a running program one signal to all is no choice. What the program
    itself detaches during the call is ended too.
    """
    while True:
        below = set(descendants(os.getpid())) - before - {keep, *descendants(keep)}
        if not below:
            return
        for pid in below:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            # Only what was ended here is collected: the program's end is for others to see.
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(_PAUSE_S)


def _is_alone_in_namespace() -> bool:
    # bubblewrap is process 1 and starts the guest as its only child.
    return os.getpid() < 16 and os.getppid() == 1 and _comm_of_first() == "bwrap"  # noqa: PLR2004


def _comm_of_first() -> str:
    with open("/proc/1/comm", encoding="ascii", errors="replace") as file:  # noqa: PTH123
        return file.read().strip()


def _reap(options: int) -> None:
    """Collect children that have ended; without options, wait for every one."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, options) != (0, 0):
            pass
