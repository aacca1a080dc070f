"""Speaks MCP over two pipes that somebody else opened, and believes nothing of what comes.

The SDK's own client starts the server as a process of the host; here it runs
in a cell, and its streams are handed over. One line is one message. Lines,
messages and bytes have an end, so that a server can neither fill the memory
nor keep the reader busy for ever.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    Streams = tuple[
        MemoryObjectReceiveStream[SessionMessage | Exception],
        MemoryObjectSendStream[SessionMessage],
    ]

MAX_LINE_BYTES: Final = 8 << 20
"""Of one message; an answer of more fails the call and ends the server."""
MAX_MESSAGES: Final = 10_000
"""Of what comes between two calls, or during one."""
MAX_JUNK_LINES: Final = 100
"""Lines that are no message: some servers print a greeting."""
_READ_BYTES: Final = 1 << 16


class PipeStream:
    """The two ends of one server's pipes.

    Args:
        reading: Descriptor of the server's standard output; owned from now on.
        writing: Descriptor of its standard input; owned from now on.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing
        self._messages = 0
        self._junk = 0
        self.problem = ""
        """Why nothing further is read; empty while the stream is good."""

    def renew(self) -> None:
        """A new call begins: what may come is counted anew."""
        self._messages = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Streams]:
        """Bridge the pipes to the SDK's streams until the block is left."""
        come, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        write, go = anyio.create_memory_object_stream[SessionMessage](0)
        loop = asyncio.get_running_loop()
        lines = asyncio.StreamReader(limit=MAX_LINE_BYTES)
        reading, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(self._reading, "rb", 0)
        )
        writing, protocol = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, os.fdopen(self._writing, "wb", 0)
        )
        writer = asyncio.StreamWriter(writing, protocol, None, loop)
        try:
            async with come, read, write, go, anyio.create_task_group() as group:
                group.start_soon(self._read, lines, come)
                group.start_soon(self._write, writer, go, come)
                try:
                    yield read, write
                finally:
                    group.cancel_scope.cancel()
        finally:
            reading.close()
            writing.abort()

    async def _read(
        self,
        lines: asyncio.StreamReader,
        come: MemoryObjectSendStream[SessionMessage | Exception],
    ) -> None:
        # Whoever waits for an answer is told when this side of the stream is closed.
        async with come:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                while not self.problem:
                    message = await self._next(lines)
                    if message is not None:
                        await come.send(message)

    async def _next(self, lines: asyncio.StreamReader) -> SessionMessage | None:
        line = await self._line(lines)
        if not line.strip():
            return None
        try:
            return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
        except ValueError:
            self._junk += 1
            if self._junk > MAX_JUNK_LINES:
                self.problem = "it prints what is no message of the protocol"
            return None

    async def _line(self, lines: asyncio.StreamReader) -> bytes:
        """The next line; empty, with the problem said, when nothing further is read."""
        try:
            line = await lines.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            self.problem = "it has ended"
        except asyncio.LimitOverrunError:
            self.problem = f"it sent a message of more than {MAX_LINE_BYTES >> 20} MiB"
        except OSError:
            self.problem = "its output cannot be read"
        else:
            self._messages += 1
            if self._messages <= MAX_MESSAGES:
                return line
            self.problem = f"it sent more than {MAX_MESSAGES} messages where one answer was due"
        return b""

    async def _write(
        self,
        writer: asyncio.StreamWriter,
        go: MemoryObjectReceiveStream[SessionMessage],
        come: MemoryObjectSendStream[SessionMessage | Exception],
    ) -> None:
        try:
            async with go:
                async for message in go:
                    text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                    writer.write(text.encode() + b"\n")
                    await writer.drain()
        except (OSError, RuntimeError):
            self.problem = self.problem or "it has ended"
            await come.aclose()
