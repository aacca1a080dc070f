"""What is said of the wall: to a plan's record, to its status, to ``agents doctor``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the wall, for people."""

    name: str
    is_present: bool
    detail: str
    fix: str = ""
    """What to do about it; empty when there is nothing to do."""


@dataclass(frozen=True, slots=True)
class IsolationReport:
    """The wall of this process, found by building it once and looking from inside."""

    tier: str
    """``bwrap`` or ``off-unsafe``."""
    verified: bool
    """Whether a cell was started in the real line and every check in it held."""
    layers: tuple[Layer, ...] = ()
    problems: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()
    """For each problem, what mends it."""
    bubblewrap: str = ""
    """Version; empty when there is none."""
    overlay: bool = False
    """Whether workspaces can be overlays; shown by a trial at the real place."""
