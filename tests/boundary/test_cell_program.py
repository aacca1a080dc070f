"""Program actors: any executable, its own channel, the tools beside it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cleveragents.boundary import greeting
from cleveragents.boundary.channel import ChannelError
from cleveragents.boundary.program_channel import Quiet
from cleveragents.boundary.program_message import (
    Accepted,
    Answer,
    Ask,
    Begin,
    Failed,
    Open,
    Progress,
    Refused,
    Submit,
    Welcome,
)
from cleveragents.errors import (
    ConfigurationError,
    IsolationUnavailableError,
    ToolFailedError,
)
from tests.boundary.cell_scene import House, the_house

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cleveragents.boundary.message import Hello
    from cleveragents.boundary.program_cell import ProgramCell
    from cleveragents.boundary.program_message import FromProgram

__all__ = ["the_house"]


@pytest.fixture
def run(the_house: House) -> Iterator[Callable[..., ProgramCell]]:
    started: list[ProgramCell] = []

    def start(
        *command: str, kind: str = "copy", files: dict[str, str] | None = None
    ) -> ProgramCell:
        spec = replace(the_house.spec(kind, files), command=command)
        started.append(the_house.launcher.start_program(spec))
        return started[-1]

    yield start
    for cell in started:
        cell.close()


def said(cell: ProgramCell) -> FromProgram:
    message = cell.receive(timeout_s=20)
    assert not isinstance(message, Quiet), cell.log
    return message


def ended(cell: ProgramCell) -> int | None:
    assert cell.receive(timeout_s=20) is Quiet.ENDED, cell.log
    return cell.wait(timeout_s=20)


@pytest.mark.parametrize("code", [0, 3])
def test_a_program_that_never_speaks_ends_with_its_own_code(
    run: Callable[..., ProgramCell], code: int
) -> None:
    cell = run("sh", "-c", f"echo changed > mine.txt; echo a log; echo more >&2; exit {code}")
    assert ended(cell) == code
    cell.close()
    assert cell.log == "a log\nmore\n"
    tree = cell.tools.spec.workspace.tree
    assert tree is not None
    assert (tree / "mine.txt").read_text() == "changed\n"


def test_a_program_that_is_killed_has_a_code_above_128(run: Callable[..., ProgramCell]) -> None:
    assert ended(run("sh", "-c", "kill -9 $$")) == 137


def test_a_program_waits_until_the_host_has_judged_the_wall(
    the_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(the_house.spec("copy"), command=("sh", "-c", "echo ran > started.txt"))
    assert spec.workspace.tree is not None
    written = spec.workspace.tree / "started.txt"

    def judge(_: Hello) -> str:
        # More than long enough for a program that does not wait.
        end = time.monotonic() + 1
        while time.monotonic() < end and not written.exists():
            time.sleep(0.01)
        return "canary: it was seen"

    monkeypatch.setattr(greeting, "judge", judge)
    with pytest.raises(IsolationUnavailableError, match="canary: it was seen"):
        the_house.launcher.start_program(spec)
    assert not written.exists()


def test_a_command_that_does_not_exist_has_code_127(run: Callable[..., ProgramCell]) -> None:
    cell = run("no-such-program")
    assert ended(cell) == 127
    assert "no-such-program: No such file" in cell.log


CONVERSATION = """
from cleveragents.guest.program_client import Client, FailedError, RefusedError
client = Client.connect()
task = client.begin()
client.progress(task["goal"])
value = client.ask("read_file", path="mine.txt")
try:
    client.ask("send_request", url="http://x")
except RefusedError as error:
    client.progress(f"{error.code}: {error}")
try:
    client.ask("read_file", path="absent")
except FailedError as error:
    client.progress(f"{error.code}: {error}")
