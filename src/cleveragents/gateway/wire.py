"""Lines of JSON from one descriptor and to another: MCP's stdio, without a thread for each.

The SDK's own transport waits for a line in a thread that nothing can end
before its client says something; a gateway has to end when it is told to.
"""

from __future__ import annotations

import asyncio
import os
import select
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    Incoming = MemoryObjectReceiveStream[SessionMessage | Exception]
    Outgoing = MemoryObjectSendStream[SessionMessage]

MAX_LINE_BYTES: Final = 4 << 20
"""Of one message; the same as of a request over HTTP."""
_READ_BYTES: Final = 1 << 16
_ALWAYS_FITS: Final = select.PIPE_BUF
"""What a pipe that says it can be written to takes without waiting."""


@asynccontextmanager
async def open_wire(incoming: int, outgoing: int) -> AsyncIterator[tuple[Incoming, Outgoing]]:
    """Give the streams that the SDK's server runs on.

    Args:
        incoming: Where the client's lines come from; its end ends the streams.
        outgoing: Where ours go; a client that does not read any more is gone.
    """
    to_server, from_client = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    from_server, to_client = anyio.create_memory_object_stream[SessionMessage](0)
    pen = _Pen(outgoing)
    async with anyio.create_task_group() as group:
        group.start_soon(_read, incoming, pen, to_server)
        group.start_soon(_write, pen, to_client)
        async with from_client, from_server:
            yield from_client, from_server
        group.cancel_scope.cancel()


async def _read(
    incoming: int, pen: _Pen, server: MemoryObjectSendStream[SessionMessage | Exception]
) -> None:
    async with server:
        async for line in _lines(incoming):
            if line is None:
                problem = f"a message is longer than {MAX_LINE_BYTES} bytes"
                await pen.write(_refusal(types.INVALID_REQUEST, problem))
                continue
            if not line.strip():
                continue
            try:
                message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValidationError:
                await pen.write(_refusal(types.PARSE_ERROR, "a line is no JSON-RPC message"))
                continue
            try:
                await server.send(SessionMessage(message))
            except anyio.BrokenResourceError:
                return


async def _write(pen: _Pen, client: MemoryObjectReceiveStream[SessionMessage]) -> None:
    async with client:
        async for sent in client:
            text = sent.message.model_dump_json(by_alias=True, exclude_unset=True)
            if not await pen.write(text):
                return


async def _lines(descriptor: int) -> AsyncIterator[bytes | None]:
    """Give each line; ``None`` in the place of one that is too long."""
    held = bytearray()
    is_skipping = False
    while data := await _chunk(descriptor):
        *whole, rest = data.split(b"\n")
        for part in whole:
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

    async def write(self, text: str) -> bool:
        """Write one line; False when nobody is there to read it."""
        view = memoryview(text.encode("utf-8", "replace") + b"\n")
        async with self._lock:
            try:
                while view:
                    if not select.select([], [self._descriptor], [], 0)[1]:
                        await _wait(self._descriptor, is_writing=True)
                    view = view[os.write(self._descriptor, view[:_ALWAYS_FITS]) :]
            except (BrokenPipeError, ConnectionResetError):
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
