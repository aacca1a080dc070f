"""How does a workspace get back to where it was before a call?"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from cleveragents.boundary.layout import make_directory, remove_directory
from cleveragents.boundary.tree_copy import copy_tree
from cleveragents.boundary.workspace_slot import save_slot

if TYPE_CHECKING:
    from pathlib import Path

    from cleveragents.boundary.layout import Owner
    from cleveragents.boundary.workspace_slot import Slot


def _place(slot: Slot, call_id: str) -> Path:
    return slot.root / "checkpoint" / hashlib.sha256(call_id.encode()).hexdigest()[:32]


def take_checkpoint(slot: Slot, call_id: str, owner: Owner | None) -> None:
    """Keep what the plan changed so far; the checkpoint before is given up.

    Raises:
        OSError: The disk is full.
    """
    temporary = slot.root / "checkpoint.new"
    remove_directory(temporary)
    make_directory(temporary, mode=0o700, owner=None)
    _copy(slot.writable, temporary / "content", owner)
    (temporary / "layers").write_bytes(msgspec.json.encode(slot.layers))
    place = _place(slot, call_id)
    remove_directory(place.parent)
    place.parent.mkdir(mode=0o700)
    temporary.rename(place)


def restore_checkpoint(slot: Slot, call_id: str, owner: Owner | None) -> Slot | None:
    """Bring a workspace back; ``None`` when there is no such checkpoint.

    A kill on the way leaves the checkpoint whole, so that it is restored again.

    Raises:
        OSError: The disk is full.
    """
    place = _place(slot, call_id)
    if not place.is_dir():
        return None
    layers = msgspec.json.decode((place / "layers").read_bytes(), type=tuple[str, ...])
    remove_directory(slot.writable)
    _copy(place / "content", slot.writable, owner)
    if slot.kind == "overlay":
        remove_directory(slot.work)
        make_directory(slot.work, mode=0o755, owner=owner)
    restored = replace(slot, layers=layers)
    save_slot(restored)
    return restored


def _copy(source: Path, target: Path, owner: Owner | None) -> None:
    make_directory(target, mode=0o755, owner=owner)
    for _ in copy_tree(source, target, owner=None):
        pass
