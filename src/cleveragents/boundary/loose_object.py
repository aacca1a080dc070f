"""What do the loose objects of the private repository hold, read without asking git?

Trees are always loose there, and so are the blobs of a small change: to read one
is to open a file, where git would be a process. What is read is held against
its own id; what is not there is git's to find.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, Final

from cleveragents.errors import RecordError

if TYPE_CHECKING:
    from pathlib import Path

_HEADER_BYTES: Final = 64
"""More than enough for the kind and the size."""
_PACKED_BYTES: Final = 4096
"""Of the packed file: the tables that come before its first byte fit in it many times."""


def place_of(objects: Path, object_id: str) -> Path:
    """Give where a loose object lies, or would."""
    return objects / object_id[:2] / object_id[2:]


def read_loose(objects: Path, object_id: str, kind: str) -> bytes | None:
    """Give a loose object's content; ``None`` when there is no such loose object.

    Args:
        objects: The directory of the objects.
        object_id: Forty hexadecimal digits.
        kind: ``tree`` or ``blob``.

    Raises:
        RecordError: It is damaged, or of another kind.
    """
    try:
        packed = place_of(objects, object_id).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(object_id, error.strerror or str(error)) from error
    try:
        framed = zlib.decompress(packed)
    except zlib.error as error:
        raise _damaged(object_id, str(error)) from error
    if hashlib.sha1(framed, usedforsecurity=False).hexdigest() != object_id:
        raise _damaged(object_id, "its content is another one's")
    header, _, content = framed.partition(b"\0")
    if header != f"{kind} {len(content)}".encode("ascii"):
        raise _damaged(object_id, f"it is no {kind}")
    return content


def loose_size(objects: Path, object_id: str, kind: str) -> int | None:
    """Give a loose object's size as its header says it; ``None`` when there is none of the kind.

    Raises:
        RecordError: It is damaged.
    """
    try:
        with place_of(objects, object_id).open("rb") as file:
            start = zlib.decompressobj().decompress(file.read(_PACKED_BYTES), _HEADER_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, zlib.error) as error:
        raise _damaged(object_id, str(error)) from error
    header, end, _ = start.partition(b"\0")
    found, _, size = header.decode("ascii", "replace").partition(" ")
    if not end or not size.isdecimal():
        raise _damaged(object_id, "it has no header")
    return int(size) if found == kind else None


def _damaged(object_id: str, problem: str) -> RecordError:
    return RecordError(
        problem=f"object {object_id} in the tree store is damaged: {problem}",
        hint="start the plan again",
    )
