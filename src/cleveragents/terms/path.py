"""How a path is brought to its one spelling."""

from __future__ import annotations

import posixpath

# No typing: it is what a cold cell would wait for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

WORKSPACE: Final = "/workspace"
"""Where the workspace is mounted in every cell."""
_SPACE: Final = 0x20
"""Everything below it is a control character (ASCII)."""
_DELETE: Final = 0x7F


def normalise_path(raw: str) -> str:
    """Bring a path to the one spelling that every rule compares.

    Relative paths are relative to the workspace. The workspace itself is
    ``.``; a path below it has neither ``./``, ``//``, ``..`` nor a trailing
    slash. A path that leaves it stays recognisable: it is absolute or starts
    with ``../``. Purely lexical: links are the cell's business, which
    resolves beneath its root.

    Raises:
        ValueError: The path is empty or holds a NUL or another control byte.

    >>> normalise_path("./docs//a/../b.md")
    'docs/b.md'
    >>> normalise_path("/workspace/docs/")
    'docs'
    >>> normalise_path("/workspace/../etc/passwd")
    '/etc/passwd'
    >>> normalise_path("docs/../../x")
    '../x'
    """
    if not raw:
        msg = "a path is empty"
        raise ValueError(msg)
    # Printable ASCII, which nearly every path is, holds none.
    if not (raw.isascii() and raw.isprintable()) and any(
        ord(character) < _SPACE or ord(character) == _DELETE for character in raw
    ):
        msg = f"the path {raw!r} holds a control character"
        raise ValueError(msg)
    path = posixpath.normpath(raw)
    if path.startswith("//"):
        # POSIX lets two leading slashes stand for something else; Linux does not.
        path = path[1:]
    if path == WORKSPACE:
        return "."
    if path.startswith(WORKSPACE + "/"):
        return path[len(WORKSPACE) + 1 :]
    return path


def is_outside(path: str) -> bool:
    """Say whether a normalised path leaves the workspace.

    >>> is_outside("../x"), is_outside("/etc/passwd"), is_outside("..x")
    (True, True, False)
    """
    return path == ".." or path.startswith(("/", "../"))
