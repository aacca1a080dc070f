"""What does one directory of an overlay say: which files are there, which are gone?

In ``upper`` a deletion is a character device 0/0, and a directory that hides
what lies below it carries ``user.overlay.opaque=y``. Everything else that the
overlay can write there (redirects, metadata-only copies) is switched off in
our mounts and refused.

Source:
    ``Documentation/filesystems/overlayfs.rst`` of Linux 6.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from cleveragents.boundary.beneath_host import (
    DIRECTORY_FLAGS,
    allow_owner,
    open_beneath,
    open_directory,
    opened,
    parent_of,
    stat_beneath,
)
from cleveragents.boundary.returned_name import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

OPAQUE: Final = "user.overlay.opaque"
_OVERLAY_PREFIXES: Final = ("user.overlay.", "trusted.overlay.")
_ESCAPED: Final = ("user.overlay.overlay.", "trusted.overlay.overlay.")
"""What a guest's own attributes of these names become; they mean nothing here."""
_HARMLESS: Final = frozenset(
    f"{prefix}{name}"
    for prefix in _OVERLAY_PREFIXES
    for name in ("origin", "impure", "nlink", "uuid", "protattr", "upper")
)
MAX_ENTRIES: Final = 2_000_000
"""Entries of one layer, ignored ones too; more is an attack on the host's memory."""

MAX_PATH_BYTES: Final = 4096 - 256
"""Below the kernel's limit, beyond which the host could not name what it found."""

Kind = Literal["file", "link", "gone", "directory", "refused"]


@dataclass(frozen=True, slots=True)
class Found:
    """One entry of a layer."""

    path: str
    kind: Kind
    facts: os.stat_result
    is_opaque: bool = False
    reason: str = ""
    """Why it is refused."""


def is_whiteout(facts: os.stat_result) -> bool:
    """Say whether an entry of ``upper`` is a deletion."""
    return stat.S_ISCHR(facts.st_mode) and facts.st_rdev == 0


def put_whiteout(parent: int, name: str) -> None:
    """Write a deletion; Linux lets an ordinary user do so from 5.8 on."""
    os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=parent)


def _by_descriptor(parent: int, name: str) -> str:
    return f"/proc/self/fd/{parent}/{name}"


def make_opaque(parent: int, name: str) -> None:
    """Make a directory of a layer hide what lies below it."""
    os.setxattr(_by_descriptor(parent, name), OPAQUE, b"y", follow_symlinks=False)


def _attributes(parent: int, name: str) -> list[str]:
    try:
        names = os.listxattr(_by_descriptor(parent, name), follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM):
            return []
        raise
    return [
        one for one in names if one.startswith(_OVERLAY_PREFIXES) and not one.startswith(_ESCAPED)
    ]


def is_opaque(parent: int, name: str) -> bool:
    """Say whether a directory of a layer hides what lies below it."""
    try:
        value = os.getxattr(_by_descriptor(parent, name), OPAQUE, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP, errno.EPERM):
            return False
        raise
    return value == b"y"


