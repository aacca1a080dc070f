"""How do fifty thousand files become blobs in seconds?

Blobs only: content has no name, so nothing here can be fooled by one. A few
are written as loose objects, many as one pack with its index, both in git's
own formats. Trees and commits are git's business.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

_OBJ_BLOB: Final = 3
_LEVEL: Final = 1
"""Speed before size: objects live as long as their plans."""
_LOOSE_AT_MOST: Final = 16
"""More new objects than this in one go become a pack."""
_PIECE_BYTES: Final = 1 << 20
_LARGE_OFFSET: Final = 1 << 31


def blob_id(data: bytes) -> str:
    """Give the id that git gives to a blob of these bytes."""
    digest = hashlib.sha1(b"blob %d\0" % len(data), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def stream_id(pieces: Iterator[bytes], size: int) -> str:
    """Give the id of a blob that is too large to hold."""
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def pieces_of(descriptor: int) -> Iterator[bytes]:
    """Read a file from its start in pieces."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    while piece := os.read(descriptor, _PIECE_BYTES):
        yield piece


def _entry_header(kind: int, size: int) -> bytes:
    first = (kind << 4) | (size & 0x0F)
    size >>= 4
    out = bytearray()
    while size:
        out.append(first | 0x80)
        first = size & 0x7F
        size >>= 7
    out.append(first)
    return bytes(out)


