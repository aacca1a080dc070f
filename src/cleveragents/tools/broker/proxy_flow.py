"""Which bytes of one direction of a connection are passed on, and where do they end?

A tunnel passes everything. A plain request ends with its body and a plain
answer with its own, so that nothing undecided follows on the same connection.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from cleveragents.tools.broker.proxy_request import (
    CHUNKED,
    END,
    MalformedError,
    body_length,
    kept_fields,
    read_fields,
)

MAX_ANSWER_HEAD: Final = 64 << 10
UNTIL_END: Final = -2
"""A body that ends with its connection."""
_STATUS: Final = re.compile(r"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?")
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,15}")
_MAX_CHUNK_LINE: Final = 4096
_INTERIM: Final = range(100, 200)
_SWITCHING: Final = 101
_BODILESS: Final = (204, 304)


class Flow(Protocol):
    """One direction."""

    @property
    def is_complete(self) -> bool:
        """Say whether nothing that comes after is passed on."""

    def take(self, data: bytes) -> bytes:
        """Take what came and give what is passed on.

        Raises:
            MalformedError: It is not what was announced.
        """

    def end(self) -> None:
        """The source has ended.

        Raises:
            MalformedError: In the middle of a message.
        """


class Through:
    """Everything, to the end of the source."""

    is_complete = False

    def take(self, data: bytes) -> bytes:
        """Give all of it."""
        return data

    def end(self) -> None:
        """Accept the end at any place."""


class Body:
    """A body of a known or self-framed length, unchanged.

    Args:
        length: In bytes; ``CHUNKED``, or ``UNTIL_END``.
    """

    def __init__(self, length: int) -> None:
        self._left = max(length, 0)
        self._length = length
        self._line = b""
        self._is_last = False
        self.is_complete = length == 0

    def take(self, data: bytes) -> bytes:
        """Give what belongs to the body; the rest is dropped."""
        if self._length == UNTIL_END:
            return data
        passed = 0
        while passed < len(data) and not self.is_complete:
            if self._left:
                step = min(self._left, len(data) - passed)
                self._left -= step
                passed += step
                if not self._left and self._length != CHUNKED:
                    self.is_complete = True
            else:
                passed += self._take_line(data[passed:])
        return data[:passed]

    def end(self) -> None:
        """Accept the end only where the body is whole."""
        if not self.is_complete and self._length != UNTIL_END:
            raise MalformedError("it ended in the middle of a body")

    def _take_line(self, data: bytes) -> int:
        """Take bytes up to a line's end, and read the line when it is whole."""
        cut = data.find(b"\n")
        piece = data if cut < 0 else data[: cut + 1]
        self._line += piece
        if len(self._line) > _MAX_CHUNK_LINE:
            raise MalformedError("a chunk has no proper size")
        if cut >= 0:
            line, self._line = self._line, b""
            self._read_line(line)
        return len(piece)

    def _read_line(self, line: bytes) -> None:
        if not line.endswith(b"\r\n") or line.count(b"\r") != 1:
            raise MalformedError("a chunk has no proper size")
        if self._is_last:
            # Fields after the body could say anything; who needs them uses a tunnel.
            if line != b"\r\n":
                raise MalformedError("fields follow the body")
            self.is_complete = True
            return
        size = line[:-2]
        if not _CHUNK_SIZE.fullmatch(size):
            raise MalformedError("a chunk has no proper size")
        # The chunk's own line end is counted with it.
        self._left = int(size, 16) + 2 if int(size, 16) else 0
        self._is_last = not self._left


class Answer:
    """An answer: its interim heads, its head without what is said between hops, its body.

    Args:
        has_body: False where the request was a HEAD.
    """

    def __init__(self, *, has_body: bool) -> None:
        self._has_body = has_body
        self._head = b""
        self._body: Body | None = None
        self.has_begun = False
        """Something of it was passed on."""

    @property
    def is_complete(self) -> bool:
        """Say whether the whole answer was passed on."""
        return self._body is not None and self._body.is_complete

    def take(self, data: bytes) -> bytes:
        """Give the answer's bytes in the form in which they are passed on."""
        passed = b""
        while data and self._body is None:
            self._head += data
            head, found, data = self._head.partition(END)
            if not found:
                if len(head) > MAX_ANSWER_HEAD:
                    raise MalformedError("the answer's head is too long")
                return passed
            self._head = b""
            passed += self._read(head.decode("latin-1"))
            self.has_begun = True
        return passed + (self._of_body(self._body, data) if self._body is not None else b"")

    def end(self) -> None:
        """Accept the end where the answer is whole."""
        if self._body is None:
            raise MalformedError("it ended before its answer")
        self._body.end()

    def _of_body(self, body: Body, data: bytes) -> bytes:
        try:
            return body.take(data)
        except MalformedError:
            # A server's own framing is for its client to judge; it ends with the connection.
            self._body = Body(UNTIL_END)
            return data

    def _read(self, head: str) -> bytes:
        first, *lines = head.split("\r\n")
        found = _STATUS.fullmatch(first)
        if found is None or int(found[1]) == _SWITCHING:
            raise MalformedError("the answer is not valid HTTP")
        status, fields = int(found[1]), kept_fields(read_fields(lines))
        if status in _INTERIM:
            return _head(first, fields)
        is_bodiless = not self._has_body or status in _BODILESS
        self._body = Body(0 if is_bodiless else _length_of_answer(fields))
        return _head(first, [*fields, ("connection", "close")])


def _length_of_answer(fields: list[tuple[str, str]]) -> int:
    if not any(name in {"content-length", "transfer-encoding"} for name, _ in fields):
        return UNTIL_END
    try:
        return body_length(fields)
    except MalformedError:
        return UNTIL_END


def _head(first: str, fields: list[tuple[str, str]]) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1")
