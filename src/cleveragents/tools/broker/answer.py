"""Reads an answer's content within its caps, and turns it into text or base64."""

from __future__ import annotations

import base64
import codecs
import re
import zlib
from dataclasses import dataclass
from typing import Final

import httpx

from cleveragents.terms.excerpt import head_within
from cleveragents.tools.broker.edge_error import EdgeError

MAX_BODY_BYTES: Final = 600_000
"""Read at most, after decompression; the rest is cut, and the cut is said."""
MAX_COMPRESSED_BYTES: Final = 4 * MAX_BODY_BYTES
"""Read at most from the wire: what is compressed to more than it was is no content."""
MAX_TEXT_JSON_BYTES: Final = 800_000
_PROBE_BYTES: Final = 8192
_CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9_.:-]+)""", re.IGNORECASE)
_TEXT_TYPE: Final = re.compile(
    r"text/|application/(?:[a-z0-9.+-]*(?:json|xml|javascript|yaml)|x-www-form-urlencoded)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Content:
    """What was read."""

    data: bytes
    is_cut: bool


def read_content(answer: httpx.Response) -> Content:
    """Read up to the caps.

    Raises:
        EdgeError: It is compressed in a way that was not asked for, or broken.
    """
    coding = answer.headers.get("content-encoding", "identity").strip().lower()
    inflater = _inflater(coding)
    taken = bytearray()
    raw_size = 0
    for piece in answer.stream if isinstance(answer.stream, httpx.SyncByteStream) else ():
        raw_size += len(piece)
        room = MAX_BODY_BYTES + 1 - len(taken)
        taken += piece[:room] if inflater is None else _inflate(inflater, piece, room)
        if len(taken) > MAX_BODY_BYTES or raw_size > MAX_COMPRESSED_BYTES:
            return Content(bytes(taken[:MAX_BODY_BYTES]), is_cut=True)
    return Content(bytes(taken), is_cut=False)


def _inflater(coding: str) -> zlib._Decompress | None:
    if coding in {"", "identity"}:
        return None
    if coding in {"gzip", "x-gzip", "deflate"}:
        # 32 more than the window's size: gzip and zlib headers are told apart by the library.
        return zlib.decompressobj(zlib.MAX_WBITS + 32)
    raise EdgeError("the answer is compressed in a way that was not asked for")


def _inflate(inflater: zlib._Decompress, piece: bytes, room: int) -> bytes:
    try:
        return inflater.decompress(piece, room)
    except zlib.error:
        raise EdgeError("the answer's compressed content is broken") from None


def as_fields(content: Content, content_type: str) -> dict[str, object]:
    """Give ``text``, ``encoding``, ``size``, ``truncated`` and, for binary content, ``base64``."""
    fields: dict[str, object] = {"size": len(content.data), "truncated": content.is_cut}
    decoded = _decode(content.data, content_type, is_cut=content.is_cut)
    if decoded is None:
        encoded = base64.b64encode(content.data).decode("ascii")
        return {"text": "", "base64": encoded, "encoding": "binary", **fields}
    text, encoding = decoded
    kept = head_within(text, MAX_TEXT_JSON_BYTES)
    fields["truncated"] = content.is_cut or len(kept) < len(text)
    return {"text": kept, "encoding": encoding, **fields}


def _decode(data: bytes, content_type: str, *, is_cut: bool) -> tuple[str, str] | None:
    declared = _CHARSET.search(content_type)
    if declared is not None:
        name = _text_codec(declared[1])
        if name is not None:
            return _clean(data.decode(name, "replace")), name
    if _TEXT_TYPE.match(content_type.strip()):
        return data.decode("utf-8", "replace"), "utf-8"
    if b"\0" in data[:_PROBE_BYTES]:
        return None
    try:
        # A cut may fall into a character: only then may the last one be unfinished.
        return codecs.getincrementaldecoder("utf-8")().decode(data, final=not is_cut), "utf-8"
    except UnicodeDecodeError:
        return None


def _clean(text: str) -> str:
    """Replace lone surrogates, which some codecs let through and JSON does not."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _text_codec(name: str) -> str | None:
    """Give a codec's own name, when it is one of text: some of Python's unpack archives."""
    try:
        found = codecs.lookup(name)
        "".encode(found.name)
    except (LookupError, UnicodeError, ValueError):
        return None
    return found.name
