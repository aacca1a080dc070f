"""What was added by name is kept whole, found again, and never taken twice."""

from __future__ import annotations

import resource
import stat
from typing import TYPE_CHECKING

import pytest

from cleveragents.config.library import Library
from cleveragents.errors import ConfigurationError, UnknownSafetyProfileError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def library(home: Path) -> Library:
    return Library(home)


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def kept(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def test_an_empty_library_holds_nothing(library: Library) -> None:
    assert library.safety_profiles() == {}
    assert library.automation_profile_names() == ()
    assert library.tool_files() == ()


def test_a_safety_profile_is_kept_as_it_was_added(
    library: Library, home: Path, tmp_path: Path
) -> None:
    file = written(tmp_path / "x.yaml", "name: mine\ndenied_tools: [run_command]\n")
    assert library.add_safety_profile(file) == "mine"
    file.write_text("name: mine\n", encoding="utf-8")
    assert library.safety_profiles()["mine"].denied_tools == ("run_command",)
    (path,) = (home / "library" / "safety_profiles").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for directory in (path.parent, path.parent.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    library.remove_safety_profile("mine")
    assert kept(home) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: read-only\n", "'read-only' is built in; choose another name"),
        ("name: ../x\n", "'../x' cannot be the name of a safety profile"),
        ("name: mine\nwirte: []\n", "wirte: unknown key, did you mean 'write'?"),
        ("[]", "expected a mapping, found a list"),
        ("name: [", "is not YAML"),
    ],
)
def test_a_profile_that_cannot_be_kept_changes_nothing(
    library: Library, home: Path, tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        library.add_safety_profile(written(tmp_path / "x.yaml", text))
    assert sentence in caught.value.message
    assert kept(home) == []


def test_a_name_is_taken_once(library: Library, home: Path, tmp_path: Path) -> None:
    first = written(tmp_path / "a.yaml", "name: mine\ndescription: first\n")
    library.add_safety_profile(first)
    with pytest.raises(ConfigurationError, match="'mine' was added before; remove it first"):
        library.add_safety_profile(written(tmp_path / "b.yaml", "name: mine\n"))
    assert library.safety_profiles()["mine"].description == "first"
    assert kept(home) == ["library/safety_profiles/mine.yaml"]


def test_removing_what_is_not_there_names_what_is(library: Library, tmp_path: Path) -> None:
    library.add_safety_profile(written(tmp_path / "a.yaml", "name: mine\n"))
    library.add_automation_profile(written(tmp_path / "b.yaml", "name: careful\n"))
    with pytest.raises(UnknownSafetyProfileError, match="'mien'; known: mine"):
        library.remove_safety_profile("mien")
    with pytest.raises(ConfigurationError, match="'read-only' is built in and stays"):
        library.remove_safety_profile("read-only")
    for act in (library.automation_profile, library.remove_automation_profile):
        with pytest.raises(ConfigurationError, match="did you mean 'careful'"):
            act("carefull")
    with pytest.raises(UnknownSafetyProfileError):
        library.remove_safety_profile("../../etc/passwd")


def test_an_automation_profile_goes_on_meaning_its_own_files(
    library: Library, home: Path, tmp_path: Path
) -> None:
    origin = tmp_path / "où \udcff"
    file = written(
        origin / "careful.yaml",
        "\ufeffname: careful\ntools: [t.py]\ncredentials: {K: {file: key}}\n",
    )
    assert library.add_automation_profile(file) == "careful"
    file.unlink()
    profile = library.automation_profile("careful")
    assert profile.tools == (origin / "t.py",)
    assert profile.credentials["K"].place == str(origin / "key")
    assert profile.is_trusted
    assert library.automation_profile_names() == ("careful",)
    library.remove_automation_profile("careful")
    assert kept(home) == []


def test_a_kept_file_that_was_changed_is_refused(
    library: Library, home: Path, tmp_path: Path
) -> None:
    library.add_safety_profile(written(tmp_path / "a.yaml", "name: mine\n"))
    library.add_automation_profile(written(tmp_path / "b.yaml", "name: careful\n"))
    (home / "library/safety_profiles/mine.yaml").write_text("name: other\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="holds the profile 'other', not 'mine'"):
        library.safety_profiles()
    careful = home / "library/automation_profiles/careful.yaml"
    for text in ("name: careful\n", "# added from [\nname: careful\n", '"/x"\n'):
        careful.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError, match="does not say where it was added from"):
            library.automation_profile("careful")
    careful.write_text('# added from "/x"\nname: other\n', encoding="utf-8")
    with pytest.raises(ConfigurationError, match="holds the profile 'other'"):
        library.automation_profile("careful")


def test_files_of_tools_are_kept(library: Library, home: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "my_tools.py", "x = 1\n")
    place = library.add_tools(file)
    assert library.tool_files() == (place,)
    assert place.read_text(encoding="utf-8") == "x = 1\n"
    with pytest.raises(ConfigurationError, match="'my_tools' was added before"):
        library.add_tools(file)
    with pytest.raises(ConfigurationError, match="was not added by name"):
        library.remove_tools(str(file))
    library.remove_tools(str(place))
    assert kept(home) == []


@pytest.mark.parametrize("name", ["a b.py", ".py", "é.py", "a\nb.py"])
def test_a_file_of_tools_has_a_plain_name(library: Library, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be the name of a file of tools"):
        library.add_tools(written(tmp_path / name, ""))


def test_what_was_being_written_when_the_host_died_is_not_seen(
    library: Library, home: Path, tmp_path: Path
) -> None:
    library.add_safety_profile(written(tmp_path / "a.yaml", "name: mine\n"))
    (home / "library/safety_profiles/.half.yaml").write_text("name: [", encoding="utf-8")
    assert list(library.safety_profiles()) == ["mine"]


def test_a_disk_without_room_leaves_nothing_behind(
    library: Library, home: Path, tmp_path: Path
) -> None:
    file = written(tmp_path / "a.yaml", "name: mine\n" + "# x\n" * 100)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        with pytest.raises(ConfigurationError, match=r"cannot be kept in .*: File too large"):
            library.add_safety_profile(file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert kept(home) == []
    assert library.add_safety_profile(file) == "mine"


def test_a_home_that_cannot_be_used_is_one_sentence(home: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "a.yaml", "name: mine\n")
    (home / "library").write_text("", encoding="utf-8")
    library = Library(home)
    with pytest.raises(ConfigurationError, match=r"cannot be kept in .*: File exists"):
        library.add_safety_profile(file)
    with pytest.raises(ConfigurationError, match="cannot be read: Not a directory"):
        library.safety_profiles()


def test_a_directory_in_a_files_place_is_one_sentence(home: Path, tmp_path: Path) -> None:
    library = Library(home)
    library.add_tools(written(tmp_path / "a.py", ""))
    place = home / "library/tools/b.py"
    place.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be removed: Is a directory"):
        library.remove_tools(str(place))
    (home / "library/safety_profiles").write_text("", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"cannot be kept in .*: File exists"):
        library.add_safety_profile(written(tmp_path / "a.yaml", "name: mine\n"))
