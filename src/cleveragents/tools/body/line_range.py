"""Takes a range of lines, or of bytes, out of a file of any size, and its digest on the way."""

from __future__ import annotations

import hashlib
import os

from cleveragents.tools.body.beneath import CHUNK_BYTES

# No typing: it is what a cold cell would wait for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

PROBE_BYTES: Final = 8192
"""A NUL in the first bytes makes a file binary, as git and grep have it."""


class LineRange:
    """What was found of a range, and the facts about the whole file.

    Args:
        raw: From the first byte of the first line on; at most the cap and one byte.
        reaches_end: ``raw`` goes up to the end of the file.
        lines: Of the whole file; a last line without line end counts.
        size: Of the whole file, in bytes.
        digest: Of the whole file.
    """

    # Written out: importing dataclasses takes as long as starting Python.
    __slots__ = ("digest", "lines", "raw", "reaches_end", "size")

    def __init__(
        self, *, raw: bytes, reaches_end: bool, lines: int, size: int, digest: str
    ) -> None:
        self.raw = raw
        self.reaches_end = reaches_end
        self.lines = lines
        self.size = size
        self.digest = digest


def chunks_of(fd: int, *, size: int) -> Iterator[bytes]:
    """Read to the end, a file of expected size in as few pieces as can be."""
    chunk = os.read(fd, min(size + 1, CHUNK_BYTES))
    while chunk:
        yield chunk
        chunk = os.read(fd, CHUNK_BYTES)


def digest_of(fd: int, *, size: int) -> str:
    """Digest of what a descriptor reads from its place to its end."""
    found = hashlib.sha256()
    for chunk in chunks_of(fd, size=size):
        found.update(chunk)
    return "sha256:" + found.hexdigest()


def take_lines(
    chunks: Iterator[bytes], *, offset: int, limit: int | None, max_bytes: int
) -> LineRange:
    r"""Take ``limit`` lines from line ``offset`` on, or as many as the cap has room for.

    Args:
        chunks: The whole file; it is read to its end for the digest.
        offset: First line, from 1.
        limit: Number of lines; ``None`` for all.
        max_bytes: One byte more than this is taken, to tell "full" from "cut".

    >>> take_lines(iter([b"a\nb", b"b\nc"]), offset=2, limit=1, max_bytes=9).raw
    b'bb\n'
    """
    found = hashlib.sha256()
    taken = bytearray()
    skip, wanted = offset - 1, limit
    size = newlines = taken_end = 0
    last = b"\n"
    for chunk in chunks:
        found.update(chunk)
        ends = chunk.count(b"\n")
        if wanted != 0 and len(taken) <= max_bytes:
            is_there = skip <= ends
            start = _after_lines(chunk, 0, skip) if is_there else 0
            skip -= min(skip, ends)
            if is_there:
                stop = len(chunk)
                if wanted is not None:
                    there = chunk.count(b"\n", start)
                    stop = _after_lines(chunk, start, wanted) if there >= wanted else stop
                    wanted -= min(there, wanted)
                stop = min(stop, start + max_bytes + 1 - len(taken))
                taken += chunk[start:stop]
                taken_end = size + stop
        newlines += ends
        size += len(chunk)
        last = chunk[-1:]
    return LineRange(
        raw=bytes(taken),
        reaches_end=taken_end == size or not taken,
        lines=newlines + (last != b"\n"),
        size=size,
        digest="sha256:" + found.hexdigest(),
    )


def _after_lines(chunk: bytes, start: int, lines: int) -> int:
    for _ in range(lines):
        start = chunk.index(b"\n", start) + 1
    return start
