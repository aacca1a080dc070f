from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from cleveragents.errors import ToolFailedError
from cleveragents.terms.excerpt import MAX_RESULT_BYTES
from cleveragents.tools.body import command
from cleveragents.tools.body.command import run_command


def test_a_string_is_for_the_shell_and_runs_in_the_workspace(root: int, workspace: Path) -> None:
    result = run_command(root, {"command": "pwd; echo to-err >&2; echo $PWD"})
    assert result["stdout"] == f"{workspace}\n{workspace}\n"
    assert (result["stderr"], result["exit_code"]) == ("to-err\n", 0)
    assert isinstance(result["duration_s"], float)
    assert result["truncated"] is False


def test_a_list_is_a_program_and_its_arguments_to_the_letter(root: int) -> None:
    result = run_command(root, {"command": ["printf", "%s|", "a b", "$HOME", ";ls"]})
    assert result["stdout"] == "a b|$HOME|;ls|"


@pytest.mark.parametrize(("line", "code"), [("exit 3", 3), ("kill -9 $$", 137), ("none-such", 127)])
def test_an_exit_code_is_a_result(root: int, line: str, code: int) -> None:
    assert run_command(root, {"command": line})["exit_code"] == code


def test_standard_input_is_empty_and_the_environment_is_built_from_nothing(
    root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEVERAGENTS_CHANNEL", "7")
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    result = run_command(root, {"command": "cat; env"})
    names = {line.partition("=")[0] for line in str(result["stdout"]).splitlines()}
    assert names - {"_", "SHLVL"} <= {"PATH", "HOME", "LANG", "TMPDIR", "PWD"}


def test_no_descriptor_of_ours_is_inherited(root: int) -> None:
    reading, writing = os.pipe()
    try:
        os.set_inheritable(writing, True)  # the library's way
        shown = str(run_command(root, {"command": ["ls", "/proc/self/fd"]})["stdout"]).split()
    finally:
        os.close(reading)
        os.close(writing)
    # ls itself opens the directory that it lists.
    assert set(shown) <= {"0", "1", "2", "3"}


def test_it_has_a_session_of_its_own(root: int) -> None:
    script = "import os; print(os.getsid(0) == os.getpid())"
    assert run_command(root, {"command": [sys.executable, "-I", "-c", script]})["stdout"] == (
        "True\n"
    )


def test_long_output_keeps_head_and_tail_and_says_the_cut(root: int) -> None:
    script = "seq 1 100000; seq 1 5 >&2"
    result = run_command(root, {"command": script})
    stdout = str(result["stdout"])
    assert stdout.startswith("1\n2\n")
    assert stdout.endswith("99999\n100000\n")
    cut = 588_895 - command.HEAD_BYTES - command.TAIL_BYTES
    assert f"\n[{cut} bytes cut]\n" in stdout
    assert (result["truncated"], result["stderr"]) == (True, "1\n2\n3\n4\n5\n")


@pytest.mark.parametrize("byte", ["\\001", "\\377", "a"])
def test_any_output_fits_into_one_message(root: int, byte: str) -> None:
    line = f"head -c 400000 /dev/zero | tr '\\0' '{byte}' | tee /dev/stderr"
    result = run_command(root, {"command": line})
    assert len(json.dumps(result, ensure_ascii=False).encode()) < MAX_RESULT_BYTES
    assert result["truncated"] is True


def test_output_that_grows_as_json_is_cut_too(root: int) -> None:
    result = run_command(root, {"command": "head -c 120000 /dev/zero | tr '\\0' '\\001'"})
    assert str(result["stdout"]).endswith("characters cut]")
    assert result["truncated"] is True


def test_at_its_time_limit_it_is_ended_with_its_session(root: int, workspace: Path) -> None:
    line = "echo before; (sleep 30; touch late) & echo $! > pid; sleep 30"
    with pytest.raises(ToolFailedError, match=r"longer than 1 s.*'before'"):
        run_command(root, {"command": line, "timeout_s": 1})
    assert _is_gone(int((workspace / "pid").read_text()))


def test_a_silent_command_at_its_limit_says_only_that(root: int) -> None:
    with pytest.raises(ToolFailedError, match=r"was ended$"):
        run_command(root, {"command": "exec >&- 2>&-; sleep 30", "timeout_s": 1})


def test_what_it_left_behind_is_not_waited_for(root: int, workspace: Path) -> None:
    started = time.monotonic()
    result = run_command(root, {"command": "sleep 30 & echo $! > pid; echo done"})
    pid = int((workspace / "pid").read_text())
    os.kill(pid, 9)
    assert result["stdout"] == "done\n"
    assert time.monotonic() - started < 20


def test_without_a_descriptor_for_the_end_it_is_looked_for(
    root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(pid: int) -> int:
        raise OSError

    monkeypatch.setattr(os, "pidfd_open", none)
    assert run_command(root, {"command": "sleep 0.05; echo x"})["stdout"] == "x\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"command": ["none-such-program"]}, "no program is named"),
        ({"command": ["./plain"]}, "cannot be started: Permission denied"),
        ({"command": ["echo", "a\0b"]}, "NUL"),
        ({"command": "x\ud800"}, "Unicode"),
        ({"command": []}, "neither"),
        ({"command": [1]}, "neither"),
        ({"command": [""]}, "neither"),
        ({"command": ""}, "neither"),
        ({}, "neither"),
        ({"command": "true", "timeout_s": -1}, "whole number"),
    ],
)
def test_refuses(root: int, workspace: Path, arguments: dict[str, object], reason: str) -> None:
    (workspace / "plain").write_text("no program")
    (workspace / "plain").chmod(0o644)
    with pytest.raises(ToolFailedError, match=reason):
        run_command(root, arguments)


def _is_gone(pid: int) -> bool:
    """An orphan is reaped by whoever adopts it; ended is what counts."""
    for _ in range(1_000):
        try:
            status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
            if status.rpartition(")")[2].split()[0] in "ZX":
                return True
        except OSError:
            return True
        os.sched_yield()
    return False
