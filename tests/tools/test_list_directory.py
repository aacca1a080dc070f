from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import ToolFailedError
from cleveragents.tools.body import listing
from cleveragents.tools.body.listing import list_directory

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree(workspace: Path) -> Path:
    (workspace / "b").mkdir()
    (workspace / "b" / "c").mkdir()
    (workspace / "b" / "c" / "deep").write_text("12345")
    (workspace / "a.txt").write_text("123")
    (workspace / "link").symlink_to("/etc/passwd")
    os.mkfifo(workspace / "pipe")
    return workspace


def _shown(result: dict[str, object]) -> list[tuple[object, object]]:
    entries = result["entries"]
    assert isinstance(entries, list)
    return [(entry["path"], entry["kind"]) for entry in entries]


def test_lists_one_level_by_name(root: int, tree: Path) -> None:
    result = list_directory(root, {"path": "."})
    assert _shown(result) == [
        ("a.txt", "file"),
        ("b", "directory"),
        ("link", "link"),
        ("pipe", "other"),
    ]
    entries = result["entries"]
    assert isinstance(entries, list)
    assert entries[0]["size"] == 3
    assert (result["truncated"], result["note"]) == (False, "")


def test_depth_adds_levels_and_paths_stay_relative_to_the_workspace(root: int, tree: Path) -> None:
    paths = [path for path, _ in _shown(list_directory(root, {"path": "b", "depth": 9}))]
    assert paths == ["b/c", "b/c/deep"]
    assert ("b/c/deep", "file") not in _shown(list_directory(root, {"path": ".", "depth": 2}))
    assert ("b/c/deep", "file") in _shown(list_directory(root, {"path": ".", "depth": 3}))


@pytest.mark.parametrize("path", ["a.txt", "missing", "link", "../"])
def test_refuses_what_is_no_directory_inside(root: int, tree: Path, path: str) -> None:
    with pytest.raises(ToolFailedError):
        list_directory(root, {"path": path})


def test_a_long_listing_is_cut_and_says_so(
    root: int, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        (workspace / f"{number:02}").mkdir()
        (workspace / f"{number:02}" / "x").touch()
    monkeypatch.setattr(listing, "MAX_ENTRIES", 5)
    result = list_directory(root, {"path": ".", "depth": 2})
    assert len(_shown(result)) == 5
    assert result["truncated"] is True
    assert "5 entries" in str(result["note"])


def test_names_that_are_no_utf8_are_shown_escaped(root: int, workspace: Path) -> None:
    os.close(os.open(os.fsencode(workspace) + b"/a\xff", os.O_CREAT))
    result = list_directory(root, {"path": "."})
    assert _shown(result) == [("a\\xff", "file")]
    json.dumps(result).encode()


def test_a_directory_that_cannot_be_entered_is_counted(
    root: int, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "closed").mkdir()
    real = os.open

    def refuse(path: str, flags: int, **more: int) -> int:
        if path == "closed":
            raise PermissionError
        return real(path, flags, **more)

    # Root, as CI runs, is refused no directory: the refusal is made here.
    monkeypatch.setattr(os, "open", refuse)
    result = list_directory(root, {"path": ".", "depth": 2})
    assert "could not be read: 1" in str(result["note"])
