"""What does a plan start from: the snapshot of a directory, and its base tree on disk?"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.beneath_host import opened
from cleveragents.boundary.git_answer import LINK
from cleveragents.boundary.ignore_pattern import MAX_IGNORE_BYTES
from cleveragents.boundary.layout import (
    CELL_ROOT_FIX,
    Owner,
    lay_out,
    make_cell_root,
    make_directory,
    make_passage,
    remove_directory,
)
from cleveragents.boundary.leave_out import IGNORE_FILE
from cleveragents.boundary.listing import Listing, files_by_path
from cleveragents.boundary.snapshot import DirectoryReader, LeftOut
from cleveragents.boundary.stat_cache import StatCache
from cleveragents.errors import ConfigurationError, RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from cleveragents.boundary.git import Git
    from cleveragents.boundary.leave_out import LeaveOutRules
    from cleveragents.terms.proposal import FileChange

_LISTINGS_KEPT: Final = 8
_CANDIDATES: Final = 4
"""How many of the latest base trees are compared to find the nearest."""
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A directory as it was read."""

    tree: str
    files: int
    left_out: tuple[LeftOut, ...]


class TreeStore:
    """Trees in one private repository, and their layouts beneath the cell root."""

    def __init__(
        self,
        git: Git,
        cell_root: Path,
        owner: Owner | None,
        *,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.git = git
        self.cell_root = cell_root
        self.owner = owner
        self._now_ns = now_ns
        self._base = cell_root / "base"
        self._caches = git.objects.parent / "stat"
        self._lock = threading.RLock()
        self._listings: OrderedDict[str, Listing] = OrderedDict()

    def prepare(self) -> None:
        """Make the directories on the way to a base tree.

        Raises:
            RecordError: They cannot be made, or others can write the cell root.
        """
        try:
            problem = make_cell_root(self.cell_root)
            if problem:
                raise RecordError(problem=problem, hint=CELL_ROOT_FIX)
            make_passage(self._base, self.owner)
        except OSError as error:
            raise RecordError(problem=f"cannot make {self._base}: {error.strerror}") from error

    def snapshot(self, directory: Path, rules: LeaveOutRules) -> Snapshot:
        """Read a directory into a tree.

        A second reading costs a walk: only what changed is read again.

        Args:
            directory: Of the person; only its last component may be a link.
            rules: What is left out.

        Raises:
            ConfigurationError: It is no directory, or cannot be listed.
            RecordError: The store cannot be written, or files changed while they were read.
        """
        real = Path(os.path.realpath(directory))
        try:
            root = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigurationError(
                problem=f"cannot read the directory: {error.strerror}", where=str(directory)
            ) from error
        try:
            cache = StatCache.load(self._cache_place(real, rules), now_ns=self._now_ns)
            try:
                return self._read(root, rules, cache)
            except RecordError:
                # The store lost objects that the cache still names: read everything again.
                cache.files.clear()
                cache.fresh.clear()
                return self._read(root, rules, cache)
        except OSError as error:
            raise RecordError(
                problem=f"cannot take a snapshot of {directory}: {error.strerror or error}"
            ) from error
        finally:
            os.close(root)

    def _cache_place(self, directory: Path, rules: LeaveOutRules) -> Path:
        key = repr((str(directory), rules)).encode("utf-8", "surrogateescape")
        return self._caches / hashlib.sha256(key).hexdigest()

    def _read(self, root: int, rules: LeaveOutRules, cache: StatCache) -> Snapshot:
        with self.git.blob_writer() as writer:
            reader = DirectoryReader(rules, cache, writer)
            reader.read(root)
        marks = hashlib.sha256()
        for entry in reader.entries:
            marks.update(f"{entry.mode}{entry.blob}{entry.path}\0".encode())
        mark, _, tree = cache.tree.partition(" ")
        if mark != marks.hexdigest() or not self.git.has_tree(tree):
            tree = self.git.tree_from_entries(reader.entries)
        cache.save(f"{marks.hexdigest()} {tree}")
        return Snapshot(tree, len(reader.entries), tuple(reader.left_out))

    def listing(self, tree: str) -> Listing:
        """Give every file of a tree, read when it is looked at; the last few are remembered."""
        with self._lock:
            found = self._listings.get(tree)
            if found is not None:
                self._listings.move_to_end(tree)
                return found
        # Most children start from a tree that their parent did not change: nobody looks at it.
        return self._remember(tree, Listing(lambda: files_by_path(self.git.list_tree(tree))))

    def derive_listing(self, base: str, tree: str, changes: Iterable[FileChange]) -> None:
        """Remember the listing of a tree that a change was just made into."""
        with self._lock:
            known = self._listings.get(base)
            if known is None or tree in self._listings:
                return
        self._remember(tree, known.changed(changes))

    def _remember(self, tree: str, listing: Listing) -> Listing:
        with self._lock:
            self._listings[tree] = listing
            while len(self._listings) > _LISTINGS_KEPT:
                self._listings.popitem(last=False)
        return listing

    def ignore_texts(self, tree: str) -> dict[str, str]:
        """Give the text of every ignore file of a tree, by its directory."""
        entries = self.listing(tree).entries
        blobs = {
            path.removesuffix(IGNORE_FILE): entry.blob
            for path, entry in entries.items()
            if path.rpartition("/")[2] == IGNORE_FILE and entry.mode != LINK
        }
        texts = self.git.read_blobs(blobs.values())
        return {
            directory: texts[blob][:MAX_IGNORE_BYTES].decode("utf-8", "surrogateescape")
            for directory, blob in blobs.items()
        }

    def base_tree(self, tree: str) -> Path:
        """Give the directory that holds a tree's files, laid out when it is asked for first.

        Nobody writes to it, ever: it is the lower layer of workspaces, and
        later base trees share its files.

        Raises:
            RecordError: The tree is not stored, or the disk is full.
        """
        place = self._base / tree
        if self._is_sound(tree):
            return place
        with self._lock:
            if not self._is_sound(tree):
                try:
                    self._lay_out(tree, place)
                except OSError as error:
                    raise RecordError(
                        problem=f"cannot lay out a base tree in {self._base}: {error.strerror}"
                    ) from error
        return place

    def _is_sound(self, tree: str) -> bool:
        # After a power cut files may be empty that were never synced, so a layout counts for
        # one boot only: cheaper than syncing each of thousands of files that a cache holds.
        with contextlib.suppress(OSError):
            return (
                self._mark(tree).read_text(encoding="ascii") == _boot()
                and (self._base / tree).is_dir()
            )
        return False

    def _mark(self, tree: str) -> Path:
        return self._base / f"{tree}.boot"

    def _lay_out(self, tree: str, place: Path) -> None:
        self.prepare()
        listing = self.listing(tree)
        temporary = self._base / f".new-{os.getpid()}-{os.urandom(6).hex()}"
        make_directory(temporary, mode=0o755, owner=self.owner)
        try:
            earlier = self._nearest(tree)
            lay_out(
                self.git,
                listing.entries.values(),
                temporary,
                owner=self.owner,
                earlier=self._base / earlier if earlier else None,
                shared=self.listing(earlier).entries if earlier else None,
            )
            if place.exists():
                stale = self._base / f".old-{os.getpid()}-{os.urandom(6).hex()}"
                place.rename(stale)
                remove_directory(stale)
            # Another process may have been quicker; its tree is the same.
            with contextlib.suppress(OSError):
                temporary.rename(place)
            self._mark(tree).write_text(_boot(), encoding="ascii")
        finally:
            remove_directory(temporary)

    def _nearest(self, tree: str) -> str:
        """Choose the latest base tree with the fewest files that differ; empty for none."""
        marks = []
        for mark in self._base.glob("*.boot"):
            with contextlib.suppress(OSError):
                marks.append((mark.stat().st_mtime_ns, mark.stem))
        best, fewest = "", len(self.listing(tree).paths)
        for _, other in sorted(marks, reverse=True)[:_CANDIDATES]:
            if self._is_sound(other) and self.git.has_tree(other):
                differing = len(self.git.raw_changes(other, tree))
                if differing < fewest:
                    best, fewest = other, differing
        return best

    def prune(self, keep: Collection[str]) -> int:
        """Remove the base trees that no workspace needs, and what killed processes left.

        Only while no cell lives that starts from one of them.

        Returns:
            How many were removed.
        """
        removed = 0
        if not self._base.exists():
            return removed
        with self._lock, opened(self._base) as _:
            for place in list(self._base.iterdir()):
                is_leftover = place.name.startswith((".new-", ".old-")) and not _is_alive(place)
                is_tree = place.is_dir() and not place.name.startswith(".")
                if is_leftover or (is_tree and place.name not in keep):
                    self._mark(place.name).unlink(missing_ok=True)
                    remove_directory(place)
                    removed += 1
        return removed


def _boot() -> str:
    return _BOOT_ID.read_text(encoding="ascii").strip()


def _is_alive(leftover: Path) -> bool:
    return Path(f"/proc/{leftover.name.split('-')[1]}").exists()
