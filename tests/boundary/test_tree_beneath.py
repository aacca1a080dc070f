"""Beneath a directory nothing is followed, with the kernel's help and without it."""

from __future__ import annotations

import ast
import ctypes
import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cleveragents.boundary import beneath_host
from cleveragents.boundary.beneath_host import (
    DIRECTORY_FLAGS,
    FILE_FLAGS,
    mount_of,
    open_beneath,
    opened,
    parent_of,
    read_all,
    set_mode,
    stat_beneath,
    sync_filesystem,
    walk_open,
)
from cleveragents.boundary.tree_removal import remove_tree
from tests.boundary.tree_scene import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def place(tmp_path: Path) -> Path:
    inside = tmp_path / "inside"
    fill(tmp_path, {"outside/secret": "s"})
    fill(inside, {"d/e/f": "f", "d/out@": "../../outside", "d/here@": "e", "l@": "d/e/f"})
    return inside


@pytest.fixture
def root(place: Path) -> Iterator[int]:
    with opened(place) as descriptor:
        yield descriptor


@pytest.mark.parametrize("way", [open_beneath, walk_open])
@pytest.mark.parametrize(
    "path", ["d/out/secret", "d/here/f", "l", "../outside/secret", "/etc/passwd", "d/../../outside"]
)
def test_no_link_and_no_way_up_is_taken(
    root: int, path: str, way: Callable[[int, str, int], int]
) -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011  # the number is checked below
        way(root, path, FILE_FLAGS)
    assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR, errno.EXDEV)


@pytest.mark.parametrize("way", [open_beneath, walk_open])
@pytest.mark.parametrize(
    ("path", "flags"),
    [
        ("d/e/f", FILE_FLAGS),
        ("d/e", DIRECTORY_FLAGS),
        ("", DIRECTORY_FLAGS),
        (".", DIRECTORY_FLAGS),
    ],
)
def test_a_plain_path_is_opened(
    root: int, path: str, flags: int, way: Callable[[int, str, int], int]
) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    descriptor = way(root, path, flags)
    assert os.path.samestat(os.fstat(descriptor), os.stat(path or ".", dir_fd=root))
    os.close(descriptor)
    assert len([*Path("/proc/self/fd").iterdir()]) == before


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_a_kernel_that_does_not_know_the_call_is_helped(
    root: int, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Old:
        def syscall(self, *_: object) -> int:
            ctypes.set_errno(number)
            return -1

        def syncfs(self, _: object) -> int:
            ctypes.set_errno(errno.EIO)
            return -1

    monkeypatch.setattr(beneath_host, "_libc", Old())
    descriptor = open_beneath(root, "d/e/f")
    assert os.read(descriptor, 9) == b"f"
    os.close(descriptor)
    with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        open_beneath(root, "d/out/secret")
    with pytest.raises(OSError, match="Input/output"):
        sync_filesystem(root)


def test_what_stands_at_a_path(root: int) -> None:
    assert stat_beneath(root, "d/e/f") is not None
    for nothing in ("n", "d/n", "n/n", "l/n", "d/e/f/g", "d/out/secret"):
        assert stat_beneath(root, nothing) is None
    with pytest.raises(OSError, match="leaves"):
        stat_beneath(root, "../outside/secret")


def test_the_parent_of_a_path_is_held(root: int) -> None:
    with parent_of(root, "d/e/f") as (parent, name):
        assert name == "f"
        assert os.stat(name, dir_fd=parent).st_size == 1


@pytest.mark.parametrize("hint", [0, 1, 10, 5_000_000])
def test_a_file_is_read_to_its_end_whatever_was_expected(tmp_path: Path, hint: int) -> None:
    (tmp_path / "f").write_bytes(b"x" * 3_000_000)
    descriptor = os.open(tmp_path / "f", os.O_RDONLY)
    assert read_all(descriptor, hint) == b"x" * 3_000_000
    os.close(descriptor)


def test_everything_is_removed_and_nothing_behind_a_link(place: Path, tmp_path: Path) -> None:
    (place / "d").chmod(0o500)
    with opened(tmp_path) as root:
        remove_tree(root, "inside")
        remove_tree(root, "inside")
        (tmp_path / "l").symlink_to("outside")
        remove_tree(root, "l")
    assert [path.name for path in tmp_path.rglob("*")] == ["outside", "secret"]


def test_what_cannot_be_removed_is_an_error(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(os, "rmdir", busy)
    with opened(tmp_path) as root, pytest.raises(OSError, match="busy"):
        remove_tree(root, "inside")


def test_a_descriptor_knows_its_mount(place: Path) -> None:
    with opened(place) as one, opened(place / "d") as two, opened(Path("/proc")) as other:
        assert mount_of(one) == mount_of(two) != mount_of(other)
        sync_filesystem(one)


def test_a_mode_is_set_on_what_is_meant_and_on_nothing_behind_a_link(
    root: int, place: Path
) -> None:
    secret = place.parent / "outside" / "secret"
    secret.chmod(0o600)
    (place / "away").symlink_to(secret)
    set_mode(root, "d", 0o711, kind=stat.S_IFDIR)
    assert stat.S_IMODE((place / "d").stat().st_mode) == 0o711
    for name, kind in (("away", stat.S_IFREG), ("away", stat.S_IFDIR), ("d", stat.S_IFREG)):
        with pytest.raises(OSError, match="symbolic links"):
            set_mode(root, name, 0o777, kind=kind)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_no_mode_and_no_owner_is_changed_through_a_name_that_may_be_a_link() -> None:
    found = []
    for source in sorted(Path(beneath_host.__file__).parent.glob("*.py")):
        for call in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            given = {one.arg: ast.unparse(one.value) for one in call.keywords}
            is_change = ast.unparse(call.func) in ("os.chmod", "os.chown")
            # Linux knows no chmod that does not follow, so there the helper is the only way.
            is_safe = ast.unparse(call.func) == "os.chown" and (
                given.get("follow_symlinks") == "False"
            )
            if is_change and "dir_fd" in given and not is_safe:
                found.append(f"{source.name}:{call.lineno}")
    assert found == []
