"""Reads files and lists directories; the tables of every body that works on files."""

from __future__ import annotations

import binascii
import codecs
import hashlib
import os
import stat

from cleveragents.terms.excerpt import head_within
from cleveragents.tools.body import argument
from cleveragents.tools.body.beneath import READ_FLAGS, open_beneath, reason_of
from cleveragents.tools.body.change import PREPARED
from cleveragents.tools.body.entry import digest_files
from cleveragents.tools.body.line_range import PROBE_BYTES, chunks_of, digest_of, take_lines
from cleveragents.tools.body.listing import list_directory

# No typing: it is what a cold cell would wait for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Final

    from cleveragents.tools.body.line_range import LineRange

__all__ = ["IMMEDIATE", "PREPARED", "digest_files", "list_directory", "read_file"]

MAX_TEXT_BYTES: Final = 400_000
"""Text of one result, in the file's own bytes."""
MAX_TEXT_JSON_BYTES: Final = 800_000
"""The same text as JSON: control characters take six bytes there."""
SHORT_BYTES: Final = 1 << 16
"""A text that fits whatever its characters take as JSON."""
MAX_BINARY_BYTES: Final = 600_000
"""800 kB of base64."""
_TEXT_CONTROLS: Final = frozenset(b"\t\n\r\f\x1b")


def read_file(root_fd: int, arguments: Mapping[str, object]) -> dict[str, object]:
    """Read a range of a file.

    Returns:
        ``text``, ``lines`` (of the whole file), ``truncated``, ``next_offset``
        (``None`` at the end), ``size``, ``digest`` (of the whole file),
        ``encoding`` (``utf-8``, ``latin-1`` or ``binary``), ``note`` (one
        sentence when something was cut) and, for a binary file, ``base64``.

    Raises:
        ToolFailedError: It is no readable file beneath the workspace.
    """
    path = argument.path(arguments, "path", tool="read_file")
    offset = argument.integer(arguments, "offset", tool="read_file") or 1
    limit = argument.integer(arguments, "limit", tool="read_file")
    try:
        fd = open_beneath(root_fd, path, READ_FLAGS)
    except OSError as error:
        argument.fail("read_file", reason_of(error, path))
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            what = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            argument.fail("read_file", f"{path!r} is {what}")
        return _read(fd, status.st_size, offset=offset, limit=limit)
    except OSError as error:
        argument.fail("read_file", reason_of(error, path))
    finally:
        os.close(fd)


def _read(fd: int, size: int, *, offset: int, limit: int | None) -> dict[str, object]:
    if size <= SHORT_BYTES and offset == 1 and limit is None:
        found = _read_short(fd, size)
        if found is not None:
            return found
        os.lseek(fd, 0, os.SEEK_SET)
    chunks = chunks_of(fd, size=size)
    first = next(chunks, b"")
    if b"\0" not in first[:PROBE_BYTES]:
        taken = take_lines(
            _chain(first, chunks), offset=offset, limit=limit, max_bytes=MAX_TEXT_BYTES
        )
        decoded = _decode(taken.raw)
        if decoded is not None:
            return _text_result(taken, *decoded, offset=offset)
    os.lseek(fd, 0, os.SEEK_SET)
    return _binary_result(fd, offset=offset, limit=limit)


def _read_short(fd: int, size: int) -> dict[str, object] | None:
    """Give the whole of a short text; ``None`` when it is none, or has grown meanwhile.

    Most calls read such a file: one piece, nothing to cut, nothing to count down.
    """
    data = os.read(fd, size + 1)
    if len(data) > size or b"\0" in data[:PROBE_BYTES]:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return {
        "text": text,
        "lines": data.count(b"\n") + (data[-1:] not in (b"", b"\n")),
        "truncated": False,
        "next_offset": None,
        "size": len(data),
        "digest": "sha256:" + hashlib.sha256(data).hexdigest(),
        "encoding": "utf-8",
        "note": "",
    }


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _decode(raw: bytes) -> tuple[str, str] | None:
    """Give text and encoding; ``None`` when these are no text's bytes."""
    is_cut = len(raw) > MAX_TEXT_BYTES
    raw = raw[:MAX_TEXT_BYTES]
    try:
        # A cut may fall into a character: only then may the last one be unfinished.
        return codecs.getincrementaldecoder("utf-8")().decode(raw, final=not is_cut), "utf-8"
    except UnicodeDecodeError:
        if any(byte < ord(" ") and byte not in _TEXT_CONTROLS for byte in set(raw)):
            return None
        return raw.decode("latin-1"), "latin-1"


def _text_result(taken: LineRange, text: str, encoding: str, *, offset: int) -> dict[str, object]:
    kept = head_within(text, MAX_TEXT_JSON_BYTES)
    note, next_offset = "", None
    if len(kept) < len(text) or len(taken.raw) > MAX_TEXT_BYTES:
        whole_lines = kept.rfind("\n") + 1
        if whole_lines:
            kept = kept[:whole_lines]
            next_offset = offset + kept.count("\n")
            note = f"cut before line {next_offset} of {taken.lines}"
        else:
            next_offset = offset + 1
            note = f"line {offset} of {taken.lines} is too long and was cut"
    elif not taken.reaches_end:
        next_offset = offset + kept.count("\n")
        note = f"ends before line {next_offset} of {taken.lines}"
    elif offset > max(taken.lines, 1):
        note = f"the file has {taken.lines} lines"
    if next_offset is not None and next_offset > taken.lines:
        next_offset = None
    return {
        "text": kept,
        "lines": taken.lines,
        "truncated": len(kept) < len(text) or not taken.reaches_end,
        "next_offset": next_offset,
        "size": taken.size,
        "digest": taken.digest,
        "encoding": encoding,
        "note": note,
    }


def _binary_result(fd: int, *, offset: int, limit: int | None) -> dict[str, object]:
    size = os.fstat(fd).st_size
    data = os.pread(fd, min(limit or MAX_BINARY_BYTES, MAX_BINARY_BYTES), offset - 1)
    end = offset - 1 + len(data)
    is_cut = bool(data) and end < size
    return {
        "text": "",
        "base64": binascii.b2a_base64(data, newline=False).decode("ascii"),
        "lines": 0,
        "truncated": is_cut,
        "next_offset": end + 1 if is_cut else None,
        "size": size,
        "digest": digest_of(fd, size=size),
        "encoding": "binary",
        "note": f"bytes {offset} to {end} of {size}" if is_cut else "",
    }


IMMEDIATE: Final[Mapping[str, Callable[[int, Mapping[str, object]], dict[str, object]]]] = {
    "read_file": read_file,
    "list_directory": list_directory,
    # Not in the catalogue: the host asks it when it takes up a call that was cut off.
    "digest_files": digest_files,
}
