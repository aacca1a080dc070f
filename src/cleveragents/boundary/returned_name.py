"""May a file of this name come back from a cell?

A name that is harmless here can be ``.git`` on a file system that folds case,
drops invisible characters or trailing dots, or reads a colon as a stream
(isolation, rule 8). The index of git is the second check, this is the first.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

MAX_PATH_BYTES: Final = 3000
"""Leaves room below PATH_MAX for the directory that it is applied to."""
MAX_DEPTH: Final = 120
_SHORT_GIT: Final = "git~"
"""The 8.3 name that NTFS gives to ``.git``, with a digit."""
_INVISIBLE: Final = frozenset(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
)
"""What HFS+ leaves out when it compares names.

Source:
    ``next_hfs_char`` in git's ``utf8.c``.
"""


def is_git_name(component: str) -> bool:
    r"""Say whether any file system takes a component for ``.git``.

    >>> is_git_name(".GIT"), is_git_name(".g\u200cit"), is_git_name(".git. "), is_git_name("git~1")
    (True, True, True, True)
    >>> is_git_name(".gitignore"), is_git_name("git")
    (False, False)
    """
    plain = "".join(character for character in component if ord(character) not in _INVISIBLE)
    folded = unicodedata.normalize("NFKC", plain).casefold()
    before_stream = folded.partition(":")[0].rstrip(" .")
    return before_stream == ".git" or (
        before_stream.startswith(_SHORT_GIT) and before_stream[len(_SHORT_GIT) :].isdigit()
    )


def is_plain_text(name: str) -> bool:
    """Say whether a name is UTF-8 without control characters."""
    if name.isascii():
        return name.isprintable()
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in name)


def reason_against(path: str) -> str | None:
    """Say why a path may not come back; ``None`` when it may.

    >>> reason_against("docs/a.md")
    >>> reason_against("a/.Git/config")
    "it has a component '.Git', which is git's own directory on some file systems"
    """
    if len(path.encode("utf-8", "surrogateescape")) > MAX_PATH_BYTES:
        return f"its path is longer than {MAX_PATH_BYTES} bytes"
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        return f"it lies deeper than {MAX_DEPTH} directories"
    for part in parts:
        reason = _against_component(part)
        if reason is not None:
            return reason
    return None


def _against_component(part: str) -> str | None:
    if part in ("", ".", ".."):
        return "its path has an empty component or leaves the workspace"
    if not is_plain_text(part):
        return f"its component {part!r} holds control characters or is not UTF-8"
    if "\\" in part or ":" in part:
        return f"its component {part!r} holds a backslash or a colon"
    if is_git_name(part):
        return f"it has a component {part!r}, which is git's own directory on some file systems"
    if part[-1] in " .":
        return f"its component {part!r} ends in a dot or a space"
    return None


def fold(path: str) -> str:
    """Give what a file system that ignores case and composition compares."""
    return path.casefold() if path.isascii() else _fold_unicode(path)


def _fold_unicode(path: str) -> str:
    plain = "".join(character for character in path if ord(character) not in _INVISIBLE)
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", plain).casefold())


def places_of(path: str) -> Iterator[str]:
    """Give a path and the directories above it, the nearest first."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def fold_index(paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Give the spellings of every file and directory by what a folding file system compares."""
    index: dict[str, tuple[str, ...]] = {}
    known: set[str] = set()
    for path in paths:
        for place in places_of(path):
            if place in known:
                break
            known.add(place)
            folded = fold(place)
            index[folded] = (*index.get(folded, ()), place)
    return index


def twins(
    added: Iterable[str],
    index: Mapping[str, tuple[str, ...]],
    stays: Callable[[str], bool] = lambda _: True,
) -> dict[str, str]:
    """Find added paths that differ from another path by letter case only.

    Directories count: ``Docs/a`` and ``docs/b`` are twins.

    Args:
        added: Paths that were not there before.
        index: Of what was there before, by ``fold_index``.
        stays: Whether a file or directory of the index is still there.

    Returns:
        Each such added path with the spelling that it collides with.
    """
    fresh: dict[str, str] = {}
    found = {}
    for path in sorted(added):
        for place in places_of(path):
            folded = fold(place)
            # Only what was there before can be gone: two new spellings are twins always.
            before = (one for one in index.get(folded, ()) if stays(one))
            others = (fresh.setdefault(folded, place), *before)
            other = next((one for one in others if one != place), None)
            if other is not None:
                found[path] = other
                break
    return found
