"""Live directories: who the cell is, what it sees, and that nothing is made to mount on."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cleveragents.boundary import live_directory
from cleveragents.boundary.cell_spec import CellSpec, LiveMount, WorkspaceMount
from cleveragents.boundary.id_map import IDS, exchanged
from cleveragents.boundary.leave_out import LeaveOutRules
from cleveragents.boundary.live_directory import (
    find_secrets,
    looked_through,
    marks_of,
    named_directory,
)
from cleveragents.boundary.live_mount import plan_live
from cleveragents.boundary.live_owner import LiveFooting, find_footing
from cleveragents.boundary.uid_drop import CellUser
from cleveragents.errors import ConfigurationError

CELL = CellUser(65520, 65520)
RULES = LeaveOutRules()


def impossible(mount: LiveMount) -> Path:
    raise OSError(errno.EINVAL, "Invalid argument", str(mount.directory))


def live(directory: Path, *, rw: bool = False, **facts: object) -> LiveMount:
    return LiveMount(directory=directory, name=directory, is_writable=rw, **facts)  # type: ignore[arg-type]  # the test's own


def planned(
    mounts: tuple[LiveMount, ...],
    *,
    read: tuple[str, ...] = (".",),
    write: tuple[str, ...] = (),
    binds: tuple[tuple[str, str], ...] = (),
) -> tuple[list[str], tuple[str, ...]]:
    first = mounts[0].directory
    spec = CellSpec(WorkspaceMount("live", tree=first), read=read, write=write, live=mounts)
    sources = {mount.directory: mount.directory for mount in mounts}
    plan = plan_live(spec, LiveFooting("own", sources, None), binds=binds)
    return list(plan.arguments), plan.writable


def triples(arguments: list[str], flag: str) -> list[tuple[str, str]]:
    return [
        (arguments[i + 1], arguments[i + 2]) for i, word in enumerate(arguments) if word == flag
    ]


@pytest.mark.parametrize("pair", [(0, 65520), (65520, 0), (1000, 1001), (1, 65520), (5, 5)])
def test_an_exchange_maps_every_id_once_each_way(pair: tuple[int, int]) -> None:
    spans = [tuple(map(int, line.split())) for line in exchanged(*pair).splitlines()]
    assert sum(size for _, _, size in spans) == IDS
    assert [inside for inside, _, _ in spans] == sorted(inside for inside, _, _ in spans)

    def outside(number: int) -> int:
        return next(o + number - i for i, o, size in spans if i <= number < i + size)

    one, other = pair
    assert (outside(one), outside(other)) == (other, one)
    assert {outside(n) for n in (2, 999, 65519, 65521, IDS - 1)} == {2, 999, 65519, 65521, IDS - 1}


def test_an_ordinary_user_is_the_cell(tmp_path: Path) -> None:
    found = find_footing([live(tmp_path, rw=True)], None, impossible)
    assert (found.way, found.user, found.sources) == ("own", None, {tmp_path: tmp_path})


def test_root_maps_owners_where_the_kernel_can(tmp_path: Path) -> None:
    place = tmp_path / "mounted"
    found = find_footing([live(tmp_path, rw=True)], CELL, lambda _: place)
    assert (found.way, found.user, found.sources) == ("mapped", CELL, {tmp_path: place})
    assert found.problem == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_without_a_map_the_cell_runs_as_the_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 1235)
    found = find_footing([live(tmp_path, rw=True)], CELL, impossible)
    assert (found.way, found.user) == ("owner", CellUser(1234, 1235))
    assert found.problem == "owners cannot be mapped: invalid argument"


@pytest.mark.skipif(os.geteuid() != 0, reason="the directory has to be root's")
def test_without_a_map_roots_own_directory_is_read_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be mounted for writing: owners cannot"):
        find_footing([live(tmp_path, rw=True)], CELL, impossible)
    assert find_footing([live(tmp_path)], CELL, impossible).way == "foreign"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_without_a_map_two_owners_cannot_be_written_for(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        os.chown(tmp_path / str(number), 1000 + number, 1000)
    mounts = [live(tmp_path / "1", rw=True), live(tmp_path / "2")]
    with pytest.raises(ConfigurationError, match="several users"):
        find_footing(mounts, CELL, impossible)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_who_may_not_write_is_told_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError, match="you may not write there"):
        find_footing([live(tmp_path, rw=True)], None, impossible)


@pytest.mark.parametrize("place", ["/", "/usr", "/etc", "/proc/self", "/dev/shm", "/sys"])
def test_places_of_the_cells_own_are_refused(place: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be mounted in a cell"):
        named_directory(Path(place), is_writable=False)


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "nothing"):
        with pytest.raises(ConfigurationError, match="is no directory"):
            named_directory(tmp_path / name, is_writable=False)


def test_a_directory_is_known_by_its_real_path_and_its_name(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "name").symlink_to("real")
    mount = named_directory(tmp_path / "name", is_writable=False)
    assert (mount.directory, mount.name) == (tmp_path / "real", tmp_path / "name")
    arguments, _ = planned((mount,))
    assert [target for _, target in triples(arguments, "--ro-bind")] == [
        "/workspace",
        *sorted([str(tmp_path / "real"), str(tmp_path / "name")], key=lambda p: p.count("/")),
    ]


def test_secrets_are_found_at_any_depth_and_shown_ones_are_not(tmp_path: Path) -> None:
    for name in (".env", "src/app.pem", "src/.env.example", "src/shown.key", ".git/credentials"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "home/.ssh").mkdir(parents=True)
    (tmp_path / "link.pem").symlink_to("src/app.pem")
    rules = LeaveOutRules(shown=("src/shown.key",))
    assert find_secrets(tmp_path, rules) == (".env", "home/.ssh/", "src/app.pem")


def test_too_many_secrets_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_directory, "MAX_MASKED", 2)
    for number in range(3):
        (tmp_path / f"{number}.pem").touch()
    with pytest.raises(ConfigurationError, match="more than 2 files that look secret"):
        find_secrets(tmp_path, RULES)


def test_marks_change_with_the_file_and_not_with_its_content(tmp_path: Path) -> None:
    secret = tmp_path / ".env"
    secret.write_text("a")
    mount = live(tmp_path, masked=(".env",))
    before = marks_of((mount,))
    secret.write_text("b")
    assert marks_of((mount,)) == before
    (tmp_path / "new").write_text("c")
    (tmp_path / "new").replace(secret)
    assert marks_of((mount,)) != before
    secret.unlink()
    assert marks_of((mount,)) == ((0, 0),)


def test_the_first_directory_is_the_workspace_and_all_are_at_their_own_paths(
    tmp_path: Path,
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = live(tmp_path / "one", rw=True), live(tmp_path / "two")
    arguments, writable = planned((one, two), write=(".",))
    assert sorted(writable) == sorted(["/workspace", str(one.directory)])
    assert {target for _, target in triples(arguments, "--ro-bind")} == {
        "/workspace",
        str(one.directory),
        str(two.directory),
    }
    assert {t for _, t in triples(arguments, "--bind")} == {"/workspace", str(one.directory)}


def test_narrow_paths_are_all_that_is_mounted(tmp_path: Path) -> None:
    for name in ("docs", "src"):
        (tmp_path / name).mkdir()
    (tmp_path / "README.md").touch()
    mount = live(tmp_path, rw=True)
    arguments, writable = planned(
        (mount,), read=("docs/", "README.md", "nothing/"), write=("docs/",)
    )
    targets = {t for _, t in triples(arguments, "--ro-bind")}
    assert targets == {
        f"{place}/{name}" for place in ("/workspace", tmp_path) for name in ("docs", "README.md")
    }
    assert set(writable) == {"/workspace/docs", f"{tmp_path}/docs"}
    assert arguments.count("--tmpfs") == 2
    assert arguments.count("--remount-ro") == 2


def test_hidden_and_guarded_paths_lie_over_everything(tmp_path: Path) -> None:
    (tmp_path / ".git/hooks").mkdir(parents=True)
    (tmp_path / ".git/config").touch()
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".env").touch()
    mount = looked_through(named_directory(tmp_path, is_writable=True), RULES)
    arguments, _ = planned((mount,), write=(".",))
    for place in ("/workspace", str(tmp_path)):
        at = arguments.index(f"{place}/.env")
        assert arguments[at - 2 : at] == ["--ro-bind", "/dev/null"]
        assert arguments[arguments.index(f"{place}/.ssh") - 1] == "--tmpfs"
        assert (f"{tmp_path}/.git/hooks", f"{place}/.git/hooks") in triples(arguments, "--ro-bind")
        assert at > arguments.index("--bind")


def test_nothing_is_mounted_on_what_is_not_there_any_more(tmp_path: Path) -> None:
    mount = live(tmp_path, rw=True, masked=(".env", ".ssh/"), guarded=(".git/config",))
    arguments, _ = planned((mount,), write=(".",), binds=(("/x", f"{tmp_path}/venv"),))
    assert not [word for word in arguments if word.startswith(f"{tmp_path}/")]
    assert not [word for word in arguments if word.startswith("/workspace/")]


def test_the_python_in_a_writable_directory_stays_read_only(tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    bind = ("/passage/0", f"{tmp_path}/venv")
    arguments, _ = planned((live(tmp_path, rw=True),), write=(".",), binds=(bind, ("/usr", "/usr")))
    bound = [t for s, t in triples(arguments, "--ro-bind") if s == "/passage/0"]
    assert set(bound) == {"/workspace/venv", f"{tmp_path}/venv"}


@pytest.mark.parametrize(
    ("write", "problem"),
    [(("a.txt",), "the single file 'a.txt'"), (("none/",), "'none' does not exist")],
)
def test_what_no_mount_can_give_is_refused(
    tmp_path: Path, write: tuple[str, ...], problem: str
) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(ConfigurationError, match=problem):
        planned((live(tmp_path, rw=True),), write=write)


def test_a_granted_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "docs").symlink_to("/etc")
    with pytest.raises(ConfigurationError, match="is or leads through a link"):
        planned((live(tmp_path),), read=("docs/",))
