"""What a cell sees and may write, by its read and write paths and its workspace's kind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.boundary.cell_spec import CellSpec, WorkspaceMount
from cleveragents.boundary.granted_path import check_included
from cleveragents.errors import ConfigurationError
from tests.boundary.cell_scene import House, the_house

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["the_house"]

FILES = {
    "README.md": "readme\n",
    "LICENSE": "license\n",
    "docs/a.md": "a\n",
    "docs/deep/b.md": "b\n",
    "src/main.py": "main\n",
}
READ_ONLY = "Read-only file system"
KINDS = ["overlay", "copy"]


def outcome(
    house: House, spec: CellSpec, write: Iterable[str], read: Iterable[str] = ()
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    cell = house.launcher.start(spec)
    try:
        written: Any = cell.call("write_anyway", {"paths": list(write)})["value"]
        seen: Any = cell.call("read_anyway", {"paths": list(read)})["value"]
    finally:
        cell.close()
    return written, seen


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_workspace_is_writable_by_default(the_house: House, kind: str) -> None:
    spec = the_house.spec(kind, FILES)
    written, seen = outcome(the_house, spec, ["README.md", "new", "docs/new"], ["."])
    assert set(written.values()) == {""}
    assert seen["."] == "LICENSE README.md docs new src"


def test_an_overlay_leaves_its_base_alone(the_house: House) -> None:
    spec = the_house.spec("overlay", FILES)
    outcome(the_house, spec, ["README.md"])
    assert (spec.workspace.lower[0] / "README.md").read_text() == "readme\n"
    assert spec.workspace.upper is not None
    assert (spec.workspace.upper / "README.md").read_text() == "readme\nx"


@pytest.mark.parametrize("kind", [*KINDS, "read_only"])
def test_no_write_path_is_no_writing(the_house: House, kind: str) -> None:
    spec = the_house.spec(kind, FILES, write=())
    written, seen = outcome(the_house, spec, ["README.md", "new", "docs/a.md"], ["docs/a.md"])
    assert set(written.values()) == {READ_ONLY}
    assert seen["docs/a.md"] == "a\n"


@pytest.mark.parametrize("kind", KINDS)
def test_a_granted_directory_alone_is_writable(the_house: House, kind: str) -> None:
    spec = the_house.spec(kind, FILES, write=("docs/",))
    written, seen = outcome(
        the_house,
        spec,
        ["docs/a.md", "docs/new", "docs/deep/new", "README.md", "new", "src/main.py"],
        [".", "README.md"],
    )
    assert [written[n] for n in ("docs/a.md", "docs/new", "docs/deep/new")] == ["", "", ""]
    assert {written[n] for n in ("README.md", "new", "src/main.py")} == {READ_ONLY}
    assert seen["README.md"] == "readme\n"
    changed = spec.workspace.upper or spec.workspace.tree
    assert changed is not None
    assert (changed / "docs/a.md").read_text() == "a\nx"


@pytest.mark.parametrize("kind", KINDS)
def test_a_granted_directory_that_does_not_exist_is_made(the_house: House, kind: str) -> None:
    spec = the_house.spec(kind, FILES, write=("out/deep/",))
    written, _ = outcome(the_house, spec, ["out/deep/new", "out/new", "new"])
    assert written == {"out/deep/new": "", "out/new": READ_ONLY, "new": READ_ONLY}
    again, seen = outcome(the_house, spec, ["out/deep/new"], ["out/deep/new"])
    assert again == {"out/deep/new": ""}
    assert seen["out/deep/new"] == "xx"


@pytest.mark.parametrize("kind", KINDS)
def test_a_granted_file_is_writable_and_its_neighbours_are_not(the_house: House, kind: str) -> None:
    spec = the_house.spec(kind, FILES, write=("README.md", "docs/deep/"))
    cell = the_house.launcher.start(spec)
    try:
        cell.prepare("write_file", {"path": "README.md", "content": "new\n"})
        cell.commit()
        written: Any = cell.call(
            "write_anyway",
            {"paths": ["README.md", "LICENSE", "docs/a.md", "docs/deep/b.md", "src/new"]},
        )["value"]
    finally:
        cell.close()
    assert written == {
        "README.md": "",
        "LICENSE": READ_ONLY,
        "docs/a.md": READ_ONLY,
        "docs/deep/b.md": "",
        "src/new": READ_ONLY,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_granted_file_that_does_not_exist_can_be_made(the_house: House, kind: str) -> None:
    spec = the_house.spec(kind, FILES, write=("docs/new.md", "fresh/new.md"))
    cell = the_house.launcher.start(spec)
    try:
        for path in spec.write:
            cell.prepare("write_file", {"path": path, "content": "new\n"})
            cell.commit()
        written: Any = cell.call("write_anyway", {"paths": ["docs/a.md", "LICENSE"]})["value"]
    finally:
        cell.close()
    assert set(written.values()) == {READ_ONLY}
    changed = spec.workspace.upper or spec.workspace.tree
    assert changed is not None
    assert (changed / "docs/new.md").read_text() == "new\n"
    assert (changed / "fresh/new.md").read_text() == "new\n"


@pytest.mark.parametrize("kind", [*KINDS, "read_only"])
def test_only_the_read_paths_are_visible(the_house: House, kind: str) -> None:
    spec = the_house.spec(kind, FILES, read=("docs/", "LICENSE", "absent", "gone/"), write=())
    written, seen = outcome(
        the_house, spec, ["docs/a.md", "new"], [".", "docs", "README.md", "src", "LICENSE"]
    )
    assert set(written.values()) == {READ_ONLY}
    assert seen["."] == "LICENSE docs"
    assert seen["docs"] == "a.md deep"
    assert seen["LICENSE"] == "license\n"
    assert seen["README.md"].startswith("!")
    assert seen["src"].startswith("!")


@pytest.mark.parametrize("kind", KINDS)
def test_a_write_path_is_visible_and_nothing_else(the_house: House, kind: str) -> None:
    spec = the_house.spec(kind, FILES, read=(), write=("docs/deep/",))
    written, seen = outcome(
        the_house, spec, ["docs/deep/b.md", "docs/new", "new"], [".", "docs", "docs/deep/b.md"]
    )
    assert written == {"docs/deep/b.md": "", "docs/new": READ_ONLY, "new": READ_ONLY}
    assert seen == {".": "docs", "docs": "deep", "docs/deep/b.md": "b\nx"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_writable_file_among_invisible_ones_shows_none_of_them(
    the_house: House, kind: str
) -> None:
    spec = the_house.spec(kind, FILES, read=("src/",), write=("docs/new.md",))
    written, seen = outcome(
        the_house, spec, ["docs/new.md", "docs/a.md"], ["docs/a.md", "docs/deep", "src/main.py"]
    )
    assert written["docs/new.md"] == ""
    assert seen["src/main.py"] == "main\n"
    assert "a\n" not in seen["docs/a.md"]
    assert "b.md" not in seen["docs/deep"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_narrow_path_within_a_readable_one(the_house: House, kind: str) -> None:
    spec = the_house.spec(kind, FILES, read=("docs/",), write=("docs/deep/", "docs/made/"))
    written, seen = outcome(
        the_house, spec, ["docs/a.md", "docs/deep/b.md", "docs/made/x"], ["docs", "docs/a.md"]
    )
    assert written == {"docs/a.md": READ_ONLY, "docs/deep/b.md": "", "docs/made/x": ""}
    assert seen == {"docs": "a.md deep made", "docs/a.md": "a\n"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("write", [(".",), ("docs/",), ()])
def test_included_paths_are_shown_and_cannot_be_written(
    the_house: House, kind: str, write: tuple[str, ...]
) -> None:
    modules = the_house.directory({"lib/index.js": "js\n"})
    env = the_house.directory({"env": "A=1\n"}) / "env"
    spec = the_house.spec(
        kind,
        FILES,
        write=write,
        included=((str(modules), "node_modules"), (str(env), "config/.env")),
    )
    written, seen = outcome(
        the_house,
        spec,
        ["node_modules/lib/index.js", "node_modules/new", "config/.env"],
        ["node_modules/lib/index.js", "config/.env", "README.md"],
    )
    assert set(written.values()) == {READ_ONLY}
    assert seen == {
        "node_modules/lib/index.js": "js\n",
        "config/.env": "A=1\n",
        "README.md": "readme\n",
    }


def test_an_included_path_that_is_not_there_or_is_a_link_is_refused(the_house: House) -> None:
    place = the_house.directory({"real/x": "x", "a": "a"})
    (place / "link").symlink_to("/etc")
    for path, problem in (
        ("absent", "does not exist"),
        ("link", "link"),
        ("link/passwd", "link"),
        ("../x", "leaves the workspace"),
    ):
        spec = the_house.spec("copy", FILES, included=((str(place / path), path),))
        with pytest.raises(ConfigurationError, match=problem):
            the_house.launcher.start(spec)


def test_an_included_path_that_is_not_absolute_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("a")
    monkeypatch.chdir(tmp_path)
    check_included(str(tmp_path / "a"), "a")
    with pytest.raises(ConfigurationError, match="not absolute"):
        check_included("a", "a")


def test_several_layers_show_as_one(the_house: House) -> None:
    top, base = the_house.directory({"docs/top.md": "top\n"}), the_house.directory(FILES)
    spec = the_house.spec("read_only")
    spec = replace(spec, workspace=WorkspaceMount("read_only", lower=(top, base)))
    _, seen = outcome(the_house, spec, [], ["docs", "README.md"])
    assert seen == {"docs": "a.md deep top.md", "README.md": "readme\n"}
    narrow = replace(spec, read=("docs/",))
    _, seen = outcome(the_house, narrow, [], [".", "docs"])
    assert seen == {".": "docs", "docs": "a.md deep top.md"}


def link(house: House, directory: Path) -> Path:
    (directory / "docs" / "link").symlink_to("/etc")
    (directory / "file").symlink_to("/etc/passwd")
    return directory


@pytest.mark.parametrize(
    ("read", "write"),
    [((".",), ("docs/link/",)), ((".",), ("docs/link/x",)), (("file",), ()), ((".",), ("file",))],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_granted_path_through_a_link_is_refused(
    the_house: House, kind: str, read: tuple[str, ...], write: tuple[str, ...]
) -> None:
    spec = the_house.spec(kind, FILES)
    link(the_house, spec.workspace.layers[0])
    with pytest.raises(ConfigurationError, match="link"):
        the_house.launcher.start(replace(spec, read=read, write=write))


@pytest.mark.parametrize("path", ["../x/", "/etc/", ".."])
def test_a_granted_path_outside_is_refused(the_house: House, path: str) -> None:
    with pytest.raises(ConfigurationError, match="leaves the workspace"):
        the_house.launcher.start(the_house.spec("copy", FILES, write=(path,)))


def test_a_granted_directory_that_is_a_file_is_refused(the_house: House) -> None:
    with pytest.raises(ConfigurationError, match="is a file"):
        the_house.launcher.start(the_house.spec("copy", FILES, write=("README.md/",)))


def test_a_crowd_of_neighbours_is_left_to_the_collection_rules(the_house: House) -> None:
    files = {f"many/{n}": "x" for n in range(300)}
    spec = the_house.spec("overlay", files, write=("many/new",))
    written, _ = outcome(the_house, spec, ["many/new", "new"])
    assert written == {"many/new": "", "new": READ_ONLY}


def test_nothing_at_all_is_an_empty_workspace(the_house: House) -> None:
    spec = the_house.spec("overlay", FILES, read=(), write=())
    written, seen = outcome(the_house, spec, ["new"], ["."])
    assert written == {"new": READ_ONLY}
    assert seen == {".": ""}


@pytest.mark.parametrize("kind", ["overlay", "copy", "read_only"])
def test_a_mount_without_its_directories_is_refused(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="lacks directories"):
        WorkspaceMount(kind)


def test_a_read_only_workspace_cannot_be_granted_for_writing(the_house: House) -> None:
    with pytest.raises(ConfigurationError, match="read-only workspace"):
        CellSpec(workspace=the_house.mount("read_only", FILES))
