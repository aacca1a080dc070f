"""Where each chain stood last, kept outside the database that holds it.

One file a chain, one line: position and hash, of fixed width so that it is
overwritten in place by one write. It is written after the commit: a database
ahead of its head is what a kill in between leaves, a head ahead of the
database means that entries were taken away.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from cleveragents.errors import RecordError
from cleveragents.record.entry import GENESIS

if TYPE_CHECKING:
    from pathlib import Path

MAX_OPEN: Final = 64
"""Head files kept open at once; a long-lived process sees many root plans."""
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_LINE: Final = re.compile(rb"([0-9]{15}) ([0-9a-f]{64})\n")
_WIDTH: Final = 15 + 1 + 64 + 1


class Head(NamedTuple):
    """The last entry of a chain; position 0 when it has none."""

    position: int
    hash: str


NO_HEAD: Final = Head(0, GENESIS)


class HeadFiles:
    """The heads of all chains of one home. Not thread-safe: the log's lock is held."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: OrderedDict[str, int] = OrderedDict()
        self._written: dict[str, int] = {}

    def read(self, root_id: str) -> Head | None:
        """Give the head of a chain; ``None`` when there is no file, or an empty one.

        Raises:
            RecordError: The file cannot be read, or holds no head.
        """
        path = self._path(root_id)
        try:
            line = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RecordError(
                problem=f"the head {path} cannot be read: {error.strerror}"
            ) from error
        if not line:
            # Killed between making the file and its first line; or emptied, which is lost too.
            return None
        match = _LINE.fullmatch(line)
        if match is None:
            raise RecordError(problem=f"the head {path} was changed: it holds no position and hash")
        return Head(int(match[1]), match[2].decode())

    def create(self, root_id: str) -> None:
        """Make the head of a chain that is about to begin, on disk before its first entry."""
        number = self._descriptor(root_id)
        try:
            if os.fstat(number).st_size != _WIDTH:
                os.pwrite(number, b"%015d %b\n" % (0, GENESIS.encode()), 0)
            os.fsync(number)
        except OSError as error:
            raise self._unwritable(error) from error

    def write(self, root_id: str, position: int, digest: str) -> None:
        """Move a head forward; one that another process has moved further stays.

        Overtaken between its commit and this, a process may set the head back
        by that one entry until the next one is appended: a database ahead of
        its head, which is accepted.
        """
        number = self._open.get(root_id) or self._descriptor(root_id)
        try:
            if self._written.get(root_id) != position - 1:
                # Another process has appended too, perhaps beyond our commit.
                match = _LINE.fullmatch(os.pread(number, _WIDTH, 0))
                if match is not None and int(match[1]) >= position:
                    return
            os.pwrite(number, b"%015d %b\n" % (position, digest.encode()), 0)
        except OSError as error:
            raise self._unwritable(error) from error
        self._written[root_id] = position

    def names(self) -> tuple[str, ...]:
        """Give the root ids that have a head, sorted."""
        if not self._directory.is_dir():
            return ()
        return tuple(sorted(path.name for path in self._directory.iterdir()))

    def forget(self, root_id: str) -> None:
        """Close the file of a chain that is not going to grow soon."""
        self._written.pop(root_id, None)
        number = self._open.pop(root_id, None)
        if number is not None:
            os.close(number)

    def close(self) -> None:
        """Close every file."""
        for root_id in tuple(self._open):
            self.forget(root_id)

    def _descriptor(self, root_id: str) -> int:
        if root_id in self._open:
            return self._open[root_id]
        path = self._path(root_id)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        self._open[root_id] = number
        if len(self._open) > MAX_OPEN:
            self.forget(next(iter(self._open)))
        return number

    def _path(self, root_id: str) -> Path:
        if not _NAME.fullmatch(root_id):
            raise RecordError(problem=f"{root_id[:80]!r} is no id of a plan")
        return self._directory / root_id

    def _unwritable(self, error: OSError) -> RecordError:
        return RecordError(
            problem=f"the heads of the record in {self._directory} cannot be written:"
            f" {error.strerror}",
            hint="make room or check the permissions, then resume the plan",
        )
