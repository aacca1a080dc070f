from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import ToolFailedError
from cleveragents.terms.excerpt import MAX_RESULT_BYTES
from cleveragents.tools.body import search
from cleveragents.tools.body.glob import compile_glob, expand_braces, translate
from cleveragents.tools.body.ignore import IgnoreRules, read_rules
from cleveragents.tools.body.search import search_files
from cleveragents.tools.body.time_limit import TimeIsUp, TimeLimit

if TYPE_CHECKING:
    from pathlib import Path


def _found(root: int, **arguments: object) -> list[str]:
    result = search_files(root, arguments)
    matches = result["matches"]
    assert isinstance(matches, list)
    return [f"{match['path']}:{match['line']}" for match in matches]


def _write(workspace: Path, **files: str) -> None:
    for name, content in files.items():
        path = workspace / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.fixture
def tree(workspace: Path) -> Path:
    for path, content in {
        "a.py": "import os\nTODO: one\n",
        "b.txt": "TODO two\r\nnothing\n",
        "src/c.py": "# TODO(three)\n",
        "src/deep/d.py": "pass\n\n# todo four\n",
        "build/out.py": "TODO generated\n",
        ".git/config": "TODO never\n",
        "bin.dat": "TODO\0",
        ".gitignore": "build/\n*.log\n!keep.log\n",
        "x.log": "TODO log",
        "keep.log": "TODO kept",
    }.items():
        (workspace / path).parent.mkdir(parents=True, exist_ok=True)
        (workspace / path).write_text(content)
    (workspace / "link.py").symlink_to("a.py")
    (workspace / "dirlink").symlink_to("src")
    os.mkfifo(workspace / "pipe.py")
    return workspace


def test_finds_lines_honours_gitignore_and_follows_no_link(root: int, tree: Path) -> None:
    assert _found(root, pattern="TODO") == ["a.py:2", "b.txt:1", "keep.log:1", "src/c.py:1"]


def test_gives_the_line_without_its_end_and_counts_the_files(root: int, tree: Path) -> None:
    result = search_files(root, {"pattern": "two"})
    assert result["matches"] == [{"path": "b.txt", "line": 1, "text": "TODO two"}]
    assert (result["truncated"], result["files"], result["skipped"]) == (False, 6, 0)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"pattern": "(?i)todo", "glob": "*.py"}, ["a.py:2", "src/c.py:1", "src/deep/d.py:3"]),
        ({"pattern": "(?i)todo", "glob": "src/*.py"}, ["src/c.py:1"]),
        ({"pattern": "(?i)todo", "glob": "/*.py"}, ["a.py:2"]),
        ({"pattern": "(?i)todo", "glob": "**/deep/**"}, ["src/deep/d.py:3"]),
        ({"pattern": "TODO", "glob": "*.{txt,log}"}, ["b.txt:1", "keep.log:1"]),
        ({"pattern": "^# TODO\\(three\\)$"}, ["src/c.py:1"]),
        ({"pattern": "TODO", "path": "src"}, ["src/c.py:1"]),
        ({"pattern": "TODO", "path": "a.py"}, ["a.py:2"]),
        ({"pattern": "TODO", "path": "build"}, ["build/out.py:1"]),
        ({"pattern": "TODO", "path": "x.log"}, ["x.log:1"]),
        ({"pattern": "nowhere"}, []),
    ],
)
def test_narrows_by_path_and_glob(
    root: int, tree: Path, arguments: dict[str, object], found: list[str]
) -> None:
    assert _found(root, **arguments) == found


def test_rules_of_the_directories_above_hold_below(root: int, tree: Path) -> None:
    (tree / "src" / "deep" / "e.log").write_text("TODO")
    (tree / "src" / ".gitignore").write_text("c.py\n")
    assert _found(root, pattern="TODO", path="src/deep") == []
    assert _found(root, pattern="TODO", path="src") == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"pattern": "("}, "'pattern' is malformed"),
        ({"pattern": "x" * 1_001}, "longer than 1000"),
        ({"pattern": "a{1,99999999999999999999}"}, "'pattern' is malformed"),
        ({"pattern": "x", "glob": "[a"}, "'glob' is malformed"),
        ({"pattern": "x", "path": "none"}, "does not exist"),
        ({"pattern": "x", "path": "../"}, "outside"),
        ({"pattern": "x", "path": "pipe.py"}, "neither file nor directory"),
        ({"pattern": 3}, "not a text"),
        ({"pattern": "x", "path": 3}, "not a text"),
    ],
)
def test_refuses(root: int, tree: Path, arguments: dict[str, object], reason: str) -> None:
    with pytest.raises(ToolFailedError, match=re.escape(reason)):
        search_files(root, arguments)


def test_a_pattern_that_backtracks_for_ever_fails_the_call(
    root: int, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "evil").write_text("a" * 60 + "!")
    monkeypatch.setattr(search, "TIME_LIMIT_S", 0.05)
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(ToolFailedError, match=r"longer than 0\.05 s"):
        search_files(root, {"pattern": "^(a|aa)+$"})
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert _found(root, pattern="a!") == ["evil:1"]


def test_the_limit_holds_outside_the_main_thread_at_the_next_look() -> None:
    outcome: list[str] = []

    def work() -> None:
        try:
            with TimeLimit(0.0) as limit:
                limit.check()
        except TimeIsUp:
            outcome.append("up")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert outcome == ["up"]


def test_an_alarm_outside_interruptible_code_is_remembered() -> None:
    with TimeLimit(60) as limit:
        signal.raise_signal(signal.SIGALRM)
        with pytest.raises(TimeIsUp), limit.interruptible():
            pass


