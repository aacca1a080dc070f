"""What do the host and a tool cell say to each other?

The host's side: every message from a cell is decoded into one of these types
or refused; unknown fields, wrong types and absurd nesting are refused by the
decoder. The guest builds and reads the same JSON with the standard library
(``guest/tool_wire.py``), because importing a typed decoder would cost it more
than starting Python does; a test holds the two sides together.

The order: the guest says ``Hello``, the host ``Configure``; then one
``Invoke``, ``Commit`` or ``Abandon`` at a time, each answered by exactly one
``Reply``, ``Prepared`` or ``Failure`` of the same ``seq``, which is the last
one plus one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOCOL: Final = 1
FIRST_SEQ: Final = 1
MAX_DEPTH: Final = 64
"""Containers inside each other in a message from a cell: what reads it later may recurse."""


class MessageError(Exception):
    """The bytes are no message of this protocol; never leaves the boundary."""


class _Message(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag=str.lower,
    gc=False,
):
    pass


class OwnTool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An own tool as the guest finds it."""

    name: str
    path: str
    """Inside the cell."""
    digest: str


class Configure(_Message, frozen=True):
    """Host: which tools this cell may run. Sent once, after a good hello."""

    tools: tuple[str, ...]
    own: tuple[OwnTool, ...]


class Invoke(_Message, frozen=True):
    """Host: run a body, or prepare a file change."""

    seq: int
    tool: str
    arguments: dict[str, object]
    phase: Literal["run", "prepare"]


class Commit(_Message, frozen=True):
    """Host: do what was prepared last."""

    seq: int


class Abandon(_Message, frozen=True):
    """Host: forget what was prepared last."""

    seq: int


class Hello(_Message, frozen=True):
    """Guest: the first word, before any code that is not ours has run."""

    protocol: int
    checks: dict[str, str]
    """Name of each in-cell check; the value is empty when it holds, else the problem."""
    landlock: int
    """ABI of the Landlock rules in force; 0 when the kernel has none."""


class Reply(_Message, frozen=True):
    """Guest: the body's result."""

    seq: int
    value: dict[str, object]


class Prepared(_Message, frozen=True):
    """Guest: what a file change is going to do, by digest; nothing is changed yet."""

    seq: int
    before: dict[str, str | None]
    after: dict[str, str | None]


class Failure(_Message, frozen=True):
    """Guest: the body failed; one sentence."""

    seq: int
    code: str
    message: str


FromHost = Configure | Invoke | Commit | Abandon
FromGuest = Hello | Reply | Prepared | Failure

_ENCODER: Final = msgspec.json.Encoder()
_FROM_GUEST: Final[msgspec.json.Decoder[FromGuest]] = msgspec.json.Decoder(FromGuest)
_FROM_HOST: Final[msgspec.json.Decoder[FromHost]] = msgspec.json.Decoder(FromHost)


def encode(message: FromHost | FromGuest) -> bytes:
    """Give a message's JSON.

    Raises:
        MessageError: A value in it has no JSON form.
    """
    try:
        return _ENCODER.encode(message)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise MessageError(f"no JSON form: {error}") from error


def check_depth(value: Mapping[str, object]) -> None:
    """Refuse a decoded object that is nested absurdly; itself without recursion.

    Raises:
        MessageError: More than ``MAX_DEPTH`` containers stand inside each other.
    """
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for one in level:
            items = one.values() if isinstance(one, dict) else cast("list[object]", one)
            below.extend(item for item in items if isinstance(item, (dict, list)))
        if not below:
            return
        level = below
    raise MessageError("nested too deeply")


def decode_from_guest(payload: bytes) -> FromGuest:
    """Decode what a cell sent.

    Raises:
        MessageError: It is no message that a cell may send.
    """
    try:
        message = _FROM_GUEST.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(str(error)) from error
    if isinstance(message, Reply):
        check_depth(message.value)
    return message


def decode_from_host(payload: bytes) -> FromHost:
    """Decode what a host sent; for tests and doubles of the guest.

    Raises:
        MessageError: It is no message that a host may send.
    """
    try:
        return _FROM_HOST.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(str(error)) from error
