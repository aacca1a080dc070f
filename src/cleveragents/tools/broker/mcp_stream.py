"""Speaks MCP over two pipes that somebody else opened, and believes nothing of what comes.

The SDK's own client starts the server as a process of the host; here it runs
in a cell, and its streams are handed over. One line is one message. Lines,
messages and bytes have an end, so that a server can neither fill the memory
nor keep the reader busy for ever.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from cleveragents.tools.mcp_end import MessageSink, MessageSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_LINE_BYTES: Final = 8 << 20
"""Of one message; an answer of more fails the call and ends the server."""
MAX_MESSAGES: Final = 10_000
"""Of what comes between two calls, or during one."""
MAX_JUNK_LINES: Final = 100
"""Lines that are no message: some servers print a greeting."""
_BREATH: Final = 16
"""Lines after which everything else on the loop gets its turn."""


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
    async def open(self) -> AsyncIterator[tuple[MessageSource, MessageSink]]:
        """Give the SDK's streams over the pipes until the block is left."""
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
            yield (
                MessageSource(lambda: self._take(lines)),
                MessageSink(lambda message: self._give(message, writer, lines)),
            )
        finally:
            reading.close()
            writing.abort()

    async def _take(self, lines: asyncio.StreamReader) -> SessionMessage | None:
        """The next message; ``None``, with the problem said, when nothing further is read."""
        while not self.problem:
            line = await self._line(lines)
            if self._messages % _BREATH == 0:
                # Lines that have come already are given without waiting: others want a turn too.
                await asyncio.sleep(0)
            if not line.strip():
                continue
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
            self.problem = self.problem or "it has ended"
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

    async def _give(
        self, message: SessionMessage, writer: asyncio.StreamWriter, lines: asyncio.StreamReader
    ) -> bool:
        text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
        try:
            writer.write(text.encode() + b"\n")
            await writer.drain()
        except (OSError, RuntimeError):
            self.problem = self.problem or "it has ended"
            # Whoever waits for an answer is told when there is nothing more to read.
            lines.feed_eof()
            return False
        return True