client.open("file:docs/a.md")
client.submit(outputs={"text": value["text"]}, summary="done")
"""


def test_a_program_asks_reports_and_submits(run: Callable[..., ProgramCell]) -> None:
    cell = run("python3", "-c", CONVERSATION)
    assert said(cell) == Begin(seq=1)
    cell.send(
        Welcome(
            seq=1, protocol=1, plan_id="P", name="n", goal="a goal", inputs={}, tools=("read_file",)
        )
    )
    assert said(cell) == Progress(seq=2, text="a goal")
    cell.send(Accepted(seq=2))
    asked = said(cell)
    assert asked == Ask(seq=3, tool="read_file", arguments={"path": "mine.txt"})
    # The door's hands: over the same mounts, while the program waits.
    cell.send(Answer(seq=3, value=dict(cell.tools.call("read_file", {"path": "mine.txt"}))))
    assert said(cell) == Ask(seq=4, tool="send_request", arguments={"url": "http://x"})
    cell.send(Refused(seq=4, code="security_boundary", reason="not handed on"))
    assert said(cell) == Progress(seq=5, text="security_boundary: not handed on")
    cell.send(Accepted(seq=5))
    said(cell)
    cell.send(Failed(seq=6, code="tool_failed", reason="'absent' does not exist"))
    assert said(cell) == Progress(seq=7, text="tool_failed: 'absent' does not exist")
    cell.send(Accepted(seq=7))
    assert said(cell) == Open(seq=8, resource="file:docs/a.md")
    cell.send(Answer(seq=8, value={}))
    assert said(cell) == Submit(seq=9, outputs={"text": "mine\n"}, summary="done")
    cell.send(Accepted(seq=9))
    assert ended(cell) == 0


@pytest.mark.parametrize("kind", ["overlay", "copy"])
def test_tools_and_program_see_the_same_workspace(
    run: Callable[..., ProgramCell], kind: str
) -> None:
    cell = run("sh", "-c", "until test -e go; do sleep 0.01; done; cat go > answer", kind=kind)
    cell.tools.prepare("write_file", {"path": "go", "content": "hello\n"})
    cell.tools.commit()
    assert ended(cell) == 0
    upper = cell.tools.spec.workspace.upper or cell.tools.spec.workspace.tree
    assert upper is not None
    assert (upper / "answer").read_text() == "hello\n"


def test_a_tool_call_ends_its_own_leftovers_and_not_the_program(
    run: Callable[..., ProgramCell],
) -> None:
    cell = run("sh", "-c", "sleep 600 & wait")
    command = "setsid sleep 601 >/dev/null 2>&1 & echo started"
    assert cell.tools.call("run_command", {"command": command})["stdout"] == "started\n"
    listing = str(cell.tools.call("run_command", {"command": "cat /proc/*/cmdline"})["stdout"])
    assert "600" in listing
    assert "601" not in listing
    assert cell.wait(timeout_s=0) is None


def test_the_program_holds_its_own_channel_and_not_the_tools(
    run: Callable[..., ProgramCell],
) -> None:
    cell = run(
        "python3",
        "-c",
        "import os, stat; n = int(os.environ['CLEVERAGENTS_CHANNEL']);"
        "os.closerange(n + 1, n + 1); found = [];"
        "[found.append(f) for f in range(3, 200) if f != n and os.path.exists(f'/proc/self/fd/{f}')"
        " and stat.S_ISSOCK(os.fstat(f).st_mode)]; print(found)",
    )
    assert ended(cell) == 0
    cell.close()
    assert cell.log == "[]\n"


def test_a_program_cannot_read_its_guests_memory(run: Callable[..., ProgramCell]) -> None:
    cell = run("python3", "-c", "open('/proc/2/mem', 'rb')")
    assert ended(cell) == 1
    assert "Permission" in cell.log


def test_a_program_that_kills_its_guest_ends_its_own_cell(
    run: Callable[..., ProgramCell],
) -> None:
    cell = run("sh", "-c", "kill -9 2; sleep 600")
    assert ended(cell) not in {0, None}
    with pytest.raises(ToolFailedError):
        cell.tools.call("read_file", {"path": "mine.txt"})


def test_silence_is_no_fault(run: Callable[..., ProgramCell]) -> None:
    cell = run("sleep", "600")
    assert cell.receive(timeout_s=0.05) is Quiet.SILENT
    cell.kill()
    assert ended(cell) is not None


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b'{"type":"begin","seq":2}', "message 2 came after message 0"),
        (b'{"type":"hello","protocol":1,"checks":{},"landlock":7}', "no message"),
        (b'{"type":"begin","seq":1,"plan_id":"another"}', "no message"),
        (b"[" * 100_000, "no message"),
    ],
)
def test_what_is_no_message_ends_the_conversation(
    run: Callable[..., ProgramCell], payload: bytes, problem: str
) -> None:
    code = (
        "import os, sys; n = int(os.environ['CLEVERAGENTS_CHANNEL']);"
        "data = bytes.fromhex(sys.argv[1]); size = len(data).to_bytes(4, 'big');"
        "os.write(n, size + data); os.read(n, 1)"
    )
    if len(payload) > 1000:
        code = code.replace("bytes.fromhex(sys.argv[1])", "b'[' * 100_000")
        payload = b"["
    cell = run("python3", "-c", code, payload.hex())
    with pytest.raises(ChannelError, match=problem):
        cell.receive(timeout_s=20)
    with pytest.raises(ChannelError, match=problem):
        cell.receive(timeout_s=20)


def test_a_program_needs_a_command_and_a_tool_cell_has_none(the_house: House) -> None:
    spec = the_house.spec("copy")
    with pytest.raises(ConfigurationError, match="needs a command"):
        the_house.launcher.start_program(spec)
    with pytest.raises(ConfigurationError, match="has no command"):
        the_house.launcher.start(replace(spec, command=("true",)))
