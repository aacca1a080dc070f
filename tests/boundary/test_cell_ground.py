"""What every cell stands on: the binary, the user, the way to Python, the runtime."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.boundary import (
    bubblewrap,
    footing,
    guest_runtime,
    uid_drop,
)
from cleveragents.boundary.uid_drop import CellUser, Passage, choose_user, is_passable
from cleveragents.errors import IsolationUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY = CellUser(65530, 65530)


def answer(versions: dict[str, str]) -> Callable[[Path], str]:
    return lambda path: versions.get(str(path), "")


@pytest.mark.parametrize(
    ("versions", "found"),
    [
        (
            {"/usr/bin/bwrap": "bubblewrap 0.11.1", "/w/bwrap": "bubblewrap 0.11.0"},
            "/usr/bin/bwrap",
        ),
        ({"/usr/bin/bwrap": "bubblewrap 0.8.0", "/w/bwrap": "bubblewrap 0.11.0"}, "/w/bwrap"),
        ({"/usr/bin/bwrap": "bubblewrap 0.8.0", "/w/bwrap": "broken"}, "/usr/bin/bwrap"),
        ({"/usr/bin/bwrap": "bubblewrap 0.7.9", "/w/bwrap": "bubblewrap 0.8"}, "/w/bwrap"),
    ],
)
def test_the_best_bubblewrap_is_taken(
    monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], found: str
) -> None:
    monkeypatch.setattr(bubblewrap, "_candidates", lambda: [Path(p) for p in versions])
    best = bubblewrap.discover(answer(versions), is_root=False)
    assert str(best.path) == found
    assert best.has_overlay == ("0.11" in best.text)


@pytest.mark.parametrize(
    ("versions", "problem"),
    [({}, "is not installed"), ({"/usr/bin/bwrap": "bubblewrap 0.4.1"}, "is older than 0.8.0")],
)
def test_without_a_usable_bubblewrap_the_fix_is_named(
    monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], problem: str
) -> None:
    monkeypatch.setattr(bubblewrap, "_candidates", lambda: [Path(p) for p in versions])
    with pytest.raises(IsolationUnavailableError, match=f"{problem}.*; install it: apt-get"):
        bubblewrap.discover(answer(versions), is_root=False)


def test_root_passes_a_setuid_binary_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    binary = tmp_path / "bwrap"
    binary.write_text("")
    binary.chmod(0o4755)
    monkeypatch.setattr(bubblewrap, "_candidates", lambda: [binary])
    versions = {str(binary): "bubblewrap 0.11.0"}
    with pytest.raises(IsolationUnavailableError, match="is setuid"):
        bubblewrap.discover(answer(versions), is_root=True)
    assert bubblewrap.discover(answer(versions), is_root=False).path == binary


def test_candidates_are_the_systems_and_the_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    monkeypatch.setattr(bubblewrap, "find_spec", lambda _: None)
    assert bubblewrap._candidates() == []


@pytest.mark.parametrize(
    ("output", "fix"),
    [
        ("bwrap: setting up uid map: Permission denied", "AppArmor"),
        ("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted", "AppArmor"),
        ("bwrap: Creating new namespace failed: Operation not permitted", "switched off"),
        ("bwrap: No permissions to creating new namespace", "switched off"),
        ("bwrap: Can't find source path /x: Permission denied", "cannot be passed"),
        ("bwrap: Can't make overlay mount on /newroot/workspace", "cannot be overlaid"),
        ("", "agents doctor"),
    ],
)
def test_a_failed_start_names_its_fix(output: str, fix: str) -> None:
    assert fix in bubblewrap.fix_for(output)


def test_the_footing_without_merged_usr(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(footing, "_is_real_directory", lambda _: True)
    found = footing.find_footing(lambda path: path, runtime=tmp_path)
    assert ("/lib64", "/lib64") in found.binds
    monkeypatch.setattr(sys, "prefix", "/usr")
    assert footing.search_path() == "/usr/local/bin:/usr/bin:/bin"


def test_an_ordinary_user_stays_and_root_takes_a_number_that_is_nobodys() -> None:
    assert choose_user(is_root=False) is None
    user = choose_user(is_root=True)
    assert user is not None
    assert user.uid in uid_drop.CELL_IDS


def test_numbers_that_belong_to_somebody_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {65520, 65522}
    monkeypatch.setattr(uid_drop, "_is_user", lambda number: number in taken)
    monkeypatch.setattr(uid_drop, "_is_group", lambda number: number == 65521)
    assert choose_user(is_root=True) == CellUser(65523, 65523)
    taken |= set(uid_drop.CELL_IDS)
    with pytest.raises(IsolationUnavailableError, match="belongs to somebody; free one"):
        choose_user(is_root=True)


def test_who_is_known_to_the_system() -> None:
    assert uid_drop._is_user(0)
    assert uid_drop._is_group(0)


def test_a_path_is_passable_by_owner_group_or_everybody(tmp_path: Path) -> None:
    place = Path("/var/tmp") / f"passable-{os.getpid()}"
    place.mkdir()
    try:
        file = place / "file"
        file.write_text("")
        mine = CellUser(place.stat().st_uid, 1)
        ours = CellUser(65531, place.stat().st_gid)
        for mode, by_owner, by_group, by_all in (
            (0o700, True, False, False),
            (0o750, True, True, False),
            (0o755, True, True, True),
            (0o711, True, True, True),
        ):
            place.chmod(mode)
            file.chmod(0o644)
            assert is_passable(file, mine) is by_owner
            assert is_passable(file, ours) is by_group
            assert is_passable(file, NOBODY) is by_all
            assert is_passable(place, NOBODY) is (mode == 0o755)
        file.chmod(0o600)
        assert not is_passable(file, NOBODY)
    finally:
        file.unlink()
        place.rmdir()


class Mounts:
    """A kernel that counts mounts, and refuses them when told to."""

    def __init__(self, *, refuse: bool = False) -> None:
        self.made: list[tuple[Any, ...]] = []
        self._refuse = refuse

    def unshare(self, _: int) -> int:
        if self._refuse:
            ctypes.set_errno(errno.EPERM)
            return -1
        return 0

    def mount(self, *what: Any) -> int:
        self.made.append(what)
        return 0


def test_an_impassable_path_gets_a_passable_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kernel = Mounts()
    monkeypatch.setattr(uid_drop, "_libc", kernel)
    monkeypatch.setattr(uid_drop, "is_passable", lambda path, _: "secret" not in str(path))
    (tmp_path / "passage").mkdir()
    (tmp_path / "secret/python/bin").mkdir(parents=True)
    (tmp_path / "secret/file").write_text("")
    passage = Passage(NOBODY, tmp_path / "passage")
    assert passage.reach(Path("/usr")) == Path("/usr")
    assert not passage.is_open
    assert passage.reach(tmp_path / "secret/python") == tmp_path / "passage/0"
    assert passage.reach(tmp_path / "secret/python/bin") == tmp_path / "passage/0/bin"
    assert passage.reach(tmp_path / "secret/file") == tmp_path / "passage/1"
    assert len(kernel.made) == 4
    assert Passage(None, tmp_path).reach(tmp_path / "secret") == tmp_path / "secret"


def test_no_passage_is_no_isolation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(uid_drop, "_libc", Mounts(refuse=True))
    monkeypatch.setattr(uid_drop, "is_passable", lambda *_: False)
    with pytest.raises(IsolationUnavailableError, match=r"cannot pass to .*CAP_SYS_ADMIN"):
        Passage(NOBODY, tmp_path).reach(tmp_path / "python")


def test_the_runtime_is_copied_once_and_named_by_its_content(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = guest_runtime.prepare(tmp_path / "runtime", user=NOBODY)
    assert guest_runtime.prepare(tmp_path / "runtime", user=NOBODY) == first
    assert "65530" in (first / "etc/passwd").read_text()
    names = {str(p.relative_to(first)) for p in first.rglob("*.py")}
    assert "site/cleveragents/guest/entry.py" in names
    assert not any(room in name for name in names for room in ("broker", "policy", "record"))
    assert not any(p.stat().st_mode & 0o022 for p in first.rglob("*"))
    assert len(list(first.rglob("*.pyc"))) == len(names)
    # Another content has another name; a copy that nobody has used for long goes.
    os.utime(first, (0, 0))
    monkeypatch.setattr(sys, "version", "another")
    second = guest_runtime.prepare(tmp_path / "runtime", user=NOBODY)
    assert second != first
    assert not first.exists()
    assert [p.name for p in (tmp_path / "runtime").iterdir()] == [second.name]


def test_a_runtime_that_cannot_be_written_is_no_isolation(tmp_path: Path) -> None:
    (tmp_path / "runtime").write_text("a file")
    with pytest.raises(IsolationUnavailableError, match=r"cannot be written.*CLEVERAGENTS_HOME"):
        guest_runtime.prepare(tmp_path / "runtime", user=None)


def test_a_runtime_whose_place_is_taken_is_no_isolation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(guest_runtime, "_name", lambda *_: "name")
    (tmp_path / "name").write_text("a file")
    with pytest.raises(IsolationUnavailableError, match="cannot be moved"):
        guest_runtime.prepare(tmp_path, user=None)
    assert [p.name for p in tmp_path.iterdir()] == ["name"]
