"""Workspaces that do not grow with the tree, and merges beside git's own.

Every figure is a ratio of two things done in the same run, interleaved, so
that it holds on a busy machine: a workspace over 50,000 files to one over
5,000, and the merge of two proposals, from the two changes to the merged tree
written into the parent's workspace, to one bare ``git merge-tree
--write-tree`` of the same trees.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.boundary.git import Git
from cleveragents.boundary.git_answer import TreeEntry
from cleveragents.boundary.leave_out import LeaveOutRules
from cleveragents.boundary.tree import TreeStore
from cleveragents.boundary.workspace import Workspaces
from cleveragents.terms.proposal import FileChange

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL, LARGE = 5_000, 50_000
ROUNDS = 15


class _House:
    """A tree of many files, laid out, with two changes of it by two children."""

    def __init__(self, directory: Path, files: int) -> None:
        self.git = Git.open(directory / "store.git")
        self.store = TreeStore(self.git, directory / "cell", None)
        self.workspaces = Workspaces(self.store)
        blobs = self.git.write_blobs(f"line {at}\n".encode() * 40 for at in range(files))
        self.tree = self.git.tree_from_entries(
            TreeEntry(f"d{at // 500}/e{at % 500 // 10}/f{at}.py", "100644", blob)
            for at, blob in enumerate(blobs)
        )
        self.store.base_tree(self.tree)
        self.proposals = tuple(self._proposal(first) for first in (0, 100))
        self.number = 0

    def _proposal(self, first: int) -> str:
        changes = []
        for at in range(first, first + 100, 10):
            (blob,) = self.git.write_blobs([f"changed {at}\n".encode()])
            path = f"d{at // 500}/e{at % 500 // 10}/f{at}.py"
            changes.append(FileChange(path, "modified", "100644", blob))
        return self.git.update_tree(self.tree, changes)

    def create(self) -> None:
        self.number += 1
        self.workspaces.create(f"plan-{self.number}", self.tree, overlay=True)

    def spawn(self) -> None:
        """A parent that changed a file, and a child that starts from it."""
        self.number += 1
        parent = self.workspaces.create(f"parent-{self.number}", self.tree, overlay=True)
        (parent.upper / "new").write_text(f"{self.number}")
        change = self.workspaces.collect(parent, write_paths=["."], rules=LeaveOutRules())
        parent = self.workspaces.freeze(parent)
        self.workspaces.fork(parent, f"child-{self.number}", change.tree)

    def merge(self) -> None:
        """Both proposals, one on the result of the other."""
        result = self.tree
        for proposal in self.proposals:
            result = self.git.merge(self.tree, result, proposal).tree

    def receive(self) -> None:
        self.number += 1
        slot = self.workspaces.create(f"merge-{self.number}", self.tree, overlay=True)
        self.merge()
        self.workspaces.receive(slot, self.git.changes(self.tree, self.proposals[0]))


def _ratio(one: Callable[[], object], other: Callable[[], object]) -> float:
    """Time of ``one`` to that of ``other``: medians of interleaved rounds."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for act, taken in ((one, times[0]), (other, times[1])):
            began = time.perf_counter()
            act()
            taken.append(time.perf_counter() - began)
    return statistics.median(times[0]) / statistics.median(times[1])


class WorkspaceRatios:
    """Floors and goals: issues 2 and 3, the tables of numbers."""

    timeout = 600.0
    unit = "ratio"

    def setup(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="workspace-bench-"))
        self.small = _House(self._directory / "small", SMALL)
        self.large = _House(self._directory / "large", LARGE)
        for house in (self.small, self.large):
            house.create()
            house.spawn()

    def teardown(self) -> None:
        shutil.rmtree(self._directory)

    def track_create_50000_to_5000(self) -> float:
        """Goal: at most 1.5."""
        return _ratio(self.large.create, self.small.create)

    def track_spawn_50000_to_5000(self) -> float:
        """Goal: at most 1.5, the parent's own change collected and its child's base made."""
        return _ratio(self.large.spawn, self.small.spawn)

    def track_merge_of_two_to_bare_merge_tree(self) -> float:
        """Goal: at most 2, over 5,000 files."""
        house = self.small
        bare = self._bare(house)
        return _ratio(house.merge, bare)

    def track_merge_and_receive_to_bare_merge_tree(self) -> float:
        """For the record: with a workspace made and the result written into it."""
        house = self.small
        return _ratio(house.receive, self._bare(house))

    @staticmethod
    def _bare(house: _House) -> Callable[[], object]:
        base = house.git._commit(house.tree)
        sides = [house.git._commit(one, base) for one in house.proposals]
        command = ["git", "--git-dir", str(house.git.git_dir), "merge-tree", "--write-tree", *sides]
        return lambda: subprocess.run(command, check=True, capture_output=True)
