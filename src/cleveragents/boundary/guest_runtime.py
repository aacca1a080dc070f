"""What of our own code is inside a cell, and where does it lie on the host?

A copy of the guest's rooms, named by its content, made once and never
changed. So no cell sees the checkout or the host's rooms, and a package that
is replaced while a plan runs does not change that plan's guest.
"""

from __future__ import annotations

import hashlib
import os
import py_compile
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cleveragents.boundary
from cleveragents.errors import IsolationUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cleveragents.boundary.uid_drop import CellUser

_PACKAGE: Final = "cleveragents"
_WHOLE_ROOMS: Final = ("terms", "guest", "tools/body")
_FRONT: Final = "guest/front.py"
"""Stands in the place of the package's ``__init__``."""
_SINGLE_FILES: Final = (
    "errors.py",
    "boundary/__init__.py",
    "boundary/frame.py",
    "boundary/landlock.py",
    "boundary/process_tree.py",
    "boundary/self_check.py",
)
_ROOM_WITHOUT_ROOMS: Final = "tools"
"""Its own files, such as ``own_tool``, but not the broker's room."""
_STUBS: Final = ("passwd", "group", "hosts")
_KEEP_S: Final = 30 * 24 * 3600
"""A cell may still stand on an old copy."""


def prepare(directory: Path, *, user: CellUser | None) -> Path:
    """Give the guest's runtime, copying it when this content has no copy yet.

    Args:
        directory: Where the copies are kept; made when missing.
        user: Who reads it, for the stubs of passwd and group.

    Returns:
        A directory that holds ``site`` and ``etc``.

    Raises:
        IsolationUnavailableError: It cannot be written.
    """
    sources = dict(_sources())
    uid = os.getuid() if user is None else user.uid
    gid = os.getgid() if user is None else user.gid
    target = directory / _name(sources, uid, gid)
    if target.is_dir():
        # Old copies go when they have not been used for long.
        with suppress(PermissionError):
            os.utime(target)
        return target
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=".new-", dir=directory))
        try:
            _copy(sources, building / "site")
            _write_stubs(building / "etc", uid, gid)
            building.chmod(0o755)
            # Somebody else may have been faster: theirs has the same content.
            with suppress(FileExistsError, OSError):
                building.rename(target)
        finally:
            shutil.rmtree(building, ignore_errors=True)
        _remove_old(directory, keep=target)
    except OSError as error:
        raise IsolationUnavailableError(
            problem=f"the guest's runtime cannot be written to {directory}: {error.strerror}",
            fix="make the directory writable, or set CLEVERAGENTS_HOME to one that is",
        ) from error
    if not target.is_dir():
        raise IsolationUnavailableError(
            problem=f"the guest's runtime cannot be moved to {target}",
            fix="remove that directory",
        )
    return target


def _remove_old(directory: Path, *, keep: Path) -> None:
    """Remove copies of other versions that nobody has used for a month."""
    newest = keep.stat().st_mtime
    for path in directory.iterdir():
        if path != keep and path.stat().st_mtime < newest - _KEEP_S:
            shutil.rmtree(path, ignore_errors=True)


def _sources() -> Iterator[tuple[str, Path]]:
    root = Path(cleveragents.boundary.__file__).parent.parent
    yield f"{_PACKAGE}/__init__.py", root / _FRONT
    for name in _SINGLE_FILES:
        yield f"{_PACKAGE}/{name}", root / name
    for room in (*_WHOLE_ROOMS, _ROOM_WITHOUT_ROOMS):
        for path in sorted((root / room).glob("*.py")):
            yield f"{_PACKAGE}/{room}/{path.name}", path


def _name(sources: dict[str, Path], uid: int, gid: int) -> str:
    content = hashlib.sha256(f"{sys.version}\n{uid}:{gid}\n".encode())
    for name, path in sorted(sources.items()):
        data = path.read_bytes()
        content.update(f"{name}\n{len(data)}\n".encode())
        content.update(data)
    return content.hexdigest()[:32]


def _copy(sources: dict[str, Path], site: Path) -> None:
    for name, path in sources.items():
        target = site / name
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o644)
        if target.suffix == ".py":
            # Read-only inside, and times are no part of the content.
            py_compile.compile(
                str(target),
                dfile=f"/guest/{name}",
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
    for path in site.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    site.chmod(0o755)


def _write_stubs(directory: Path, uid: int, gid: int) -> None:
    directory.mkdir(mode=0o755)
    texts = {
        "passwd": f"cell:x:{uid}:{gid}:cell:/tmp:/bin/sh\n",
        "group": f"cell:x:{gid}:\n",
        "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    }
    for name in _STUBS:
        (directory / name).write_text(texts[name], encoding="ascii")
        (directory / name).chmod(0o644)
