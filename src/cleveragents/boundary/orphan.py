"""Ends what a killed host has left of a cell that was just being started.

bubblewrap's first process inside waits for its parent outside before it asks
to die with it. A host that is killed in that moment leaves it waiting for
ever: it has mounted nothing and runs nothing of ours, but it is there.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC: Final = Path("/proc")
_NAME: Final = b"bwrap"


def sweep(cell_root: Path) -> tuple[int, ...]:
    """End every such process of cells below a directory; give their ids.

    Args:
        cell_root: Names the cells: it stands in each of their command lines.
    """
    ended = []
    for pid in _waiting(os.fsencode(cell_root) + b"/"):
        # By descriptor, and looked at again: the number may be another's by now.
        with suppress(OSError):
            descriptor = os.pidfd_open(pid)
            try:
                if _is_orphan(pid, os.fsencode(cell_root) + b"/"):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                    ended.append(pid)
            finally:
                os.close(descriptor)
    return tuple(ended)


def _waiting(root: bytes) -> Iterator[int]:
    for place in PROC.iterdir():
        if place.name.isdecimal() and _is_orphan(int(place.name), root):
            yield int(place.name)


def _is_orphan(pid: int, root: bytes) -> bool:
    """Say whether a process is the first one of a cell whose outer process is gone."""
    try:
        if _comm(pid) != _NAME or root not in (PROC / str(pid) / "cmdline").read_bytes():
            return False
        status = (PROC / str(pid) / "status").read_bytes()
    except OSError:
        return False
    facts = dict(line.split(b":", 1) for line in status.splitlines() if b":" in line)
    inner = facts.get(b"NSpid", b"").split()
    is_first_inside = len(inner) > 1 and inner[-1] == b"1"
    try:
        # Outside, bubblewrap stays as long as the cell lives.
        return is_first_inside and _comm(int(facts[b"PPid"])) != _NAME
    except OSError:
        return is_first_inside


def _comm(pid: int) -> bytes:
    return (PROC / str(pid) / "comm").read_bytes().strip()
