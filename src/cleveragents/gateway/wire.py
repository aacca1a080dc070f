"""Lines of JSON from one descriptor and to another: MCP's stdio, without a thread for each.

The SDK's own transport waits for a line in a thread that nothing can end
before its client says something; a gateway has to end when it is told to.
"""

from __future__ import annotations

import asyncio
import os
import select
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final

import mcp_types as types
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from cleveragents.tools.mcp_end import MessageSink, MessageSource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

MAX_LINE_BYTES: Final = 4 << 20
"""Of one message; the same as of a request over HTTP."""
_READ_BYTES: Final = 1 << 16
_BREATH: Final = 16
"""Lines of one piece after which everything else on the loop gets its turn."""
_ALWAYS_FITS: Final = select.PIPE_BUF
"""What a pipe that says it can be written to takes without waiting."""


@asynccontextmanager
async def open_wire(
    incoming: int, outgoing: int
) -> AsyncIterator[tuple[MessageSource, MessageSink]]:
    """Give the streams that the SDK's server runs on.

    Args:
        incoming: Where the client's lines come from; its end ends the streams.
        outgoing: Where ours go; a client that does not read any more is gone.
    """
    pen = _Pen(outgoing)
    lines = _lines(incoming)
    async with aclosing(lines):
        yield MessageSource(lambda: _take(lines, pen)), MessageSink(lambda m: _give(m, pen))


async def _take(lines: AsyncIterator[bytes | None], pen: _Pen) -> SessionMessage | None:
    """The client's next message; what is none is answered here."""
    async for line in lines:
        if line is None:
            problem = f"a message is longer than {MAX_LINE_BYTES} bytes"
            await pen.write(_refusal(types.INVALID_REQUEST, problem))
            continue
        if not line.strip():
            continue
        try:
            return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
        except ValidationError:
            await pen.write(_refusal(types.PARSE_ERROR, "a line is no JSON-RPC message"))
    return None


async def _give(sent: SessionMessage, pen: _Pen) -> bool:
    return await pen.write(sent.message.model_dump_json(by_alias=True, exclude_unset=True))


async def _lines(descriptor: int) -> AsyncGenerator[bytes | None, None]:
    """Give each line; ``None`` in the place of one that is too long."""
    held = bytearray()
    is_skipping = False
    while data := await _chunk(descriptor):
        *whole, rest = data.split(b"\n")
        for place, part in enumerate(whole):
            if place % _BREATH == _BREATH - 1:
                # Lines that have come already are given without waiting: others want a turn too.
                await asyncio.sleep(0)
            if is_skipping or len(held) + len(part) > MAX_LINE_BYTES:
                yield None
            else:
                yield bytes(held + part)
            held.clear()
            is_skipping = False
        if is_skipping or len(held) + len(rest) > MAX_LINE_BYTES:
            held.clear()
            is_skipping = True
        else:
            held += rest


async def _chunk(descriptor: int) -> bytes:
    await _wait(descriptor, is_writing=False)
    try:
        return os.read(descriptor, _READ_BYTES)
    except ConnectionResetError:
        return b""


class _Pen:
    """Writes one line after another to a descriptor, and never blocks the loop."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = asyncio.Lock()
        self._unsent = bytearray()

    async def write(self, text: str) -> bool:
        """Write one line; False when nobody is there to read it.

        INVARIANT: a line is never cut short. What a cancelled call has left of its own is
        written before the next line.
        """
        self._unsent += text.encode("utf-8", "replace") + b"\n"
        async with self._lock:
            try:
                while self._unsent:
                    if not select.select([], [self._descriptor], [], 0)[1]:
                        await _wait(self._descriptor, is_writing=True)
                    del self._unsent[: os.write(self._descriptor, self._unsent[:_ALWAYS_FITS])]
            except (BrokenPipeError, ConnectionResetError):
                self._unsent.clear()
                return False
        return True


async def _wait(descriptor: int, *, is_writing: bool) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    watch, forget = (
        (loop.add_writer, loop.remove_writer)
        if is_writing
        else (loop.add_reader, loop.remove_reader)
    )
    try:
        watch(descriptor, ready.set)
    except PermissionError:
        # A regular file, which keeps nobody waiting.
        return
    try:
        await ready.wait()
    finally:
        forget(descriptor)


def _refusal(code: int, text: str) -> str:
    error = types.JSONRPCError(
        jsonrpc="2.0", id=None, error=types.ErrorData(code=code, message=text)
    )
    return error.model_dump_json(by_alias=True, exclude_unset=True)
