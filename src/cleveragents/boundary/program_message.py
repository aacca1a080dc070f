"""What do the host and a program actor say to each other?

The program speaks first, or never. Each of its messages carries the next
``seq``, counted from 1, and gets exactly one answer with the same ``seq``.
Several may be sent before the first answer is read.
"""

from __future__ import annotations

from typing import Final, assert_never

import msgspec

from cleveragents.boundary.message import MessageError, check_depth

PROTOCOL: Final = 1
MAX_SUMMARY: Final = 4_000
"""Characters of a summary or a progress line; the words are the program's own."""


class _Message(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag=str.lower,
    gc=False,
):
    pass


class Begin(_Message, frozen=True):
    """Program: what am I to do? Answered by ``Welcome``."""

    seq: int


class Ask(_Message, frozen=True):
    """Program: run a tool. Answered by ``Answer``, ``Refused`` or ``Failed``."""

    seq: int
    tool: str
    arguments: dict[str, object]


class Open(_Message, frozen=True):
    """Program: may I have a resource (``plan:``, ``credential:``, ``file:``, ``host:``)?"""

    seq: int
    resource: str


class Progress(_Message, frozen=True):
    """Program: a line for people. Answered by ``Accepted``."""

    seq: int
    text: str


class Decide(_Message, frozen=True):
    """Program: what I decided, and why. Answered by ``Answer`` with the decision's id."""

    seq: int
    question: str
    choice: str
    alternatives: tuple[str, ...] = ()
    reason: str = ""
    parent: str = ""
    """An earlier decision of the same plan that this one belongs to."""


class Outcome(_Message, frozen=True):
    """Program: what became of a decision of mine. Answered by ``Accepted``."""

    seq: int
    decision: str
    text: str


class Submit(_Message, frozen=True):
    """Program: the result. Answered by ``Accepted``; a second one is refused."""

    seq: int
    outputs: dict[str, object] = msgspec.field(default_factory=dict)
    summary: str = ""


class Welcome(_Message, frozen=True):
    """Host: the plan, as far as the program may know it."""

    seq: int
    protocol: int
    plan_id: str
    name: str
    goal: str
    inputs: dict[str, object]
    tools: tuple[str, ...]


class Answer(_Message, frozen=True):
    """Host: the tool's result, or the resource."""

    seq: int
    value: dict[str, object]


class Refused(_Message, frozen=True):
    """Host: nothing was done; a code and one sentence."""

    seq: int
    code: str
    reason: str


class Failed(_Message, frozen=True):
    """Host: the tool ran and failed; a code and one sentence."""

    seq: int
    code: str
    reason: str


class Accepted(_Message, frozen=True):
    """Host: taken note of."""

    seq: int


FromProgram = Begin | Ask | Open | Progress | Decide | Outcome | Submit
ToProgram = Welcome | Answer | Refused | Failed | Accepted

_ENCODER: Final = msgspec.json.Encoder()
_FROM_PROGRAM: Final[msgspec.json.Decoder[FromProgram]] = msgspec.json.Decoder(FromProgram)
_TO_PROGRAM: Final[msgspec.json.Decoder[ToProgram]] = msgspec.json.Decoder(ToProgram)


def encode(message: FromProgram | ToProgram) -> bytes:
    """Give a message's JSON.

    Raises:
        MessageError: A value in it has no JSON form.
    """
    try:
        return _ENCODER.encode(message)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise MessageError(f"no JSON form: {error}") from error


def decode_from_program(payload: bytes) -> FromProgram:
    """Decode what a program sent.

    Raises:
        MessageError: It is no message that a program may send.
    """
    try:
        message = _FROM_PROGRAM.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(str(error)) from error
    match message:
        case Ask():
            check_depth(message.arguments)
        case Submit():
            check_depth(message.outputs)
        case Begin() | Open() | Progress() | Decide() | Outcome():
            pass
        case _:
            assert_never(message)
    return message


def decode_to_program(payload: bytes) -> ToProgram:
    """Decode what a host sent; for tests.

    Raises:
        MessageError: It is no message that a host may send.
    """
    try:
        return _TO_PROGRAM.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(str(error)) from error
