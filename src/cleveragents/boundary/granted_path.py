"""How are the paths of a grant spelt, and when does one of them say more than it seems to?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.errors import ConfigurationError
from cleveragents.terms.resource import WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Sequence


def check_included(host: str, inside: str) -> None:
    """Refuse an included path that is not there, or is not where it says.

    The directory holds what a repository brought: a link there would show
    whatever of the host it points to.

    Raises:
        ConfigurationError: It is not absolute, does not exist, or passes through a link.
    """
    path = inside_path(inside)
    if not Path(host).is_absolute():
        raise ConfigurationError(
            problem=f"the included path {inside!r} comes from {host!r}, which is not absolute",
            hint="name the whole path",
        )
    if not Path(host).exists():
        raise ConfigurationError(
            problem=f"the included path {inside!r} does not exist", hint="leave it out"
        )
    if host.endswith(f"/{path}"):
        real = f"{os.path.realpath(host.removesuffix(path))}/{path}"
    else:
        real = f"{os.path.realpath(Path(host).parent)}/{Path(host).name}"
    if os.path.realpath(host) != real:
        raise ConfigurationError(
            problem=f"the included path {inside!r} is or leads through a link",
            hint="name the real path",
        )


def minimal(entries: Sequence[str]) -> list[str]:
    """Leave out what a directory on the same list already covers."""
    whole = {inside_path(e) for e in entries if e.endswith("/") or inside_path(e) == "."}
    unique = dict.fromkeys(entries)
    return [
        entry
        for entry in unique
        if not any(inside_path(entry) != d and covers(d, inside_path(entry)) for d in whole)
    ]


def covers(directory: str, path: str) -> bool:
    """Say whether a path is a directory's, or lies beneath it."""
    return directory in {".", path} or path.startswith(f"{directory}/")


def inside_path(entry: str) -> str:
    """Bring an entry of a path list to its one spelling, without a trailing slash.

    Raises:
        ConfigurationError: It leaves the workspace.
    """
    path = os.path.normpath(entry)
    if path.startswith(("/", "../")) or path == "..":
        raise ConfigurationError(problem=f"the path {entry!r} leaves the workspace")
    return path


def in_cell(path: str) -> str:
    """Give a workspace path as it is in the cell."""
    return WORKSPACE if path == "." else f"{WORKSPACE}/{path}"
