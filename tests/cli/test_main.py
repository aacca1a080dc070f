"""What ``agents`` says and returns, whatever goes wrong."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from cleveragents.cli.command import AgentsCommand, AgentsGroup
from cleveragents.cli.main import main, run
from cleveragents.cli.page import Field, Fields
from cleveragents.errors import (
    ApprovalPendingError,
    ConfigurationError,
    IsolationUnavailableError,
    MergeConflictError,
    PlanBudgetExceededError,
    RecordError,
    ToolAccessDeniedError,
)
from cleveragents.terms.answer import Answer, Message

from .command_line import Said, make_invocation, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.cli.page import Page

FORMATS = ["rich", "json", "yaml", "plain"]


def _page(data: Mapping[str, object]) -> Page:
    return (Fields(tuple(Field(k, str(v)) for k, v in data.items())),)


def program(outcome: Answer | BaseException) -> AgentsGroup:
    """``agents do``: gives an answer, or raises."""

    @click.command("do", cls=AgentsCommand, view=_page, examples="agents do")
    def do() -> Answer:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return AgentsGroup("agents", table={"do": ("Do it.", lambda: do)})


def done(outcome: Answer | BaseException, *argv: str, **how: Any) -> Said:
    return say(make_invocation("do", *argv, **how), program(outcome))


def test_an_answer_is_shown_plain_in_a_pipe() -> None:
    said = done(Answer({"a": 1}))
    assert (said.exit_code, said.out, said.err) == (0, "a  1\n", "")


def test_an_answer_is_shown_rich_on_a_terminal() -> None:
    said = done(Answer({"a": 1}), screen=True)
    assert said.exit_code == 0
    assert "\x1b[" in said.out


def test_json_is_the_envelope_and_nothing_else() -> None:
    said = done(Answer({"a": 1}, 7, (Message("info", "hello"),)), "--format", "json")
    assert said.envelope == {
        "command": "do",
        "status": "error",
        "exit_code": 7,
        "data": {"a": 1},
        "messages": [{"level": "info", "text": "hello"}],
    }
    assert list(said.envelope) == ["command", "status", "exit_code", "data", "messages"]
    assert said.exit_code == 7
    assert said.err == ""


def test_ok_is_said_for_exit_code_zero() -> None:
    assert done(Answer({}), "--format=json").envelope["status"] == "ok"


def test_yaml_is_the_same_envelope() -> None:
    out = done(Answer({"a": "x y"}), "--format", "yaml").out
    assert out == 'command: do\nstatus: ok\nexit_code: 0\ndata:\n  a: "x y"\nmessages: []\n'


@pytest.mark.parametrize("name", FORMATS)
def test_messages_go_to_stderr(name: str) -> None:
    messages = (Message("warning", "old\x1b[0m"), Message("error", "bad"), Message("info", "tip"))
    said = done(Answer({"a": 1}, 1, messages), "--format", name)
    assert said.err.startswith("warning: old\\x1b[0m\nagents: bad\n")
    assert ("tip" in said.err) is (name in {"rich", "plain"})


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError(problem="no", where="a.yaml: b"), 2),
        (ToolAccessDeniedError(tool_name="t", profile_name="p", reason="r"), 3),
        (
            PlanBudgetExceededError(
                whose="plan", dimension="cost", limit="1", spent="1", reserved="0", asked="1"
            ),
            4,
        ),
        (MergeConflictError(plan_id="p", paths=("a",)), 5),
        (IsolationUnavailableError(problem="no bwrap", fix="apt install bubblewrap"), 6),
        (ApprovalPendingError(plan_id="p", call_id="c", tool_name="t"), 7),
        (RecordError(problem="broken"), 1),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x/y"), 1),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES)), 1),
        (KeyboardInterrupt(), 130),
    ],
)
@pytest.mark.parametrize("name", FORMATS)
def test_every_error_is_one_sentence_and_its_code(
    error: BaseException, code: int, name: str
) -> None:
    said = done(error, "--format", name)
    assert said.exit_code == code
    last = said.err.strip().splitlines()[-1]
    assert last.startswith("agents: ")
    assert "Traceback" not in said.out + said.err
    assert len(said.err.strip().splitlines()) <= 4
    if name == "json":
        assert said.envelope["data"] is None
        assert said.envelope["exit_code"] == code
        assert said.envelope["messages"][0]["level"] == "error"
    elif name != "yaml":
        assert said.out == ""


def test_a_full_disk_is_named_with_the_file() -> None:
    said = done(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x/y"))
    assert said.err == "agents: /x/y: no space left on device\n"


def test_ctrl_c_says_how_to_go_on() -> None:
    invocation = make_invocation("do")
    invocation.plan_id = "01J8"
    said = say(invocation, program(KeyboardInterrupt()))
    assert said.err.endswith("agents: interrupted; 'agents plan resume 01J8' goes on\n")


def test_a_reader_that_went_away_is_no_news() -> None:
    said = done(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert (said.exit_code, said.out, said.err) == (1, "", "")


def test_an_unexpected_exception_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        done(ZeroDivisionError())


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["plan", "statsu"], "no command is named 'statsu', did you mean 'status'?"),
        (["pla"], "no command is named 'pla', did you mean 'plan'?"),
        (["plan", "zzzz"], "no command is named 'zzzz'; known: run, list, status"),
        (["plan", "status", "--fromat", "json"], "did you mean '--format'?"),
        (["plan", "list", "--state", "dead"], "invalid value for '--state': 'dead' is not one of"),
        (["plan", "list", "--format", "xml"], "invalid value for '--format': 'xml' is not one of"),
        (["plan", "status", "a", "b"], "got unexpected extra argument (b)"),
        (["plan", "run"], "give either a FILE or --goal TEXT"),
        (["plan", "run", "f", "--goal", "x"], "give either a FILE or --goal TEXT"),
        (["plan", "run", "f", "--input", "a"], "'a' is not of the form name=value"),
        (["plan", "run", "f", "--input", "a=1", "--input", "a=2"], "'a' is given twice"),
        (["plan", "run", "f", "--isolation", "off"], "'off' is not 'off-unsafe'"),
        (["plan", "approve", "01J8"], "missing argument 'CALL'"),
        (["plan", "resolve", "01J8", "a"], "missing option '--take'"),
        (["plan", "run", "--max-cost"], "option '--max-cost' requires an argument"),
        (["audit", "show", "x"], "invalid value for 'ID': 'x' is not a valid integer"),
        (["completion", "tcsh"], "invalid value for 'SHELL': 'tcsh' is not one of"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_exit_2(argv: list[str], sentence: str) -> None:
    said = say(make_invocation(*argv))
    assert said.exit_code == 2
    assert said.out == ""
    assert sentence in said.err
    assert said.err.startswith("agents: ")
    assert said.err.count("\n") == 1
    assert "--help'" in said.err


def test_a_wrong_option_still_gets_its_envelope() -> None:
    said = say(make_invocation("plan", "list", "--nope", "--format", "json"))
    assert said.envelope["command"] == "plan list"
    assert said.envelope["exit_code"] == 2
    assert said.envelope["data"] is None


def test_the_format_may_stand_before_the_command() -> None:
    said = say(make_invocation("--format", "json", "plan", "nope"))
    assert said.envelope["exit_code"] == 2


@pytest.mark.parametrize("argv", [[], ["plan"], ["audit"]])
def test_no_command_is_answered_by_the_help(argv: list[str]) -> None:
    said = say(make_invocation(*argv))
    assert said.exit_code == 2
    assert said.out == ""
    assert "Commands:" in said.err


def _all_commands() -> list[list[str]]:
    from cleveragents.cli.main import agents

    found: list[list[str]] = []

    def walk(command: click.Command, words: list[str]) -> None:
        found.append(words)
        if isinstance(command, click.Group):
            ctx = click.Context(command)
            for name in command.list_commands(ctx):
                child = command.get_command(ctx, name)
                assert child is not None
                walk(child, [*words, name])

    walk(agents, [])
    return found


@pytest.mark.parametrize("words", _all_commands(), ids=" ".join)
def test_every_command_has_help_with_examples(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert say(make_invocation(*words, "--help")).exit_code == 0
    shown = capsys.readouterr().out
    assert "Examples:\n  agents " in shown
    assert words == [] or f"agents {' '.join(words)}" in shown


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert say(make_invocation("--version")).exit_code == 0
    assert capsys.readouterr().out.startswith("agents ")


def process(*argv: str, home: Path, **how: Any) -> subprocess.CompletedProcess[str]:
    """The real process, which only a few tests need."""
    command = [sys.executable, "-m", "cleveragents", *argv]
    environ = {"CLEVERAGENTS_HOME": str(home), "PATH": os.defpath, **how.pop("environ", {})}
    how.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(
        command, stderr=subprocess.PIPE, text=True, env=environ, check=False, timeout=60, **how
    )


def test_a_full_output_is_said_in_one_sentence(home: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        ended = process("completion", "bash", home=home, stdout=full)
    assert ended.returncode == 1
    assert ended.stderr == "agents: cannot write the answer: No space left on device\n"


def test_a_closed_reader_ends_it_quietly(home: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = process("completion", "bash", home=home, stdout=writing)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_closed_streams_are_no_crash(home: Path) -> None:
    command = f"exec {sys.executable} -m cleveragents completion fish <&- >&- 2>&-"
    ended = subprocess.run(["sh", "-c", command], check=False, timeout=60)
    assert ended.returncode == 0


def test_a_poor_encoding_spells_out_what_it_lacks(home: Path) -> None:
    ended = process(
        "plan", "ü", home=home, environ={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    )
    assert ended.returncode == 2
    assert "'\\xfc'" in ended.stderr


def test_a_full_output_in_process() -> None:
    invocation = make_invocation("do")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        invocation.stdout = full
        assert run(invocation, program(Answer({"a": 1}))) == 1
        assert isinstance(invocation.stderr, io.StringIO)
        assert "cannot write the answer" in invocation.stderr.getvalue()


def test_main_runs_the_words_of_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "argv", ["agents", "completion", "fish"])
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SystemExit) as end:
        main()
    sys.stdin.close()
    assert end.value.code == 0
    assert "_AGENTS_COMPLETE" in capsys.readouterr().out
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == ""


def test_main_bears_closed_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "argv", ["agents", "completion", "tcsh"])
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with pytest.raises(SystemExit) as end:
        main()
    sys.stdout.close()
    sys.stderr.close()
    assert end.value.code == 2


def test_completion_in_process(capsys: pytest.CaptureFixture[str]) -> None:
    assert say(make_invocation(environ={"_AGENTS_COMPLETE": "bash_source"})).exit_code == 0
    assert "agents" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (click.UsageError("Something is wrong."), "something is wrong"),
        (click.UsageError("PLAN is wrong"), "PLAN is wrong"),
        (click.NoSuchOption("--x"), "no such option '--x'; known: "),
    ],
)
def test_other_words_of_the_parser_are_adapted(error: click.UsageError, sentence: str) -> None:
    assert done(error).err.startswith(f"agents: {sentence}")


def test_help_without_our_context_is_no_crash() -> None:
    group = program(Answer(None))
    assert CliRunner().invoke(group, ["do"], standalone_mode=False).exit_code == 0
    assert "Examples:" not in CliRunner().invoke(group, ["--help"]).output


CRASH = """
import sys
import click
from cleveragents.cli import main
@click.command("boom")
def boom():
    secret = 1 / 0
