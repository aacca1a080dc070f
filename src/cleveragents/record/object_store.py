"""Large values, kept beside the record as files named by their digest."""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING, Final

from cleveragents.errors import RecordError
from cleveragents.terms.digest import digest_bytes

if TYPE_CHECKING:
    from pathlib import Path

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class ObjectStore:
    """Write once, read by digest; what is read is what was written, or an error."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, data: bytes, *, durable: bool = False) -> str:
        """Keep bytes and give their digest; the same bytes are kept once.

        Args:
            data: The bytes.
            durable: Survive a power cut, as the row that names them must.

        Raises:
            RecordError: They cannot be written.
        """
        digest = digest_bytes(data)
        path = self._path(digest)
        try:
            if path.exists() and path.stat().st_size == len(data):
                return digest
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            unfinished = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
            with open(
                unfinished, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)
            ) as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError as error:
            raise RecordError(
                problem=f"a value cannot be kept in {self._directory}: {error.strerror}",
                hint="make room or check the permissions, then resume the plan",
            ) from error
        return digest

    def get(self, digest: str) -> bytes:
        """Give the bytes of a digest.

        Raises:
            RecordError: They are not there, or are no longer what they were.
        """
        if not _DIGEST.fullmatch(digest):
            raise RecordError(problem=f"{digest[:80]!r} is no digest of a kept value")
        try:
            data = self._path(digest).read_bytes()
        except OSError as error:
            raise RecordError(
                problem=f"the value {digest} is missing in {self._directory}: {error.strerror}"
            ) from error
        if digest_bytes(data) != digest:
            raise RecordError(problem=f"the value {digest} in {self._directory} was changed")
        return data

    def _path(self, digest: str) -> Path:
        name = digest.removeprefix("sha256:")
        return self._directory / name[:2] / name