class LayerWalk:
    """One walk over what a dead guest left, a directory before what is in it.

    With descriptors and without following; files are not opened. Only while
    nobody can write there.
    """

    def __init__(self, *, overlay: bool) -> None:
        self._overlay = overlay
        self._seen = 0

    def entries(self, root: int) -> Iterator[Found]:
        """Give the entries below a directory descriptor."""
        yield from self._directory(root, "", 0)

    def _directory(self, descriptor: int, prefix: str, depth: int) -> Iterator[Found]:
        with os.scandir(descriptor) as listing:
            found = sorted(listing, key=lambda entry: entry.name)
        for entry in found:
            self._seen += 1
            facts = entry.stat(follow_symlinks=False)
            if self._seen > MAX_ENTRIES:
                yield Found(".", "refused", facts, reason="there are too many files")
                return
            path = prefix + entry.name
            if len(os.fsencode(path)) > MAX_PATH_BYTES:
                reason = f"its path is longer than {MAX_PATH_BYTES} bytes"
                yield Found(path, "refused", facts, reason=reason)
                continue
            one = self._classify(descriptor, entry.name, path, facts)
            yield one
            if one.kind == "directory":
                if depth >= MAX_DEPTH:
                    reason = f"it lies deeper than {MAX_DEPTH} directories"
                    yield Found(one.path, "refused", facts, reason=reason)
                    continue
                below = open_directory(descriptor, entry.name, facts)
                try:
                    yield from self._directory(below, f"{one.path}/", depth + 1)
                finally:
                    os.close(below)

    def _classify(self, parent: int, name: str, path: str, facts: os.stat_result) -> Found:
        kind, reason = self._kind(facts)
        if not self._overlay or kind in ("gone", "refused"):
            return Found(path, kind, facts, reason=reason)
        if kind == "directory":
            allow_owner(parent, name, facts)
        opaque = False
        for attribute in _attributes(parent, name):
            if attribute == OPAQUE and kind == "directory" and is_opaque(parent, name):
                opaque = True
            elif attribute not in _HARMLESS:
                reason = f"it carries the overlay attribute {attribute!r}"
                return Found(path, "refused", facts, reason=reason)
        return Found(path, kind, facts, is_opaque=opaque)

    def _kind(self, facts: os.stat_result) -> tuple[Kind, str]:
        mode = facts.st_mode
        if stat.S_ISREG(mode):
            reason = _reason_against_file(facts)
            return ("refused", reason) if reason else ("file", "")
        if stat.S_ISDIR(mode):
            return "directory", ""
        if stat.S_ISLNK(mode):
            return "link", ""
        if self._overlay and is_whiteout(facts):
            return "gone", ""
        return "refused", "it is a socket, a fifo or a device"


def _reason_against_file(facts: os.stat_result) -> str:
    if facts.st_nlink != 1:
        return "it has more than one hard link"
    if facts.st_mode & (stat.S_ISUID | stat.S_ISGID):
        return "it is set to run as its owner or group"
    return ""


def kind_in_stack(layers: Iterable[Path], path: str) -> Kind | None:
    """Say what a stack of layers, the topmost first, shows at a path; ``None`` for nothing."""
    for layer in layers:
        with opened(layer) as root:
            answer = _kind_in_layer(root, path)
        if answer != "below":
            return answer
    return None


def _kind_in_layer(root: int, path: str) -> Kind | Literal["below"] | None:
    """Look in one layer; ``below`` when it leaves the answer to those beneath it."""
    parts = path.split("/")
    hides_below = False
    for at in range(1, len(parts) + 1):
        place = "/".join(parts[:at])
        facts = stat_beneath(root, place)
        if facts is None:
            return None if hides_below else "below"
        if not stat.S_ISDIR(facts.st_mode):
            if at < len(parts) or is_whiteout(facts):
                return None
            return "link" if stat.S_ISLNK(facts.st_mode) else "file"
        if at < len(parts):
            with parent_of(root, place) as (parent, name):
                hides_below = hides_below or is_opaque(parent, name)
    return "directory"


def names_in_stack(layers: Iterable[Path], directory: str) -> set[str]:
    """Give the names that a stack of layers, the topmost first, shows in a directory."""
    shown: set[str] = set()
    hidden: set[str] = set()
    for layer in layers:
        with opened(layer) as root:
            if _kind_in_layer(root, directory) == "below":
                continue
            facts = stat_beneath(root, directory)
            if facts is None or not stat.S_ISDIR(facts.st_mode):
                break
            names, gone = _names(root, directory)
            shown |= names - hidden
            hidden |= names | gone
            if _is_hidden_below(root, directory):
                break
    return shown


def _names(root: int, directory: str) -> tuple[set[str], set[str]]:
    names: set[str] = set()
    gone: set[str] = set()
    descriptor = open_beneath(root, directory, DIRECTORY_FLAGS)
    try:
        with os.scandir(descriptor) as listing:
            for entry in listing:
                is_gone = is_whiteout(entry.stat(follow_symlinks=False))
                (gone if is_gone else names).add(entry.name)
    finally:
        os.close(descriptor)
    return names, gone


def _is_hidden_below(root: int, directory: str) -> bool:
    parts = directory.split("/")
    for at in range(1, len(parts) + 1):
        with parent_of(root, "/".join(parts[:at])) as (parent, name):
            if is_opaque(parent, name):
                return True
    return False