def test_many_and_long_matches_are_cut_and_the_cut_is_said(root: int, workspace: Path) -> None:
    (workspace / "a").write_text("x\n" * 3_000)
    result = search_files(root, {"pattern": "x"})
    assert result["truncated"] is True
    assert len(_found(root, pattern="x")) == 1_000
    assert result["note"] == "cut after 1000 matches; narrow the search"
    (workspace / "a").write_text(("\x01" * 5_000 + "\n") * 900)
    (workspace / "b").write_text("\x01")
    result = search_files(root, {"pattern": "\x01"})
    assert result["truncated"] is True
    assert len(json.dumps(result)) < MAX_RESULT_BYTES
    matches = result["matches"]
    assert isinstance(matches, list)
    assert matches[0]["text"] == "\x01" * 500 + " [cut]"


def test_what_is_too_large_too_deep_or_unreadable_is_counted(
    root: int, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MAX_FILE_BYTES", 10)
    monkeypatch.setattr(search, "MAX_DEPTH", 1)
    (workspace / "large").write_text("x" * 11)
    (workspace / "d" / "e" / "f").mkdir(parents=True)
    (workspace / "d" / "a").write_text("x")
    assert search_files(root, {"pattern": "x"})["skipped"] == 2
    assert _found(root, pattern="x") == ["d/a:1"]


def test_a_file_that_vanished_is_counted(
    root: int, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "gone").write_text("x")
    real = os.open

    def refuse(path: str, flags: int, **more: int) -> int:
        if path == "gone":
            raise FileNotFoundError
        return real(path, flags, **more)

    monkeypatch.setattr(os, "open", refuse)
    assert search_files(root, {"pattern": "x"})["skipped"] == 1


IGNORE_CASES = [
    ("*.log", "a.log", True),
    ("*.log", "d/e/a.log", True),
    ("/a.log", "d/a.log", False),
    ("/a.log", "a.log", True),
    ("d/a.log", "d/a.log", True),
    ("d/a.log", "e/d/a.log", False),
    ("**/d/a", "e/d/a", True),
    ("d/**", "d/x/y", True),
    ("d/**", "d", False),
    ("d/**/a", "d/a", True),
    ("d/**/a", "d/x/y/a", True),
    ("a?c", "abc", True),
    ("a?c", "a/c", False),
    ("[ab].c", "a.c", True),
    ("[!ab].c", "a.c", False),
    ("[^ab].c", "c.c", True),
    ("[]].c", "].c", True),
    ("[a.c", "[a.c", False),
    ("[a\\", "[a", False),
    ("[z-a]", "z", True),
    ("[z-a]", "b", False),
    ("[a-c].x", "b.x", True),
    ("[a-].x", "-.x", True),
    ("[\\]].x", "].x", True),
    ("[^-a].x", "a.x", False),
    ("[a&&b].x", "&.x", True),
    ("[[:digit:]_].x", "7.x", True),
    ("[[:digit:]].x", "a.x", False),
    ("[[:none:]].x", "n.x", False),
    ("[[:digit", "d", False),
    ("[a/b]", "a", True),
    ("\\#x", "#x", True),
    ("\\!x", "!x", True),
    ("# comment", "# comment", False),
    ("x ", "x", True),
    ("x\\ ", "x ", True),
    ("x\r", "x", True),
    ("", "x", False),
    ("/", "x", False),
    ("a**b", "axxb", True),
    ("a**b", "ax/xb", False),
    ("x\n!x", "x", False),
    ("!x\nx", "x", True),
    ("a.b", "axb", False),
]


@pytest.mark.parametrize(("text", "path", "ignored"), IGNORE_CASES)
def test_ignores(text: str, path: str, *, ignored: bool) -> None:
    rules = IgnoreRules().below("", text)
    assert rules.ignores(path, is_directory=False) is ignored


@pytest.mark.parametrize(("text", "path", "ignored"), IGNORE_CASES)
def test_git_says_the_same(tmp_path: Path, text: str, path: str, *, ignored: bool) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, env=environment, check=True)
    (tmp_path / ".gitignore").write_bytes(text.encode())
    target = tmp_path / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch()
    asked = subprocess.run(
        ["git", "check-ignore", "-q", "--no-index", "--", path],
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert (asked.returncode == 0) is ignored


def test_a_directory_rule_is_about_directories_and_nearer_rules_decide() -> None:
    rules = IgnoreRules().below("", "build/\n*.c\n").below("src/", "!a.c\n/b\n")
    assert rules.ignores("build", is_directory=True)
    assert not rules.ignores("build", is_directory=False)
    assert not rules.ignores("src/a.c", is_directory=False)
    assert rules.ignores("src/c.c", is_directory=False)
    assert rules.ignores("src/b", is_directory=False)
    assert not rules.ignores("src/d/b", is_directory=False)
    assert IgnoreRules().below("x/", "# nothing\n") == IgnoreRules()


def test_a_gitignore_that_cannot_be_read_counts_as_absent(root: int, workspace: Path) -> None:
    (workspace / ".gitignore").mkdir()
    assert read_rules(root, "", IgnoreRules()) == IgnoreRules()


def test_braces_do_not_multiply_without_end() -> None:
    assert expand_braces("{a,b}{c,d}") == ["ac", "ad", "bc", "bd"]
    assert len(expand_braces("{a,b}" * 30)) <= 66
    assert compile_glob("*.py").fullmatch("a/b/c.py")
    assert re.fullmatch(translate("a\\"), "a\\")
