"""Which processes are below another one, as ``/proc`` shows them now?"""

from __future__ import annotations

import os


def descendants(root: int) -> list[int]:
    """List the processes below one, as ``/proc`` shows them now."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  # names, not paths
        if name.isdigit() and (parent := parent_of(name)):
            parents.setdefault(parent, []).append(int(name))
    found: list[int] = []
    open_ends = [root]
    while open_ends:
        children = parents.get(open_ends.pop(), [])
        found += children
        open_ends += children
    return found


def parent_of(pid: int | str) -> int:
    """Give the parent's number; 0 when the process is gone or hidden."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            # The name in brackets may hold anything, brackets and spaces too.
            return int(file.read().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