main.ROOT["boom"] = ("Boom.", lambda: boom)
main.main()
"""


def test_a_fault_of_our_own_leaves_its_trace_in_a_private_file(home: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CRASH, "boom", "--format", "json"],
        capture_output=True,
        text=True,
        env={"CLEVERAGENTS_HOME": str(home)},
        check=False,
        timeout=60,
    )
    # ``boom`` is no command of ours and has no --format: click says so; without it, it crashes.
    assert ended.returncode == 2
    ended = subprocess.run(
        [sys.executable, "-c", CRASH, "boom"],
        capture_output=True,
        text=True,
        env={"CLEVERAGENTS_HOME": str(home)},
        check=False,
        timeout=60,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert "ZeroDivisionError: division by zero" in ended.stderr
    (file,) = (home / "crash").iterdir()
    assert str(file) in ended.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    assert "in boom" in file.read_text()


def test_completion_scripts_are_for_our_name() -> None:
    for shell in ("bash", "zsh", "fish"):
        said = say(make_invocation("completion", shell))
        assert "_AGENTS_COMPLETE" in said.out
        assert (
            json.loads(say(make_invocation("completion", shell, "--format", "json")).out)["data"][
                "script"
            ]
            == said.out
        )


def test_the_shell_is_offered_commands_and_plans(home: Path) -> None:
    ended = process(
        home=home,
        environ={"_AGENTS_COMPLETE": "bash_complete", "COMP_WORDS": "agents pl", "COMP_CWORD": "1"},
    )
    assert ended.stdout == "plain,plan\n"
