"""Who ends a cell that fills the disk?

A bound directory has no quota. A thread measures what each cell has added
and ends the cell past its limit. Per file the kernel keeps the limit itself.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from pathlib import Path

    from cleveragents.boundary.cell_spec import CellSpec

PERIOD_S: Final = 1.0
_BLOCK: Final = 512
_NO_LIMIT: Final = 1 << 62
_MAX_DEPTH: Final = 256


class Watched(Protocol):
    """A cell, a server's too, as the watch sees it."""

    @property
    def spec(self) -> CellSpec:
        """What it was made of."""

    @property
    def alive(self) -> bool:
        """Say whether it still runs."""

    def kill(self, reason: str) -> None:
        """End it."""


class WorkspaceWatch:
    """Looks at every living cell's workspace once a second. Thread-safe."""

    def __init__(self, *, period_s: float = PERIOD_S) -> None:
        self._period_s = period_s
        self._lock = threading.Lock()
        self._cells: list[Watched] = []
        self._bases: WeakKeyDictionary[Watched, int] = WeakKeyDictionary()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def add(self, cell: Watched) -> None:
        """Watch a cell until it is forgotten."""
        if not cell.spec.write:
            return
        with self._lock:
            self._cells.append(cell)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="cell-workspaces", daemon=True
                )
                self._thread.start()

    def forget(self, cell: Watched) -> None:
        """Stop watching a cell."""
        with self._lock, suppress(ValueError):
            self._cells.remove(cell)

    def close(self) -> None:
        """Stop for good."""
        self._closing.set()

    def look(self) -> None:
        """Measure every cell once, and end those past their limit."""
        with self._lock:
            cells = list(self._cells)
        for cell in cells:
            limit = cell.spec.limits.workspace_bytes
            if not cell.alive:
                continue
            base = self._base_of(cell)
            if measure(_grows(cell), enough=base + limit) > base + limit:
                cell.kill(f"its workspace grew past {limit} bytes")

    def _base_of(self, cell: Watched) -> int:
        """Give what a private copy holds from the start; an overlay starts with nothing."""
        if cell.spec.workspace.kind != "copy":
            return 0
        if cell not in self._bases:
            self._bases[cell] = measure(_grows(cell), enough=_NO_LIMIT)
        return self._bases[cell]

    def _run(self) -> None:
        while not self._closing.wait(self._period_s):
            self.look()


def _grows(cell: Watched) -> Path:
    mount = cell.spec.workspace
    grows = mount.upper or mount.tree
    if grows is None:  # cannot be: only cells that may write are watched
        raise ValueError(mount)
    return grows


def measure(directory: Path, *, enough: int) -> int:
    """Add up what lies beneath a directory on the disk, in bytes.

    The cell changes it meanwhile: no link is followed, what vanishes counts
    nothing, and past ``enough`` nobody needs to know more. What lies too deep
    to be counted is past it, for else a cell could hide there what it writes.
    """
    try:
        root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return 0
    return _measure(root, enough, _MAX_DEPTH)


def _measure(descriptor: int, enough: int, depth: int) -> int:
    total = 0
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                with suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
                    if entry.is_dir(follow_symlinks=False):
                        if not depth:
                            return enough + 1
                        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                        below = os.open(entry.name, flags, dir_fd=descriptor)
                        total += _measure(below, enough - total, depth - 1)
                if total > enough:
                    break
    except OSError:
        return total
    finally:
        os.close(descriptor)
    return total
