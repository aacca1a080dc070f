"""The lines themselves: what is no message, what is too long, and who stops reading."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from cleveragents.gateway import wire
from cleveragents.gateway.wire import MAX_LINE_BYTES, open_wire
from tests.gateway.client import Host, hosted
from tests.plans.scene import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.plans.scene import Scene

HELLO = (
    b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",'
    b'"capabilities":{},"clientInfo":{"name":"t","version":"0"}}}'
)
READY = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'


def call(number: int, tool: str, **arguments: Any) -> bytes:
    params = {"name": tool, "arguments": arguments}
    message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    return json.dumps(message).encode()


@pytest.fixture
def host(scene: Scene) -> Iterator[Host]:
    with hosted(scene, "--safety-profile", "unrestricted", "--rw") as made:
        made.send(HELLO)
        assert json.loads(made.heard())["result"]["serverInfo"]["name"] == "cleveragents"
        made.send(READY)
        yield made


def test_what_is_no_message_is_answered_and_the_next_is_served(host: Host) -> None:
    for line in (b"not json", b'{"jsonrpc":"2.0"}', b"[" * 100_000, b"\xff\xfe", b'"\\ud800"'):
        host.send(line)
        assert json.loads(host.heard())["error"]["code"] == -32700
    host.send(b"")
    host.send(call(2, "read_file", path="a.txt"))
    assert json.loads(host.heard())["result"]["content"][0]["text"] == "one\n"


def test_a_message_has_an_end(host: Host) -> None:
    host.send(b'{"jsonrpc":"2.0","x":"' + b"x" * (MAX_LINE_BYTES * 2) + b'"}')
    error = json.loads(host.heard())["error"]
    assert error["message"] == f"a message is longer than {MAX_LINE_BYTES} bytes"
    host.send(call(2, "read_file", path="a.txt"))
    assert json.loads(host.heard())["id"] == 2


def test_numbers_that_are_none_are_refused_and_recorded(host: Host) -> None:
    line = call(2, "read_file", path="a.txt", limit=1).replace(b'"limit": 1', b'"limit": NaN')
    host.send(line)
    told = json.loads(host.heard())["result"]
    assert told["isError"] is True
    assert "the arguments are no object" in told["content"][0]["text"]
    assert host.scene.outcome(host.plan_id, "call-1")["status"] == "failed"


def test_nothing_but_messages_is_on_its_output(host: Host) -> None:
    host.send(call(2, "run_command", command="echo printed; echo printed >&2"))
    assert json.loads(host.heard())["id"] == 2
    assert host.process.stdin is not None
    host.process.stdin.close()
    assert host.process.wait(20) == 0
    assert host.heard() == b""


def test_other_methods_have_no_door(host: Host) -> None:
    for number, method in enumerate(("prompts/list", "resources/list", "resources/read"), 2):
        params = {"uri": "file:///etc/passwd"} if method == "resources/read" else {}
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        host.send(json.dumps(message).encode())
        assert json.loads(host.heard())["error"]["code"] == -32601


def test_a_client_that_does_not_read_holds_up_no_cancel(host: Host) -> None:
    big = "x" * 500_000
    host.scene.file("big.txt", big)
    for number in range(2, 8):
        host.send(call(number, "read_file", path="big.txt"))
    wait_until(lambda: host.scene.count("outcome") == 6, "calls that are done")
    host.scene.agents("plan", "cancel", host.plan_id, expect=0)
    assert host.process.wait(20) == 1


def test_a_client_that_is_gone_ends_it(host: Host) -> None:
    assert host.process.stdout is not None
    host.process.stdout.close()
    host.send(call(2, "read_file", path="a.txt"))
    assert host.process.stdin is not None
    host.process.stdin.close()
    assert host.process.wait(20) == 0
    assert host.scene.outcome(host.plan_id, "call-1")["status"] in {"done", "failed"}


# -- by itself ------------------------------------------------------------------


def heard_of(incoming: int, outgoing: int) -> list[Any]:
    """Everything that a server hears until the end."""

    async def run() -> list[Any]:
        async with open_wire(incoming, outgoing) as (reading, _):
            return [item.message async for item in reading]  # type: ignore[union-attr]  # no errors among them

    return anyio.run(run)


def test_a_regular_file_is_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(HELLO + b"\n" + READY + b"\nhalf a line")
    with (tmp_path / "in").open("rb") as file, (tmp_path / "out").open("wb") as out:
        assert [m.method for m in heard_of(file.fileno(), out.fileno())] == [
            "initialize",
            "notifications/initialized",
        ]


def test_lines_come_whole_however_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_READ_BYTES", 7)
    reading, writing = os.pipe()

    def write() -> None:
        os.write(writing, HELLO + b"\n\n" + READY + b"\n")
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert len(heard_of(reading, 1)) == 2
    finally:
        writer.join()
        os.close(reading)