class _Pack:
    """One pack being written, with what its index needs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"tmp_pack_{os.getpid()}_{os.urandom(6).hex()}"
        self._file: BinaryIO = self._path.open("w+b", buffering=1 << 18)
        self._file.write(b"PACK" + struct.pack(">II", 2, 0))
        self._offset = 12
        self._entries: list[tuple[bytes, int, int]] = []

    def add(self, object_id: bytes, size: int, pieces: Iterator[bytes]) -> None:
        packer = zlib.compressobj(_LEVEL)
        header = _entry_header(_OBJ_BLOB, size)
        crc = zlib.crc32(header)
        start = self._offset
        self._file.write(header)
        length = len(header)
        for piece in pieces:
            packed = packer.compress(piece)
            crc = zlib.crc32(packed, crc)
            self._file.write(packed)
            length += len(packed)
        packed = packer.flush()
        crc = zlib.crc32(packed, crc)
        self._file.write(packed)
        self._offset = start + length + len(packed)
        self._entries.append((object_id, crc, start))

    def finish(self) -> None:
        """Complete the pack, write its index, and put both in place.

        The index is named last: git looks for ``.idx`` files, so a kill in
        between leaves a pack that nobody sees.
        """
        self._file.flush()
        os.pwrite(self._file.fileno(), struct.pack(">I", len(self._entries)), 8)
        self._file.seek(0)
        digest = hashlib.sha1(usedforsecurity=False)
        while piece := self._file.read(_PIECE_BYTES):
            digest.update(piece)
        checksum = digest.digest()
        self._file.seek(0, os.SEEK_END)
        self._file.write(checksum)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        index = self._path.with_name(self._path.name.replace("tmp_pack", "tmp_idx"))
        with index.open("wb") as out:
            out.write(self._index(checksum))
            out.flush()
            os.fsync(out.fileno())
        stem = f"pack-{checksum.hex()}"
        self._path.chmod(0o400)
        index.chmod(0o400)
        self._path.rename(self._directory / f"{stem}.pack")
        index.rename(self._directory / f"{stem}.idx")

    def _index(self, checksum: bytes) -> bytes:
        entries = sorted(self._entries)
        counts = [0] * 256
        for object_id, _, _ in entries:
            counts[object_id[0]] += 1
        total = 0
        fanout = bytearray()
        for count in counts:
            total += count
            fanout += struct.pack(">I", total)
        large = [offset for _, _, offset in entries if offset >= _LARGE_OFFSET]
        places = {offset: _LARGE_OFFSET | at for at, offset in enumerate(large)}
        body = b"".join(
            (
                b"\xfftOc",
                struct.pack(">I", 2),
                bytes(fanout),
                b"".join(object_id for object_id, _, _ in entries),
                struct.pack(f">{len(entries)}I", *(crc for _, crc, _ in entries)),
                struct.pack(
                    f">{len(entries)}I", *(places.get(offset, offset) for _, _, offset in entries)
                ),
                struct.pack(f">{len(large)}Q", *large),
                checksum,
            )
        )
        return body + hashlib.sha1(body, usedforsecurity=False).digest()

    def abandon(self) -> None:
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()


class BlobWriter:
    """Takes contents and gives ids; a context manager, whose end makes them readable."""

    def __init__(self, objects: Path) -> None:
        self._objects = objects
        self._waiting: dict[str, bytes] = {}
        self._packed: set[str] = set()
        self._pack: _Pack | None = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put everything in place, or nothing after an error."""
        if kind is None:
            self._finish()
        elif self._pack is not None:
            self._pack.abandon()

    def add(self, data: bytes) -> str:
        """Take one content."""
        object_id = blob_id(data)
        self._take(object_id, len(data), lambda: iter((data,)), data)
        return object_id

    def add_file(self, descriptor: int, size: int) -> str:
        """Take a file that is too large to hold, reading it twice.

        Raises:
            OSError: The file changed while it was read.
        """
        object_id = stream_id(pieces_of(descriptor), size)
        self._open_pack()
        self._take(object_id, size, lambda: _same(descriptor, size, object_id), None)
        return object_id

    def _take(
        self, object_id: str, size: int, pieces: Callable[[], Iterator[bytes]], data: bytes | None
    ) -> None:
        if object_id in self._packed or object_id in self._waiting or self._is_loose(object_id):
            return
        if self._pack is None and data is not None:
            self._waiting[object_id] = data
            if len(self._waiting) > _LOOSE_AT_MOST:
                self._open_pack()
            return
        pack = self._open_pack()
        pack.add(bytes.fromhex(object_id), size, pieces())
        self._packed.add(object_id)

    def _open_pack(self) -> _Pack:
        if self._pack is None:
            self._pack = _Pack(self._objects / "pack")
            for object_id, data in self._waiting.items():
                self._pack.add(bytes.fromhex(object_id), len(data), iter((data,)))
                self._packed.add(object_id)
            self._waiting.clear()
        return self._pack

    def _is_loose(self, object_id: str) -> bool:
        return (self._objects / object_id[:2] / object_id[2:]).exists()

    def _finish(self) -> None:
        if self._pack is not None:
            self._pack.finish()
            return
        for object_id, data in self._waiting.items():
            _write_loose(self._objects, object_id, b"blob %d\0" % len(data) + data)


def _same(descriptor: int, size: int, object_id: str) -> Iterator[bytes]:
    """Read a file a second time, sure that it is what was read the first time."""
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    for piece in pieces_of(descriptor):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != object_id:
        msg = "the file changed while it was read"
        raise OSError(msg)


def write_loose(objects: Path, kind: str, data: bytes) -> str:
    """Write one loose object, durably, and give its id; existing is fine."""
    framed = b"%s %d\0" % (kind.encode("ascii"), len(data)) + data
    object_id = hashlib.sha1(framed, usedforsecurity=False).hexdigest()
    _write_loose(objects, object_id, framed)
    return object_id


def _write_loose(objects: Path, object_id: str, framed: bytes) -> None:
    directory = objects / object_id[:2]
    place = directory / object_id[2:]
    if place.exists():
        return
    directory.mkdir(exist_ok=True)
    temporary = directory / f"tmp_obj_{os.getpid()}_{os.urandom(6).hex()}"
    try:
        with temporary.open("xb") as out:
            out.write(zlib.compress(framed, _LEVEL))
            out.flush()
            os.fsync(out.fileno())
        temporary.chmod(0o444)
        temporary.rename(place)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
