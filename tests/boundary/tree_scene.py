"""One tree store with a person's directory, for the tests of trees, collecting and applying."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.boundary.git import Git
from cleveragents.boundary.git_answer import TreeEntry
from cleveragents.boundary.leave_out import LeaveOutRules
from cleveragents.boundary.overlay_layer import make_opaque, put_whiteout
from cleveragents.boundary.tree import TreeStore
from cleveragents.boundary.workspace import Workspaces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.boundary.workspace import Change, Slot
    from cleveragents.terms.proposal import FileMode

Files = dict[str, "bytes | str | None"]
"""Content by path. ``@`` at the end: a link to the text; ``*``: executable; None: a directory."""

LATER_NS = 1 << 61
"""A clock so late that every file is old enough to be believed."""


MODES: dict[str, FileMode] = {"@": "120000", "*": "100755"}


@dataclass
class Scene:
    place: Path
    rules: LeaveOutRules = field(default_factory=LeaveOutRules)

    def __post_init__(self) -> None:
        self.user = self.place / "user"
        self.user.mkdir()
        self.git = Git.open(self.place / "store.git")
        self.store = TreeStore(self.git, self.place / "cell", None, now_ns=lambda: LATER_NS)
        self.workspaces = Workspaces(self.store)

    def tree(self, files: Mapping[str, bytes | str | None]) -> str:
        """Make a tree of files, ignored and secret ones too."""
        entries = []
        for path, content in files.items():
            if content is not None:
                data = content.encode() if isinstance(content, str) else content
                (blob,) = self.git.write_blobs([data])
                entries.append(TreeEntry(path.rstrip("@*"), MODES.get(path[-1], "100644"), blob))
        return self.git.tree_from_entries(entries)

    def slot(self, files: Mapping[str, bytes | str | None], *, overlay: bool = True) -> Slot:
        return self.workspaces.create("plan", self.tree(files), overlay=overlay)

    def collect(self, slot: Slot, write: tuple[str, ...] = (".",)) -> Change:
        return self.workspaces.collect(slot, write_paths=write, rules=self.rules)


def fill(directory: Path, files: Mapping[str, bytes | str | None]) -> None:
    for path, content in files.items():
        is_executable = path.endswith("*")
        target = directory / path.rstrip("@*")
        target.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            target.mkdir(exist_ok=True)
        elif path.endswith("@"):
            target.symlink_to(content if isinstance(content, str) else os.fsdecode(content))
        else:
            target.write_bytes(content.encode() if isinstance(content, str) else content)
            target.chmod(0o755 if is_executable else 0o644)


def whiteout(directory: Path, path: str) -> None:
    target = directory / path
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        put_whiteout(descriptor, target.name)
    finally:
        os.close(descriptor)


def opaque(directory: Path, path: str) -> None:
    target = directory / path
    target.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        make_opaque(descriptor, target.name)
    finally:
        os.close(descriptor)


def shown(directory: Path) -> dict[str, tuple[str, bytes]]:
    """Everything below a directory: kind with permission bits, and content."""
    found = {}
    for root, directories, files in os.walk(directory):
        for name in [*directories, *files]:
            full = Path(root) / name
            content = b""
            if full.is_symlink():
                content = os.fsencode(full.readlink())
            elif full.is_file():
                content = full.read_bytes()
            found[str(full.relative_to(directory))] = (oct(full.lstat().st_mode), content)
    return found


def listed(scene: Scene, tree: str) -> dict[str, tuple[str, bytes]]:
    entries = scene.git.list_tree(tree)
    blobs = scene.git.read_blobs(entry.blob for entry in entries)
    return {entry.path: (entry.mode, blobs[entry.blob]) for entry in entries}


def passable(place: Path) -> None:
    """Let another user through to a directory of the test's."""
    place.chmod(0o777)
    for above in place.parents:
        facts = above.stat()
        if facts.st_uid == os.geteuid() and not facts.st_mode & 0o001:
            above.chmod(facts.st_mode | 0o011)


def as_nobody() -> None:
    """Be an ordinary user from here on; for a child process."""
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)


def in_child(act: Callable[[], None]) -> int:
    """Run something in a forked process; give what ``waitpid`` says of its end."""
    child = os.fork()
    if child == 0:
        try:
            act()
        # The child is a copy of the test runner and must not go on as one.
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]
