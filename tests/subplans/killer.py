"""Runs ``agents`` and kills it with SIGKILL at one point of its work.

``KIND.N`` is just after the Nth entry of a kind is on disk, ``entry.N`` after
the Nth of any kind; ``receive.N`` in the middle of writing the Nth merge into
the parent's workspace, ``received.N`` after it; ``freeze.N`` after a layer was
moved away, ``warm.N`` after a cell was started in advance.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from cleveragents.boundary import launcher, slot_writer, workspace
from cleveragents.record import log as record_log

if TYPE_CHECKING:
    from collections.abc import Callable

KIND, _, NUMBER = sys.argv[1].partition(".")
left = int(NUMBER or 1)


def count(what: str) -> None:
    global left  # noqa: PLW0603  # one process, one countdown
    if what == KIND:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def after(owner: Any, name: str, tell: Callable[..., tuple[str, ...]]) -> None:
    original = getattr(owner, name)

    def counted(*arguments: Any, **more: Any) -> Any:
        result = original(*arguments, **more)
        for what in tell(*arguments, **more):
            count(what)
        return result

    setattr(owner, name, counted)


after(record_log.RecordLog, "append", lambda _, entry, **__: (entry.kind, "entry"))
after(slot_writer.SlotWriter, "_put", lambda *_: ("receive",))
after(workspace.Workspaces, "receive", lambda *_: ("received",))
after(workspace.Workspaces, "_next_layer", lambda *_: ("freeze",))
after(launcher.BubblewrapLauncher, "warm", lambda *_: ("warm",))
sys.argv = ["agents", *sys.argv[2:]]

if __name__ == "__main__":
    from cleveragents.cli.main import main

    main()
