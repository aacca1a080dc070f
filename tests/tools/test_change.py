from __future__ import annotations

import errno
import hashlib
import os
import resource
import stat
from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import ToolFailedError
from cleveragents.tools.body import change, entry
from cleveragents.tools.body.file import PREPARED, digest_files

if TYPE_CHECKING:
    from pathlib import Path

    from cleveragents.tools.body.change import Prepared


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _prepare(root: int, tool: str, **arguments: object) -> Prepared:
    return PREPARED[tool](root, arguments)


def _names(workspace: Path) -> set[str]:
    return {str(path.relative_to(workspace)) for path in workspace.rglob("*")}


def test_nothing_is_written_before_the_commit(root: int, workspace: Path) -> None:
    (workspace / "a").write_text("old")
    _prepare(root, "write_file", path="new/dir/b", content="x")
    _prepare(root, "edit_file", path="a", old="old", new="new")
    _prepare(root, "move_file", source="a", destination="other/a")
    _prepare(root, "delete_file", path="a")
    assert _names(workspace) == {"a"}
    assert (workspace / "a").read_text() == "old"


def test_a_resume_can_tell_before_from_after_by_digest(root: int, workspace: Path) -> None:
    (workspace / "a").write_text("old")
    (workspace / "link").symlink_to("a")
    steps: list[tuple[str, dict[str, object]]] = [
        ("write_file", {"path": "a", "content": "new"}),
        ("edit_file", {"path": "a", "old": "new", "new": "newer"}),
        ("write_file", {"path": "d/b", "content": ""}),
        ("move_file", {"source": "a", "destination": "c/a"}),
        ("move_file", {"source": "link", "destination": "c/link"}),
        ("delete_file", {"path": "c/link"}),
        ("delete_file", {"path": "c/a"}),
    ]
    for tool, arguments in steps:
        prepared = PREPARED[tool](root, arguments)
        paths = list(prepared.before)
        assert digest_files(root, {"paths": paths})["digests"] == prepared.before
        prepared.commit()
        assert digest_files(root, {"paths": paths})["digests"] == prepared.after
        assert prepared.before != prepared.after
    assert _names(workspace) == {"c", "d", "d/b"}


def test_write_gives_its_facts_and_makes_parents(root: int, workspace: Path) -> None:
    result = _prepare(root, "write_file", path="x/y/a", content="é\n").commit()
    digest = _digest("é\n".encode())
    assert result == {"path": "x/y/a", "created": True, "size": 3, "digest": digest}
    assert _names(workspace) == {"x", "x/y", "x/y/a"}
    again = _prepare(root, "write_file", path="x/y/a", content="").commit()
    assert (again["created"], again["size"]) == (False, 0)


def test_the_mode_is_kept_without_setuid_and_a_new_file_is_plain(
    root: int, workspace: Path
) -> None:
    (workspace / "run").write_text("a")
    (workspace / "run").chmod(0o4755)
    before = os.umask(0o077)
    try:
        _prepare(root, "write_file", path="run", content="b").commit()
        _prepare(root, "write_file", path="new", content="b").commit()
    finally:
        os.umask(before)
    assert stat.S_IMODE((workspace / "run").stat().st_mode) == 0o755
    assert stat.S_IMODE((workspace / "new").stat().st_mode) == 0o644


def test_edit_replaces_exactly_as_many_as_were_asked_for(root: int, workspace: Path) -> None:
    (workspace / "a").write_bytes(b"x\r\nx\r\n\xff")
    result = _prepare(root, "edit_file", path="a", old="x\r\n", new="y\r\n", count=2).commit()
    assert result["replaced"] == 2
    assert (workspace / "a").read_bytes() == b"y\r\ny\r\n\xff"


@pytest.mark.parametrize(("old", "count"), [("x", 1), ("x", 3), ("z", 1), ("xx", 1), ("", 1)])
def test_edit_with_another_number_fails_and_changes_nothing(
    root: int, workspace: Path, old: str, count: int
) -> None:
    (workspace / "a").write_text("x x")
    with pytest.raises(ToolFailedError):
        _prepare(root, "edit_file", path="a", old=old, new="y", count=count)
    assert (workspace / "a").read_text() == "x x"


def test_edit_refuses_a_file_that_is_too_large(
    root: int, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry, "MAX_EDIT_BYTES", 4)
    (workspace / "a").write_text("12345")
    with pytest.raises(ToolFailedError, match="larger than 4 bytes"):
        _prepare(root, "edit_file", path="a", old="1", new="2")


@pytest.fixture
def hostile(workspace: Path) -> Path:
    (workspace / "file").write_text("x")
    (workspace / "dir").mkdir()
    (workspace / "dirlink").symlink_to("dir")
    (workspace / "link").symlink_to("file")
    (workspace / "out").symlink_to("../outside.txt")
    (workspace / "outdir").symlink_to("..")
    os.mkfifo(workspace / "pipe")
    return workspace


