"""The person at the terminal: sees everything, agrees only by saying so."""

from __future__ import annotations

import io
import os
import pty
import select
import threading
from typing import TYPE_CHECKING

import pytest

from cleveragents.cli.terminal import Bystander, Terminal, forget_typed, interaction_for
from cleveragents.terms.interaction import (
    ApplyQuestion,
    ApprovalQuestion,
    Nobody,
    ProgressEvent,
)

from .command_line import make_invocation

if TYPE_CHECKING:
    from typing import TextIO

    from cleveragents.cli.invocation import Invocation

CALL = ApprovalQuestion(
    plan_id="01J8",
    call_id="build",
    tool="run_command",
    arguments={"command": "rm -rf build", "timeout_s": 5, "list": ["a", "ü"], "empty": ""},
    reason="the automation profile asks before run_command",
)


def at_terminal(typed: str) -> tuple[Terminal, Invocation, list[TextIO]]:
    invocation = make_invocation(typed=typed)
    forgotten: list[TextIO] = []
    return Terminal(invocation, forget_typed=forgotten.append), invocation, forgotten


def seen(invocation: Invocation) -> str:
    assert isinstance(invocation.stderr, io.StringIO)
    return invocation.stderr.getvalue()


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("y\n", True),
        ("YES\n", True),
        ("n\n", False),
        ("no\n", False),
        ("\n", False),
        ("what\ny\n", True),
        ("v\nn\n", False),
        ("", None),
        ("maybe", None),
    ],
)
def test_only_yes_agrees(typed: str, answer: bool | None) -> None:
    terminal, _, _ = at_terminal(typed)
    assert terminal.approve_call(CALL) is answer


def test_the_question_shows_every_argument_and_the_reason() -> None:
    terminal, invocation, _ = at_terminal("n\n")
    terminal.approve_call(CALL)
    for part in ("run_command", "rm -rf build", "5", '["a", "ü"]', '""', "asks before", "01J8"):
        assert part in seen(invocation)
    assert isinstance(invocation.stdout, io.StringIO)
    assert invocation.stdout.getvalue() == ""


def test_what_was_typed_before_is_forgotten() -> None:
    terminal, invocation, forgotten = at_terminal("x\ny\n")
    terminal.approve_call(CALL)
    assert forgotten == [invocation.stdin, invocation.stdin]


def test_a_long_argument_shows_both_ends_and_all_on_demand() -> None:
    long = ApprovalQuestion("01J8", "c", "t", {"a": "BEGIN" + "x" * 5000 + "END"}, "r")
    terminal, invocation, _ = at_terminal("n\n")
    terminal.approve_call(long)
    text = "".join(seen(invocation).split())
    assert "BEGIN" in text
    assert "END" in text
    assert "3008characters" in text
    terminal, invocation, _ = at_terminal("v\nn\n")
    terminal.approve_call(long)
    assert seen(invocation).count("x") > 5000


def test_arguments_cannot_paint_over_the_question() -> None:
    terminal, invocation, _ = at_terminal("n\n")
    terminal.approve_call(ApprovalQuestion("p", "c", "t\x1b[A", {"a": "\x1b[2J\rls"}, "\u202e"))
    assert "\x1b" not in seen(invocation)
    assert "\r" not in seen(invocation)
    assert "\u202e" not in seen(invocation)


def test_apply_shows_the_patch_and_what_is_held() -> None:
    terminal, invocation, _ = at_terminal("y\n")
    question = ApplyQuestion("01J8", "+new line\n", (".github/workflows/ci.yml",), "1 file changed")
    assert terminal.confirm_apply(question) is True
    for part in ("+new line", ".github/workflows/ci.yml", "run code", "1 file changed"):
        assert part in seen(invocation)


def test_a_long_patch_says_what_is_not_shown() -> None:
    terminal, invocation, _ = at_terminal("v\nn\n")
    patch = "".join(f"+{n}\n" for n in range(300))
    assert terminal.confirm_apply(ApplyQuestion("01J8", patch)) is False
    assert "100 more lines" in seen(invocation)
    assert "+299\n" in seen(invocation)


def test_progress_is_one_line_that_fits() -> None:
    terminal, invocation, _ = at_terminal("")
    terminal.progress(ProgressEvent("root", "started", "changelog"))
    terminal.progress(ProgressEvent("child", "call", "x" * 200))
    first, second = seen(invocation).splitlines()
    assert first == "> changelog"
    assert second.startswith("  + xxx")
    assert len(second) == 80
    assert invocation.plan_id == "root"


def test_nobody_in_a_pipe_but_the_plan_is_remembered() -> None:
    invocation = make_invocation()
    nobody = interaction_for(invocation)
    assert isinstance(nobody, Bystander)
    assert nobody.approve_call(CALL) is None
    assert nobody.confirm_apply(ApplyQuestion("p", "")) is None
    nobody.progress(ProgressEvent("root", "started", "x"))
    assert seen(invocation) == ""
    assert invocation.plan_id == "root"


def test_who_only_watches_still_sees_progress() -> None:
    invocation = make_invocation(screen=True)
    assert not invocation.is_attended
    interaction_for(invocation).progress(ProgressEvent("root", "denied", "note"))
    assert seen(invocation) == "x note\n"


def test_nobody_is_nobody() -> None:
    nobody = Nobody()
    nobody.progress(ProgressEvent("p", "call", "x"))
    assert nobody.approve_call(CALL) is None
    assert nobody.confirm_apply(ApplyQuestion("p", "")) is None


def test_one_question_at_a_time() -> None:
    terminal, invocation, _ = at_terminal("y\n" * 20)
    threads = [threading.Thread(target=terminal.approve_call, args=(CALL,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    blocks = seen(invocation).split("[y/N, v: view all] ")
    assert len(blocks) == 21
    assert all(block.count("waits for you") == 1 for block in blocks[:-1])


def test_a_real_terminal_forgets_what_was_typed_ahead() -> None:
    master, slave = pty.openpty()
    try:
        with os.fdopen(slave) as stream:
            os.write(master, b"y\n")
            assert select.select([slave], [], [], 10)[0] == [slave]
            forget_typed(stream)
            assert select.select([slave], [], [], 0)[0] == []
            invocation = make_invocation(typed="")
            invocation.stdin = stream
            terminal = interaction_for(invocation)
            assert isinstance(terminal, Terminal)
    finally:
        os.close(master)
