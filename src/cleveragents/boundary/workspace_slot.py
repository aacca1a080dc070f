"""What is a slot: the workspace of one plan, as it lies on disk?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from cleveragents.boundary.cell_spec import WorkspaceMount
from cleveragents.boundary.tree_copy import is_empty
from cleveragents.errors import RecordError

_STATE: Final = "slot.json"
SlotKind = Literal["overlay", "copy"]


@dataclass(frozen=True, slots=True)
class Slot:
    """The workspace of one plan."""

    plan_id: str
    root: Path
    kind: SlotKind
    tree: str
    """The base tree that its changes are told against."""
    base: tuple[Path, ...]
    """What it started from, the topmost first: its parent's layers, then a base tree."""
    layers: tuple[str, ...] = ()
    """Names of its own frozen layers, the topmost first."""
    parent: str = ""
    """The plan whose workspace it was forked from; empty: none."""

    @property
    def upper(self) -> Path:
        """Where an overlay's cell writes."""
        return self.root / "upper"

    @property
    def work(self) -> Path:
        """The overlay's own directory."""
        return self.root / "work"

    @property
    def copy(self) -> Path:
        """The private copy, where there is no overlay."""
        return self.root / "tree"

    @property
    def writable(self) -> Path:
        """What the cell changes."""
        return self.upper if self.kind == "overlay" else self.copy

    @property
    def lower(self) -> tuple[Path, ...]:
        """Everything below ``upper``, the topmost first; nothing for a private copy."""
        if self.kind == "copy":
            return ()
        return (*(self.layer(name) for name in self.layers), *self.base)

    def layer(self, name: str) -> Path:
        """Where a frozen layer lies."""
        return self.root / "layer" / name

    def mount(self, *, read_only: bool = False) -> WorkspaceMount:
        """Give the mounts that show it to a cell.

        Args:
            read_only: For a plan that may not write; its workspace's changes so far still show.
        """
        if self.kind == "copy":
            return WorkspaceMount(kind="read_only" if read_only else "copy", tree=self.copy)
        if read_only:
            stack = self.lower if is_empty(self.upper) else (self.upper, *self.lower)
            if len(stack) == 1:
                return WorkspaceMount(kind="read_only", tree=stack[0])
            return WorkspaceMount(kind="read_only", lower=stack)
        return WorkspaceMount(kind="overlay", lower=self.lower, upper=self.upper, work=self.work)


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    plan_id: str
    kind: SlotKind
    tree: str
    base: list[str]
    layers: list[str]
    parent: str = ""


def save_slot(slot: Slot) -> None:
    """Write down what a slot is, all or nothing.

    Raises:
        OSError: The disk is full.
    """
    base = [str(one) for one in slot.base]
    stored = _Stored(slot.plan_id, slot.kind, slot.tree, base, list(slot.layers), slot.parent)
    temporary = slot.root / f"{_STATE}.new"
    with temporary.open("wb") as out:
        out.write(msgspec.json.encode(stored))
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(slot.root / _STATE)


def load_slot(root: Path) -> Slot | None:
    """Read what a slot is; ``None`` when there is none.

    Raises:
        RecordError: It is damaged.
    """
    try:
        stored = msgspec.json.decode((root / _STATE).read_bytes(), type=_Stored)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise RecordError(problem=f"the workspace {root} is damaged") from error
    base = tuple(Path(one) for one in stored.base)
    layers = tuple(stored.layers)
    return Slot(stored.plan_id, root, stored.kind, stored.tree, base, layers, stored.parent)
