"""Where does a plan work, and how does its work come out again?

A slot is the workspace of one plan: an overlay over base trees where the
machine can mount one, else a private copy. Nothing here is done while a cell
of the slot lives, except that its size is watched and a checkpoint is taken
between two calls.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.beneath_host import opened
from cleveragents.boundary.checkpoint import restore_checkpoint, take_checkpoint
from cleveragents.boundary.collect import CollectLimits, Collector
from cleveragents.boundary.difference import Difference
from cleveragents.boundary.git import IndexRefusedError
from cleveragents.boundary.held_path import HELD_FILES, held_among
from cleveragents.boundary.layer_merge import merge_layers
from cleveragents.boundary.layout import make_directory, make_passage, remove_directory
from cleveragents.boundary.slot_writer import SlotWriter
from cleveragents.boundary.stat_cache import StatCache
from cleveragents.boundary.tree_copy import copy_tree, is_empty, size_of
from cleveragents.boundary.workspace_change import Change
from cleveragents.boundary.workspace_slot import Slot, SlotKind, load_slot, save_slot
from cleveragents.errors import RecordError
from cleveragents.policy.path_rule import PathRules
from cleveragents.terms.proposal import RefusedPath

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from cleveragents.boundary.leave_out import LeaveOutRules
    from cleveragents.boundary.tree import TreeStore
    from cleveragents.terms.proposal import FileChange

MAX_OWN_LAYERS: Final = 6
"""More frozen layers are merged into one: a mount names each, in at most one page."""
_PLAN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_END_OF_TIME: Final = 1 << 62
_UNFINISHED: Final = ".new-"
"""Begins the name of a workspace that is being made; no plan's id has a dot."""


