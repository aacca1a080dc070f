"""What a program leaves in its workspace, hoping that somebody outside trips over it."""

# ruff: noqa: PTH211, PTH101, PTH102, PTH103, PTH120, PTH123

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final

from tests.probes.hostile.kit import declare

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NAMES: Final = "rules for names"
_KINDS: Final = "rules for kinds of files"
_GIT: Final = "git never runs in a child's tree; its `.git` does not come back"
_HOOK: Final = "#!/bin/sh\nmkdir -p {marker}\n"

CODE: Final[dict[str, Callable[[str], None]]] = {}
"""Left in a directory, to be run by git; the text is the directory that shows that it ran."""
NAMES: Final[dict[str, str]] = {}
"""Paths that may not come back."""
KINDS: Final[dict[str, Callable[[str], None]]] = {}
"""Files that may not come back, made at a path."""
LATER: Final[dict[str, str]] = {}
"""Files that run code later on the parent's side, and must be looked at before they are applied."""


def put(path: str, text: str, mode: int = 0o644) -> None:
    """Write a file with its directories."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def repository(place: str, config: str) -> None:
    """Make a repository by hand: a program needs no git for it."""
    for name in ("objects", "refs/heads", "hooks"):
        os.makedirs(f"{place}/{name}", exist_ok=True)
    put(f"{place}/HEAD", "ref: refs/heads/main\n")
    put(f"{place}/config", "[core]\n\trepositoryformatversion = 0\n" + config)


def _runner(place: str, marker: str) -> str:
    path = f"{place}/run.sh"
    put(path, _HOOK.format(marker=marker), 0o755)
    return os.path.abspath(path)  # noqa: PTH100


def _fsmonitor(marker: str) -> None:
    repository(".git", "")
    put(
        ".git/config",
        f"[core]\n\trepositoryformatversion = 0\n\tfsmonitor = {_runner('.git', marker)}\n",
    )


def _diff(marker: str) -> None:
    repository(".git", f"[diff]\n\texternal = {_runner('.git', marker)}\n")


def _filter(marker: str) -> None:
    repository(".git", f'[filter "probe"]\n\tclean = {_runner(".git", marker)}\n')
    put(".gitattributes", "* filter=probe\n")


def _hook(marker: str) -> None:
    repository(".git", "")
    put(".git/hooks/pre-commit", _HOOK.format(marker=marker), 0o755)


def _include(marker: str) -> None:
    repository(".git", "[include]\n\tpath = more\n")
    put(".git/more", f"[core]\n\tfsmonitor = {_runner('.git', marker)}\n")


def _pointer(marker: str) -> None:
    repository("elsewhere", f"[core]\n\tfsmonitor = {_runner('elsewhere', marker)}\n")
    put(".git", "gitdir: elsewhere\n")


def _nested(marker: str) -> None:
    repository("nested/.git", f"[core]\n\tfsmonitor = {_runner('nested/.git', marker)}\n")


def _parents_filter(_: str) -> None:
    put("new/.gitattributes", "* filter=parents\n")


def _enter_code(
    name: str, title: str, leave: Callable[[str], None], *, covers: int, layer: str = _GIT
) -> None:
    declare(name, "tree", title, layer=layer, covers=(covers,))
    CODE[name] = leave


_enter_code("git_fsmonitor", "`.git/config` with a program as fsmonitor", _fsmonitor, covers=40)
_enter_code("git_diff", "`.git/config` with a program as diff.external", _diff, covers=40)
_enter_code(
    "git_filter",
    "`.git/config` with a filter, and `.gitattributes` that asks for it",
    _filter,
    covers=40,
)
_enter_code("git_hook", "a hook in `.git/hooks`", _hook, covers=40)
_enter_code("git_include", "`.git/config` that includes another file", _include, covers=40)
_enter_code(
    "git_pointer", "a `.git` file that points at a repository elsewhere", _pointer, covers=41
)
_enter_code(
    "git_nested", "a nested repository with its own fsmonitor", _nested, covers=41, layer=_NAMES
)
_enter_code(
    "parents_filter",
    "`.gitattributes` that picks a filter of the user's own repository",
    _parents_filter,
    covers=42,
    layer="blobs are taken unfiltered; held for review",
)


def _enter_name(name: str, title: str, path: str) -> None:
    declare(name, "tree", title, layer=_NAMES, covers=(44,))
    NAMES[name] = path


_enter_name("name_case", "`.GIT/config`, which is `.git` where case is folded", "new/a/.GIT/config")
_enter_name("name_short", "`git~1/config`, which is `.git` on NTFS", "new/b/git~1/config")
_enter_name("name_invisible", "`.git` with an invisible character in it", "new/c/.g\u200cit/config")
_enter_name(
    "name_backslash", "`..\\..\\x`, which climbs where backslashes part names", "new/..\\..\\x"
)
_enter_name("name_colon", "`x:stream`, which is part of another file on NTFS", "new/x:stream")
_enter_name("name_control", "a name with terminal control codes", "new/\x1b[2Jcleared")
_enter_name("name_trailing", "a name that ends in a dot, which some systems drop", "new/ends.")
_enter_name("name_no_text", "a name that is no UTF-8", os.fsdecode(b"new/latin\xe9"))
_enter_name("name_twin", "a name that differs from another by case only", "new/twin")
_enter_name("name_deep", "a file 200 directories down", "new/" + "d/" * 200 + "x")


def _link_to(target: str) -> Callable[[str], None]:
    return lambda path: os.symlink(target, path)


def _climbing(path: str) -> None:
    os.symlink(".", path + "-here")
    os.symlink(f"{os.path.basename(path)}-here/../../../scene-key", path)  # noqa: PTH119


def _twice(path: str) -> None:
    put(path, "x")
    os.link(path, path + "-again")


def _socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)


def _setuid(path: str) -> None:
    put(path, "x", 0o6777)


def _sparse(path: str) -> None:
    with open(path, "wb") as file:
        file.truncate(65 << 20)


def _enter_kind(
    name: str, title: str, make: Callable[[str], None], *, covers: int = 45, layer: str = _KINDS
) -> None:
    declare(name, "tree", title, layer=layer, covers=(covers,))
    KINDS[name] = make


_enter_kind("link_absolute", "a symbolic link to an absolute path", _link_to("/etc/hostname"))
_enter_kind("link_leaves", "a symbolic link out of the workspace", _link_to("../../scene-key"))
_enter_kind("link_climbs", "a symbolic link that climbs through another one", _climbing)
_enter_kind("hard_twice", "one file under two names", _twice)
_enter_kind("fifo", "a fifo, on which a reader waits for ever", os.mkfifo)
_enter_kind("socket_file", "a socket", _socket)
_enter_kind("setuid_file", "a file with the setuid bit, writable by all", _setuid)
_enter_kind(
    "too_large",
    "a file that is too large",
    _sparse,
    covers=46,
    layer="caps, before anything is read",
)

declare(
    "beside_granted",
    "tree",
    "a new file beside the one file that it may write",
    layer="rules for paths at the collection",
    covers=(54,),
)
declare(
    "too_many",
    "tree",
    "100,001 files",
    layer="caps, before anything is read",
    covers=(46,),
    shown_by="nobody",
    why_not="a copy takes whatever there is; it only takes long",
)
declare("too_deep", "tree", "directories 3,000 deep, too deep for any path", layer="the watch and the walk have a depth", covers=(46,), shown_by="nobody", why_not="whether a walker breaks on it is that walker's affair")  # fmt: skip


def _enter_later(name: str, title: str, path: str) -> None:
    declare(
        name,
        "tree",
        title,
        layer="held for review at apply",
        covers=(43 if "modules" in path else 47,),
    )
    LATER[name] = path


_enter_later("later_modules", "`.gitmodules` with a command", ".gitmodules")
_enter_later("later_tests", "`conftest.py`", "new/conftest.py")
_enter_later("later_make", "a `Makefile`", "Makefile")
_enter_later("later_ci", "a CI workflow", ".github/workflows/ci.yml")
_enter_later("later_editor", "editor settings that start a task", ".vscode/tasks.json")
_enter_later("later_shell", "`.envrc`", ".envrc")


def own_repository(directory: Path, marker: str) -> None:
    """Give a user's directory a repository whose filter shows when it is run."""
    place = str(directory / ".git")
    repository(place, "")
    repository(place, f'[filter "parents"]\n\tclean = {_runner(place, marker)}\n')


def leave(name: str, marker: str) -> None:
    """Leave one thing, or all of one sort."""
    os.makedirs("new", exist_ok=True)
    put(f"new/honest-{name}", name)
    match name:
        case "names":
            put("new/TWIN", "x")
            for path in NAMES.values():
                put(path, "x")
        case "kinds":
            for kind, make in KINDS.items():
                make(f"new/{kind}")
        case "later":
            for path in LATER.values():
                put(path, "x")
        case "beside_granted":
            put("docs/beside.md", "x")
        case "too_many":
            for number in range(100_001):
                os.close(os.open(f"new/{number}", os.O_WRONLY | os.O_CREAT, 0o644))
        case "too_deep":
            os.chdir("new")
            for _ in range(3000):
                os.mkdir("d")
                os.chdir("d")
        case _:
            CODE[name](marker)
