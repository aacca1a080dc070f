"""How does a workspace differ from its base tree, before any rule is asked?

Layers are laid over the base tree's list of files from the lowest up, as the
kernel lays them over its files. Nothing is opened.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.git_answer import EXECUTABLE, LINK, REGULAR
from cleveragents.boundary.overlay_layer import Found, LayerWalk

if TYPE_CHECKING:
    import os

    from cleveragents.boundary.listing import Listing
    from cleveragents.boundary.stat_cache import StatCache
    from cleveragents.terms.proposal import FileMode

OWN_REPOSITORY: Final = ".git"
"""A guest may run ``git init`` for itself; that directory is thrown away."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file or link that stands in a layer."""

    layer: int
    kind: str
    facts: os.stat_result

    @property
    def mode(self) -> FileMode:
        """As a tree says it."""
        if self.kind == "link":
            return LINK
        return EXECUTABLE if self.facts.st_mode & stat.S_IXUSR else REGULAR


@dataclass(slots=True)
class Difference:
    """What layers, looked at from the lowest up, make of a base tree."""

    base: Listing
    there: dict[str, Candidate] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    """Paths of the base that do not show any more."""
    refused: dict[str, str] = field(default_factory=dict)
    own_repository: int = 0
    """Entries of a repository that the guest made at the top."""
    _earlier_directories: set[str] = field(default_factory=set)

    def add_layer(self, number: int, root: int) -> None:
        """Lay one layer of an overlay over what is known."""
        for found in LayerWalk(overlay=True).entries(root):
            self._add(number, found)
        for path in self.there:
            directory = path.rpartition("/")[0]
            while directory and directory not in self._earlier_directories:
                self._earlier_directories.add(directory)
                directory = directory.rpartition("/")[0]

    def add_copy(self, root: int, cache: StatCache) -> None:
        """Compare a private copy: what the cache knows to be unchanged is not looked at."""
        self.gone = set(self.base.paths)
        for found in LayerWalk(overlay=False).entries(root):
            entry = self.base.entries.get(found.path)
            if entry is not None and found.kind in ("file", "link"):
                self.gone.discard(found.path)
                if cache.known(found.path, found.facts) == entry.blob and entry.mode == (
                    Candidate(0, found.kind, found.facts).mode
                ):
                    continue
            self._add(0, found)

    def _add(self, number: int, found: Found) -> None:
        path = found.path
        if path == OWN_REPOSITORY or path.startswith(f"{OWN_REPOSITORY}/"):
            is_root_file = path == OWN_REPOSITORY and found.kind != "directory"
            if not is_root_file or found.kind == "gone":
                self.own_repository += 1
                return
        match found.kind:
            case "refused":
                self.refused[path] = found.reason
            case "directory":
                self._hide(path, below=found.is_opaque or path in self.there)
            case "gone":
                self._hide(path, below=True)
                self.refused.pop(path, None)
            case _:
                self._hide(path, below=True)
                self.there[path] = Candidate(number, found.kind, found.facts)
                self.gone.discard(path)

    def _hide(self, path: str, *, below: bool) -> None:
        """Let a path, and what lies below it, not show any more."""
        self.there.pop(path, None)
        if path in self.base.entries:
            self.gone.add(path)
            # What the base holds at a file's path cannot have anything below it.
            below = below or path in self._earlier_directories
        if not below:
            return
        self.gone.update(self.base.below(path))
        inside = f"{path}/"
        if path in self._earlier_directories:
            for other in [one for one in self.there if one.startswith(inside)]:
                del self.there[other]
            for other in [one for one in self.refused if one.startswith(inside)]:
                del self.refused[other]

    def stays(self, place: str) -> bool:
        """Say whether a file or directory of the base tree still shows."""
        if place in self.base.entries:
            return place not in self.gone
        return any(path not in self.gone for path in self.base.below(place))