@contextlib.contextmanager
def _as_record_error(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecordError(problem=f"{what}: {error.strerror or error}") from error


class Workspaces:
    """Every slot beneath one cell root. Slots are independent; one thread at a time each."""

    def __init__(self, store: TreeStore) -> None:
        self._store = store
        self._root = store.cell_root / "slot"

    def create(self, plan_id: str, tree: str, *, overlay: bool) -> Slot:
        """Make a fresh workspace that shows a tree; what an earlier attempt left is removed.

        With overlay its cost does not grow with the tree.

        Raises:
            RecordError: The tree is not stored, or the disk is full.
        """
        place = self._place(plan_id)
        base = self._store.base_tree(tree)
        kind: SlotKind = "overlay" if overlay else "copy"
        return self._make(Slot(plan_id, place, kind, tree, (base,)), base)

    def fork(self, parent: Slot, plan_id: str, tree: str) -> Slot:
        """Make a child's workspace that shows what a frozen parent shows.

        Cost does not grow with the tree: the parent's layers are shared. The
        parent must be kept until the child is destroyed.

        Args:
            parent: Just frozen: nothing is in its ``upper``.
            plan_id: Of the child.
            tree: What ``collect`` of the parent gave; the child's changes are told against it.
        """
        if parent.kind == "copy" or not is_empty(parent.upper):
            return self.create(plan_id, tree, overlay=parent.kind == "overlay")
        place = self._place(plan_id)
        forked = Slot(plan_id, place, "overlay", tree, parent.lower, parent=parent.plan_id)
        return self._make(forked, None)

    def _place(self, plan_id: str) -> Path:
        if not _PLAN_ID.fullmatch(plan_id):
            raise RecordError(problem=f"{plan_id!r} cannot name a workspace")
        return self._root / plan_id

    def _make(self, slot: Slot, base: Path | None) -> Slot:
        owner = self._store.owner
        with _as_record_error(f"cannot make the workspace {slot.root}"):
            self._store.prepare()
            make_passage(self._root, owner)
            remove_directory(slot.root)
            # Whole or not there: a half of one could not say whose it is.
            unfinished = replace(
                slot, root=self._root / f"{_UNFINISHED}{os.getpid()}-{slot.plan_id}"
            )
            remove_directory(unfinished.root)
            make_directory(unfinished.root, mode=0o711, owner=None)
            if slot.kind == "overlay" or base is None:
                for place in (unfinished.upper, unfinished.work):
                    make_directory(place, mode=0o755, owner=owner)
            else:
                self._copy_base(unfinished, base)
            save_slot(unfinished)
            unfinished.root.rename(slot.root)
        return slot

    def _copy_base(self, slot: Slot, base: Path) -> None:
        make_directory(slot.copy, mode=0o755, owner=self._store.owner)
        entries = self._store.listing(slot.tree).entries
        cache = StatCache(slot.root / "stat", now_ns=lambda: _END_OF_TIME)
        latest = 0
        for path, facts in copy_tree(base, slot.copy, owner=self._store.owner):
            cache.remember(path, facts, entries[path].blob)
            latest = max(latest, facts.st_ctime_ns)
        cache.save(slot.tree)
        # INVARIANT: whatever a guest writes is younger than the copy by the file system's own
        # clock; so the cache may trust files as young as these.
        while (slot.root / "stat").stat().st_ctime_ns <= latest:
            (slot.root / "stat").touch()

    def find(self, plan_id: str) -> Slot | None:
        """Give the workspace of a plan that was made before, for a resume.

        Raises:
            RecordError: What describes it is damaged, or its base tree cannot be laid out.
        """
        slot = load_slot(self._place(plan_id))
        if slot is not None:
            self._store.base_tree(slot.base[-1].name)
        return slot

    def freeze(self, slot: Slot) -> Slot:
        """Move what the plan changed so far into a layer that nobody writes again.

        Cost grows with the change at most. Of a private copy nothing can be
        shared; it stays as it is.

        Returns:
            The slot as it is now; the old value must not be used again.
        """
        if slot.kind == "copy" or is_empty(slot.upper):
            return slot
        with _as_record_error(f"cannot freeze the workspace {slot.root}"):
            (slot.root / "layer").mkdir(mode=0o711, exist_ok=True)
            name = self._next_layer(slot)
            slot.upper.rename(slot.layer(name))
            frozen = replace(slot, layers=(name, *slot.layers))
            save_slot(frozen)
            self._fresh_upper(frozen)
            return self._merged(frozen) if len(frozen.layers) > MAX_OWN_LAYERS else frozen

    def _next_layer(self, slot: Slot) -> str:
        numbers = [int(place.name) for place in (slot.root / "layer").iterdir()]
        return f"{max(numbers, default=0) + 1:06d}"

    def _fresh_upper(self, slot: Slot) -> None:
        for place in (slot.upper, slot.work):
            remove_directory(place)
            make_directory(place, mode=0o755, owner=self._store.owner)

    def _merged(self, slot: Slot) -> Slot:
        name = self._next_layer(slot)
        target = slot.layer(name)
        make_directory(target, mode=0o755, owner=self._store.owner)
        merge_layers([slot.layer(one) for one in reversed(slot.layers)], target)
        # The merged ones stay until the slot goes: children may be looking through them.
        merged = replace(slot, layers=(name,))
        save_slot(merged)
        return merged

    def collect(
        self,
        slot: Slot,
        *,
        write_paths: Sequence[str],
        rules: LeaveOutRules,
        held: tuple[str, ...] | None = None,
        limits: CollectLimits | None = None,
    ) -> Change:
        """Say what the plan changed, held against the rules. Its cells have ended.

        Args:
            slot: The workspace.
            write_paths: As a grant says them; a change anywhere else is refused by name.
            rules: What is left out of a tree.
            held: Names that wait for a person; ``None`` for the default list.
            limits: How much may come back.

        Raises:
            RecordError: The layers cannot be read, or the disk is full.
        """
        listing = self._store.listing(slot.tree)
        difference = Difference(listing)
        with _as_record_error(f"cannot collect the workspace {slot.root}"):
            layers = self._add_layers(slot, difference)
            collector = Collector(
                difference=difference,
                layers=layers,
                admits=PathRules.parse(write_paths, with_directories=False).admits,
                rules=rules,
                base_ignores=self._base_ignores(slot.tree),
                limits=limits or CollectLimits(),
            )
            with self._store.git.blob_writer() as writer:
                collected = collector.collect(writer)
        refused = collected.refused
        try:
            tree = self._store.git.update_tree(slot.tree, collected.changes)
        except IndexRefusedError as error:
            tree, refused = slot.tree, (*refused, RefusedPath(".", f"git says: {error}"))
        else:
            self._store.derive_listing(slot.tree, tree, collected.changes)
        waiting = held_among(
            (change.path for change in collected.changes), HELD_FILES if held is None else held
        )
        return Change(slot.tree, tree, collected.changes, refused, waiting, collected.ignored)

    def _add_layers(self, slot: Slot, difference: Difference) -> tuple[Path, ...]:
        if slot.kind == "copy":
            with opened(slot.copy) as root:
                difference.add_copy(root, StatCache.load(slot.root / "stat"))
            return (slot.copy,)
        own = [slot.layer(name) for name in reversed(slot.layers)]
        layers = (*own, slot.upper)
        for number, layer in enumerate(layers):
            with opened(layer) as root:
                difference.add_layer(number, root)
        return layers

    def _base_ignores(self, tree: str) -> Callable[[str], str | None]:
        texts: dict[str, str] = {}
        is_read = False

        def read(directory: str) -> str | None:
            nonlocal is_read
            if not is_read:
                texts.update(self._store.ignore_texts(tree))
                is_read = True
            return texts.get(directory)

        return read

    def receive(self, slot: Slot, changes: Iterable[FileChange]) -> None:
        """Write merged changes of a child into its parent's workspace. Its cells have ended.

        Raises:
            MergeRefusedError: A path may not come back, or something is in its way.
            RecordError: The disk is full.
        """
        writer = SlotWriter(self._store.git, slot.writable, slot.lower, self._store.owner)
        with _as_record_error(f"cannot write into the workspace {slot.root}"):
            writer.receive(slot.plan_id, changes)

    def checkpoint(self, slot: Slot, call_id: str) -> None:
        """Keep what the plan changed so far; the checkpoint before is given up.

        Raises:
            RecordError: The disk is full.
        """
        with _as_record_error(f"cannot take a checkpoint of {slot.root}"):
            take_checkpoint(slot, call_id, self._store.owner)

    def restore(self, slot: Slot, call_id: str) -> Slot | None:
        """Bring a workspace back to a checkpoint. Its cells have ended.

        Returns:
            The slot as it is now, or ``None`` when there is no such checkpoint.

        Raises:
            RecordError: The disk is full.
        """
        with _as_record_error(f"cannot restore the workspace {slot.root}"):
            return restore_checkpoint(slot, call_id, self._store.owner)

    def size(self, slot: Slot) -> int:
        """Say how many bytes of disk the plan's changes take; may be asked while a cell lives."""
        return size_of(slot.writable)

    def destroy(self, slot: Slot) -> None:
        """Remove a workspace. Its cells have ended, and so have its children's.

        Raises:
            RecordError: Something of it cannot be removed.
        """
        with _as_record_error(f"cannot remove the workspace {slot.root}"):
            remove_directory(slot.root)

    def remove_orphans(self, known: Collection[str]) -> None:
        """Remove workspaces that were forked from a known plan's for one that is not known.

        Whoever made them was killed before that plan was recorded. Halves go too.

        Raises:
            RecordError: One cannot be removed, or what describes it is damaged.
        """
        for name in self.all():
            slot = None if name in known else load_slot(self._place(name))
            if slot is not None and slot.parent in known:
                self.destroy(slot)
        with _as_record_error(f"cannot clean up {self._root}"):
            for half in self._root.glob(f"{_UNFINISHED}*"):
                if not Path(f"/proc/{half.name.split('-')[1]}").exists():
                    remove_directory(half)

    def all(self) -> tuple[str, ...]:
        """Give the plan ids of every workspace on disk, for a clean-up."""
        try:
            names = sorted(place.name for place in self._root.iterdir())
        except FileNotFoundError:
            return ()
        return tuple(name for name in names if not name.startswith(_UNFINISHED))


__all__ = ["Change", "CollectLimits", "Slot", "Workspaces"]
