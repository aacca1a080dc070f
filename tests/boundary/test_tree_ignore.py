"""``.gitignore`` means what git says that it means, whatever is written in it."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cleveragents.boundary.ignore_pattern import parse_ignore
from cleveragents.boundary.leave_out import IgnoreScope, LeaveOutRules, LeaveOutTree

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = [
    "a", "b", "*", "**", "?", "/", "!", "[ab]", "[!a]", "[a-c]", "[[:alpha:]]", "[[:x:]]", "\\*",
    " ", ".", "foo", "#", "[", "-", "]", "**/", "/**", "\\ ", "[\\]]", "[b-a]", "[^", "\\",
]  # fmt: skip
NAMES = ["a", "b", "ab", "foo", "a b", "*", "c.a", "b ", "#", "[", "a-b", "!a", "a]", "]"]
LINE = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=6).map("".join)
# `**\\/` is taken for `**/` by git in one of its two readings only; nobody writes it.
TEXT = st.lists(LINE.filter(lambda line: "*\\/" not in line), min_size=1, max_size=3)
PATHS = st.lists(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join), min_size=5, max_size=15
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("ignore")
    subprocess.run(["git", "init", "-q", place], check=True)
    return place


def gits_answer(repository: Path, text: str, paths: list[str]) -> set[str]:
    (repository / ".gitignore").write_text(text)
    done = subprocess.run(
        ["git", "-C", repository, "check-ignore", "-z", "--no-index", "--stdin"],
        input="\0".join(paths).encode(),
        capture_output=True,
        check=False,
        env=os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null"},
    )
    return set(done.stdout.decode().split("\0")) - {""}


def our_answer(text: str, paths: list[str]) -> set[str]:
    tree = LeaveOutTree(LeaveOutRules(secrets=()), lambda at: text if not at else None)
    return {path for path in paths if tree.leaves_out(path)}


@given(TEXT, PATHS)
@example(["[b-a]"], ["a", "b"])
def test_random_patterns_mean_what_git_says(
    repository: Path, lines: list[str], paths: list[str]
) -> None:
    text = "\n".join(lines) + "\n"
    assert our_answer(text, paths) == gits_answer(repository, text, paths)


@pytest.mark.parametrize(
    "text",
    [
        "*.pyc\nbuild/\n/dist\n!keep.pyc\n",
        "/*\n!/src\n/src/*\n!/src/a\n",
        "doc/*.txt\ndoc/**/*.pdf\n**/logs\nabc/**\n",
        "# comment\n\\#real\n\\!bang\ntrail\\ \nspace   \n",
        "\ufeffbom\nwindows\r\n",
        "foo**/bar\na**\n***/x\n",
        "[[:digit:]]x\n[[:nope:]]y\n[a\n[]a]z\n[!]a]w\n",
        "node_modules\n!node_modules/keep\n",
        "/\n//\n!\n\n   \n",
    ],
)
def test_what_people_write_means_what_git_says(repository: Path, text: str) -> None:
    paths = [
        "x.pyc", "keep.pyc", "d/x.pyc", "build/a", "d/build/a", "build", "dist", "d/dist", "src/a",
        "src/b", "src/a/b", "top", "doc/a.txt", "doc/b/a.txt", "doc/b/c/a.pdf", "doc/a.pdf",
        "logs", "a/b/logs/c", "abc", "abc/d", "abc/d/e", "#real", "!bang", "trail ", "trail",
        "space", "bom", "windows", "foobar", "foo/bar", "foo1/bar", "foo/x/bar", "ab", "x", "q/x",
        "1x", "ay", "[a", "]z", "az", "bw", "]w", "node_modules/keep", "node_modules/b",
    ]  # fmt: skip
    assert our_answer(text, paths) == gits_answer(repository, text, paths)


@pytest.mark.parametrize(
    "pattern", ["*a" * 30 + "b", "**/a/" * 30 + "b", "[a-z]*" * 30 + "0", "?*" * 40 + "!"]
)
def test_a_hostile_pattern_takes_no_time(pattern: str) -> None:
    began = time.process_time()
    for path in ("a" * 250, "/".join("a" * 100), "a/" * 99 + "c"):
        parse_ignore(pattern).verdict(path, path.rpartition("/")[2], is_directory=False)
    assert time.process_time() - began < 1.0


def test_an_absurdly_long_line_is_no_pattern() -> None:
    assert parse_ignore("a" * 5000 + "\n").patterns == ()


def test_a_nearer_file_decides_before_a_farther_one() -> None:
    texts = {"": "*.log\nout/\n", "d/": "!keep.log\n", "d/e/": "*\n", "out/": "!*\n"}
    tree = LeaveOutTree(LeaveOutRules(), texts.get)
    assert tree.leaves_out("keep.log")
    assert tree.leaves_out("d/x.log")
    assert not tree.leaves_out("d/keep.log")
    assert tree.leaves_out("d/e/anything")
    assert tree.leaves_out("out/below"), "what lies in an ignored directory cannot be kept"


def test_a_scope_without_a_pattern_is_the_same_scope() -> None:
    scope = IgnoreScope()
    assert scope.with_text(None) is scope
    assert scope.with_text("# nothing\n\n") is scope
    assert scope.enter("d", is_ignored=True).ignores("x", is_directory=False)


@pytest.mark.parametrize(
    "path",
    [".env", "a/.ENV", ".env.local", "x.pem", "id_rsa", "id_rsa.old", "d/credentials.json",
     ".docker/config.json", "home/.docker/config.json", "terraform.tfstate", "My.Key"],
)  # fmt: skip
def test_a_secret_is_known_by_its_name(path: str) -> None:
    assert LeaveOutRules().is_secret(path)


@pytest.mark.parametrize("path", [".aws", "x/.SSH", ".config/gcloud"])
def test_a_directory_of_secrets_is_known_by_its_name(path: str) -> None:
    assert LeaveOutRules().is_secret(path, is_directory=True)


@pytest.mark.parametrize(
    "path",
    [".env.example", ".env.sample", ".env.template", "environment.py", "key.py",
     "docker/config.json",
     "id_rsa.pub", "credentials.py", "pem"],
)  # fmt: skip
def test_what_only_sounds_like_a_secret_is_shown(path: str) -> None:
    assert not LeaveOutRules().is_secret(path)


def test_what_the_operator_names_is_shown() -> None:
    rules = LeaveOutRules(shown=("node_modules/", "config/.env"))
    tree = LeaveOutTree(rules, lambda at: None if at else "node_modules\n")
    assert not tree.leaves_out("node_modules/a/b.js")
    assert not tree.leaves_out("config/.env")
    assert tree.leaves_out(".env")
    assert rules.is_shown("node_modules")
    assert rules.leads_to_shown("config")
    assert not rules.leads_to_shown("conf")


def test_no_secret_names_means_none() -> None:
    assert not LeaveOutRules(secrets=()).is_secret(".env")
    assert not LeaveOutRules(secrets=()).is_secret(".ssh", is_directory=True)
