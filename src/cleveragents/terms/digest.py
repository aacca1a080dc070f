"""Canonical bytes and their digests; the one spelling that the record hashes."""

from __future__ import annotations

import hashlib
from functools import cache

# No typing: it is what a cold cell would wait for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import msgspec


@cache
def _encoder() -> msgspec.json.Encoder:
    # Imported at the first use: a cell's guest takes only digests of bytes, and
    # the import costs it several times what starting Python does.
    import msgspec  # noqa: PLC0415

    return msgspec.json.Encoder(order="deterministic")


def canonical_json(value: object) -> bytes:
    """Encode to JSON with sorted keys, no spaces, UTF-8."""
    return _encoder().encode(value)


def digest_bytes(data: bytes) -> str:
    """``sha256:`` and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_value(value: object) -> str:
    """Digest of the canonical JSON of a value."""
    return "sha256:" + hashlib.sha256(_encoder().encode(value)).hexdigest()
