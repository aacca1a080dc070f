"""Messages that are none, sent on the program's channel; each ends its own subplan."""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.probes.hostile.kit import declare

if TYPE_CHECKING:
    from collections.abc import Callable

MAX: Final = 1 << 20
PICKLE: Final = b"\x80\x04cposix\nmkdir\n(V{place}\ntR."


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent, and how the host must end it."""

    send: Callable[[socket.socket], None]
    reason: str
    """What stands in the record for it."""
    is_slow: bool = False


MESSAGES: Final[dict[str, Message]] = {}


def frame(data: bytes, size: int | None = None) -> bytes:
    """Give bytes with the length before them, true or not."""
    return struct.pack(">I", len(data) if size is None else size) + data


def say(**fields: object) -> bytes:
    """Give a frame of JSON."""
    return frame(json.dumps(fields).encode())


def _enter(name: str, title: str, reason: str, data: bytes | Callable[[socket.socket], None], *, covers: int, layer: str = "typed messages", is_slow: bool = False) -> None:  # fmt: skip
    declare(name, "message", title, layer=layer, covers=(covers,))
    sender = data if callable(data) else (lambda sock: sock.sendall(data))
    MESSAGES[name] = Message(sender, reason, is_slow)


def _byte_by_byte(sock: socket.socket) -> None:
    for byte in say(type="begin", seq=1):
        sock.sendall(bytes([byte]))
        time.sleep(1)


def _flood(sock: socket.socket) -> None:
    seq = 0
    while True:
        seq += 1
        sock.sendall(say(type="progress", seq=seq, text="x" * 2000))


def _half(sock: socket.socket) -> None:
    sock.sendall(frame(b"abc", 100))
    sock.shutdown(socket.SHUT_WR)


def _refused_for_ever(sock: socket.socket) -> None:
    for seq in range(1, 1100):
        sock.sendall(say(type="open", seq=seq, resource="plan:01PARENT"))
        sock.recv(4096)


_ASK: Final = {"type": "ask", "tool": "read_file", "arguments": {"path": "docs/readable.md"}}
_DEEP: Final = (
    b'{"type":"ask","seq":1,"tool":"read_file","arguments":{"path":'
    + b"[" * 300_000
    + b"]" * 300_000
    + b"}}"
)

_enter("no_json", "bytes that are no JSON", "no message", frame(b"hello"), covers=51)
_enter("a_list", "JSON that is no object", "no message", frame(b"[]"), covers=51)
_enter("nothing", "a message of no bytes", "", frame(b""), covers=51)
_enter("no_text", "bytes that are no UTF-8", "no message", frame(b"\xff\xfe{}"), covers=51)
_enter(
    "pickle",
    "a pickle that makes a directory when it is loaded",
    "no message",
    frame(PICKLE),
    covers=48,
    layer="JSON only",
)
_enter(
    "nesting", "half a million levels of nesting", "no message", frame(b"[" * 500_000), covers=49
)
_enter("deep_arguments", "nesting inside an argument", "no message", frame(_DEEP), covers=49)
_enter(
    "oversized",
    "a message of more than 1 MiB",
    "",
    frame(b"x" * 10, MAX + 1),
    covers=50,
    layer="the length is checked before anything is read",
)
_enter(
    "gigantic",
    "a length of 4 GiB",
    "",
    frame(b"x" * 10, 0xFFFFFFFF),
    covers=50,
    layer="the length is checked before anything is read",
)
_enter("half", "half a message, then the end", "", _half, covers=50, layer="framing")
_enter(
    "never_ends",
    "a message that is begun and never finished",
    "not finished within",
    frame(b"{", 100),
    covers=50,
    layer="a deadline for each message",
    is_slow=True,
)
_enter(
    "byte_by_byte",
    "one byte a second",
    "not finished within",
    _byte_by_byte,
    covers=50,
    layer="a deadline for each message",
    is_slow=True,
)
_enter(
    "flood",
    "requests without end, answers never read",
    "does not read",
    _flood,
    covers=50,
    layer="a deadline for answers",
    is_slow=True,
)
_enter(
    "refused_for_ever",
    "refused requests without end",
    "too many refused requests",
    _refused_for_ever,
    covers=50,
    layer="a cap on refusals",
)
_enter(
    "unknown_type", "a type that does not exist", "no message", say(type="merge", seq=1), covers=51
)
_enter(
    "hosts_message",
    "an answer, as only the host gives it",
    "no message",
    say(type="answer", seq=1, value={}),
    covers=51,
)
_enter(
    "unknown_field",
    "a field that does not exist",
    "no message",
    say(type="begin", seq=1, grant={"tools": ["run_command"]}),
    covers=51,
)
_enter("wrong_type", "a number as text", "no message", say(**_ASK, seq="1"), covers=51)
_enter(
    "forged_identity",
    "another plan's id in a request",
    "no message",
    say(**_ASK, seq=1, plan_id="01PARENT"),
    covers=51,
    layer="identity is the descriptor",
)
_enter(
    "repeated",
    "a message twice",
    "repeated",
    say(type="begin", seq=1) * 2,
    covers=52,
    layer="sequence numbers",
)
_enter(
    "skipped",
    "a message with one left out before it",
    "repeated, skipped",
    say(type="begin", seq=2),
    covers=52,
    layer="sequence numbers",
)
_enter(
    "backwards",
    "a negative number",
    "",
    say(type="begin", seq=-1),
    covers=52,
    layer="sequence numbers",
)
_enter(
    "second_result",
    "a second result",
    "after the result",
    say(type="submit", seq=1) + say(type="submit", seq=2, summary="another"),
    covers=53,
    layer="the host's state",
)
_enter(
    "after_result",
    "a request after the result",
    "after the result",
    say(type="submit", seq=1) + say(**_ASK, seq=2),
    covers=53,
    layer="the host's state",
)


def main(name: str) -> None:
    """Leave a file, send the message, and stay until somebody ends this process."""
    with open("new/made", "w") as file:  # noqa: PTH123
        file.write(name)
    with socket.socket(fileno=int(os.environ["CLEVERAGENTS_CHANNEL"])) as sock:
        try:
            MESSAGES[name].send(sock)
            while sock.recv(4096):
                pass
        except OSError:
            pass
        # Whoever closed the channel has to end this process too.
        time.sleep(120)
