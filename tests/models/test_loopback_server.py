"""The scripted provider itself, as other tests start it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import ModelFailedError
from tests.models.asking import ask, request
from tests.models.loopback_server import Answer, LoopbackServer, answer_from, calls, fails, says

if TYPE_CHECKING:
    from pathlib import Path

    from cleveragents.models.line import ModelLine


def test_a_script_goes_on_with_its_last_answer_or_ends(line: ModelLine) -> None:
    with LoopbackServer([says("a"), says("b")]) as server:
        assert [ask(line, server).text for _ in range(3)] == ["a", "b", "b"]
    with LoopbackServer([says("a")], is_strict=True) as server:
        ask(line, server)
        with pytest.raises(ModelFailedError, match="no answer is scripted for request 1"):
            ask(line, server)


def test_a_script_may_look_at_what_is_asked(line: ModelLine) -> None:
    with LoopbackServer(
        lambda body, at: says(f"{at}: {body['messages'][-1]['content']}")
    ) as server:
        assert ask(line, server, request({"role": "user", "text": "hi"})).text == "0: hi"
        assert ask(line, server, request({"role": "user", "text": "ho"})).text == "1: ho"


def test_a_script_file_says_the_same() -> None:
    written = {"calls": [["read_file", {"path": "a"}]], "usage": [1, 2, 0], "call_ids": ["x"]}
    assert answer_from(written) == Answer(
        calls=(("read_file", {"path": "a"}),), usage=(1, 2, 0), call_ids=("x",)
    )
    assert answer_from({"text": "x", "usage": None}) == says("x", usage=None)
    with pytest.raises(TypeError):
        answer_from({"txt": "x"})


def test_it_runs_as_a_command(line: ModelLine, tmp_path: Path) -> None:
    script, log = tmp_path / "script.json", tmp_path / "log"
    script.write_text(json.dumps([{"text": "hello"}, {"status": 500, "content": "{}"}]), "utf-8")
    command = [sys.executable, "-m", "tests.models.loopback_server"]
    with subprocess.Popen(
        [*command, "--script", str(script), "--port", "0", "--log", str(log), "--strict"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        base_url = running.stdout.readline().strip()
        with LoopbackServer([says("unused")]) as other:
            assert ask(line, other, base_url=base_url).text == "hello"
            with pytest.raises(ModelFailedError):
                ask(line, other, base_url=base_url)
        running.communicate(timeout=10)
    assert running.returncode == 0
    assert [json.loads(one)["model"] for one in log.read_text().splitlines()] == ["gpt-5-mini"] * 2


def test_helpers_say_what_they_are() -> None:
    assert calls(("a", {}), text="t") == Answer(text="t", calls=(("a", {}),))
    assert json.loads(str(fails(429, "slow", code="c").content))["error"]["code"] == "c"
