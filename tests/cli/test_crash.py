"""A fault of the program itself: one sentence, and a trace for its owner alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cleveragents.cli.crash import report

from .command_line import make_invocation

if TYPE_CHECKING:
    from cleveragents.cli.invocation import Invocation


def crashed(home: Path | None, *argv: str, error: BaseException | None = None) -> Invocation:
    environ = {"CLEVERAGENTS_HOME": str(home) if home else "no/absolute/path"}
    invocation = make_invocation(*argv, environ=environ)
    report(error or RuntimeError("\x1b[2J" + "x" * 999), invocation)
    return invocation


def err(invocation: Invocation) -> str:
    assert isinstance(invocation.stderr, io.StringIO)
    return invocation.stderr.getvalue()


def test_one_sentence_and_a_private_file(home: Path) -> None:
    said = err(crashed(home))
    assert said.count("\n") == 1
    assert "\x1b" not in said
    (file,) = (home / "crash").iterdir()
    assert str(file) in said
    assert file.stat().st_mode & 0o777 == 0o600
    assert (home / "crash").stat().st_mode & 0o777 == 0o700
    assert "RuntimeError" in file.read_text()


def test_two_crashes_leave_two_files(home: Path) -> None:
    crashed(home)
    crashed(home)
    assert len(list((home / "crash").iterdir())) == 2


def test_without_a_home_the_trace_is_still_kept() -> None:
    said = err(crashed(None)).strip()
    file = Path(said.rpartition(" ")[2])
    assert file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    file.parent.rmdir()


def test_a_home_that_cannot_be_written_is_said(home: Path) -> None:
    (home / "crash").write_text("in the way")
    assert "could not be written: " in err(crashed(home))


def test_the_envelope_comes_too(home: Path) -> None:
    invocation = crashed(home, "plan", "--format", "json")
    assert isinstance(invocation.stdout, io.StringIO)
    assert '"data": null' in invocation.stdout.getvalue()


def test_ctrl_c_before_any_command_is_no_crash(home: Path) -> None:
    assert err(crashed(home, error=KeyboardInterrupt())) == ""
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("text", ["\udc80", "ü"])
def test_any_text_can_be_written(home: Path, text: str) -> None:
    crashed(home, error=RuntimeError(text))
    assert list((home / "crash").iterdir())