@pytest.mark.parametrize(
    ("tool", "arguments", "reason"),
    [
        ("write_file", {"path": "out", "content": ""}, "symbolic link"),
        ("write_file", {"path": "link", "content": ""}, "symbolic link"),
        ("write_file", {"path": "outdir/x", "content": ""}, "symbolic link|outside"),
        ("write_file", {"path": "dirlink/x", "content": ""}, "symbolic link"),
        ("write_file", {"path": "dirlink/new/x", "content": ""}, "symbolic link"),
        ("write_file", {"path": "../x", "content": ""}, "outside"),
        ("write_file", {"path": "dir", "content": ""}, "is a directory"),
        ("write_file", {"path": ".", "content": ""}, "workspace itself"),
        ("write_file", {"path": "file/x", "content": ""}, "not a directory"),
        ("write_file", {"path": "pipe", "content": ""}, "neither file nor link"),
        ("write_file", {"path": "x" * 300, "content": ""}, "too long"),
        ("write_file", {"path": "x", "content": "\ud800"}, "not valid Unicode"),
        ("write_file", {"path": "x"}, "'content' is not a text"),
        ("edit_file", {"path": "link", "old": "x", "new": "y"}, "symbolic link"),
        ("edit_file", {"path": "none", "old": "x", "new": "y"}, "does not exist"),
        ("move_file", {"source": "none", "destination": "x"}, "does not exist"),
        ("move_file", {"source": "dir", "destination": "x"}, "is a directory"),
        ("move_file", {"source": "file", "destination": "link"}, "exists already"),
        ("move_file", {"source": "file", "destination": "file"}, "exists already"),
        ("move_file", {"source": "file", "destination": "dir"}, "is a directory"),
        ("delete_file", {"path": "dir"}, "is a directory"),
        ("delete_file", {"path": "none"}, "does not exist"),
        ("delete_file", {"path": "none/x"}, "does not exist"),
    ],
)
def test_refuses(
    root: int, hostile: Path, tool: str, arguments: dict[str, object], reason: str
) -> None:
    before = _names(hostile)
    with pytest.raises(ToolFailedError, match=reason):
        PREPARED[tool](root, arguments)
    assert _names(hostile) == before


def test_deleting_or_moving_a_link_touches_the_link_alone(
    root: int, hostile: Path, tmp_path: Path
) -> None:
    assert _prepare(root, "delete_file", path="link").commit()["kind"] == "link"
    _prepare(root, "move_file", source="out", destination="moved").commit()
    assert (hostile / "moved").readlink().as_posix() == "../outside.txt"
    assert (tmp_path / "outside.txt").read_text() == "secret"
    assert (hostile / "file").read_text() == "x"


def test_a_call_that_was_cut_off_cleans_up_when_it_is_run_again(
    root: int, workspace: Path, tmp_path: Path
) -> None:
    (workspace / change.TEMPORARY_NAME).symlink_to(tmp_path / "outside.txt")
    _prepare(root, "write_file", path="a", content="x").commit()
    assert _names(workspace) == {"a"}
    assert (tmp_path / "outside.txt").read_text() == "secret"


def test_a_write_that_the_system_refuses_leaves_nothing_behind(root: int, workspace: Path) -> None:
    (workspace / "a").write_text("old")
    prepared = _prepare(root, "write_file", path="a", content="new" * 1_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(ToolFailedError, match="larger than a file may be"):
            prepared.commit()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert _names(workspace) == {"a"}
    assert (workspace / "a").read_text() == "old"


@pytest.mark.parametrize("is_link", [False, True])
def test_a_move_between_two_mounts_copies_and_removes(
    root: int, workspace: Path, monkeypatch: pytest.MonkeyPatch, *, is_link: bool
) -> None:
    (workspace / "run").write_text("content")
    (workspace / "run").chmod(0o755)
    (workspace / "link").symlink_to("run")
    source = "link" if is_link else "run"
    prepared = _prepare(root, "move_file", source=source, destination="there/new")
    real = os.rename

    def cross(old: str, new: str, **more: int) -> None:
        if old == source:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(old, new, **more)

    monkeypatch.setattr(os, "rename", cross)
    prepared.commit()
    assert digest_files(root, {"paths": list(prepared.after)})["digests"] == prepared.after
    if not is_link:
        assert stat.S_IMODE((workspace / "there" / "new").stat().st_mode) == 0o755


def test_a_move_that_the_system_refuses_fails(
    root: int, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "a").touch()
    prepared = _prepare(root, "move_file", source="a", destination="b")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(ToolFailedError, match="may not be changed here"):
        prepared.commit()


def test_a_parent_that_may_not_be_opened_fails_the_call(
    root: int, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "pipe").touch()

    def gone(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", gone)
    with pytest.raises(ToolFailedError, match="permission denied"):
        _prepare(root, "delete_file", path="pipe")


@pytest.mark.parametrize("paths", [None, "a", [1], ["../x"]])
def test_digest_files_refuses_what_are_no_paths(root: int, paths: object) -> None:
    with pytest.raises(ToolFailedError):
        digest_files(root, {"paths": paths})
