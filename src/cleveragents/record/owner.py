"""Who runs a root plan: one process, by an OS lock, and an epoch for the late ones.

The lock says who is alive; the epoch says who was told to stop: an owner whose
lock was taken from it (a frozen process, a lost machine) finds another epoch at
its next append and ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cleveragents.errors import PlanBusyError, RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cleveragents.record.store import Store

_EPOCH: Final = "SELECT epoch FROM owner WHERE root_id = ?"
_GRACE_S: Final = 1.0
"""Within it those who only look at a lock are done, also on a busy machine, and the
server lets go of what a process held that was killed a moment ago."""
_PAUSE_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Ownership:
    """The right to append to a root plan's chain; ``release`` ends it."""

    root_id: str
    epoch: int
    store: Store
    descriptor: int

    def release(self) -> None:
        """Let the next owner in. The epoch stays, so a late append of ours still fails."""
        if self.store.dialect == "postgresql":
            _unlock_server(self.store, self.root_id)
        os.close(self.descriptor)


class OwnerDesk:
    """Hands out ownerships.

    Args:
        store: Holds the epochs.
        locks_dir: Directory of the lock files.
        now: The wall clock, RFC 3339 in UTC.
    """

    def __init__(
        self, store: Store, *, locks_dir: str | os.PathLike[str], now: Callable[[], str]
    ) -> None:
        self._store = store
        self._locks_dir = os.fspath(locks_dir)
        self._now = now

    def acquire(self, root_id: str) -> Ownership:
        """Become the owner of a root plan.

        Raises:
            PlanBusyError: A living process owns it; names it.
            RecordError: The lock or the epoch cannot be written.
        """
        path = lock_path(self._locks_dir, root_id)
        try:
            os.makedirs(self._locks_dir, mode=0o700, exist_ok=True)  # noqa: PTH103  # pathlib is too dear here
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise RecordError(
                problem=f"the lock {path} cannot be made: {error.strerror}",
                hint="check the permissions of its directory",
            ) from error
        try:
            epoch = self._take(root_id, number)
        except BaseException:
            os.close(number)
            raise
        return Ownership(root_id, epoch, self._store, number)

    def _take(self, root_id: str, number: int) -> int:
        if not _lock(number):
            raise PlanBusyError(plan_id=root_id, owner=_name(os.pread(number, 4096, 0)))
        started = self._now()
        about = {"pid": os.getpid(), "host": os.uname().nodename, "started": started}
        os.ftruncate(number, 0)
        os.pwrite(number, json.dumps(about).encode(), 0)
        if self._store.dialect != "postgresql":
            return self._raise_epoch(root_id, started)
        if not _lock_server(self._store, root_id):
            raise PlanBusyError(plan_id=root_id, owner=self._recorded_owner(root_id))
        try:
            return self._raise_epoch(root_id, started)
        except BaseException:
            _unlock_server(self._store, root_id)
            raise

    def _recorded_owner(self, root_id: str) -> str:
        """Name an owner on another machine: only the database knows it."""
        names = ("pid", "host", "started")
        rows = self._store.execute(
            "SELECT pid, host, started FROM owner WHERE root_id = ?", (root_id,)
        )
        return _name(json.dumps(dict(zip(names, rows[0], strict=True)) if rows else {}).encode())

    def _raise_epoch(self, root_id: str, started: str) -> int:
        store, host, pid = self._store, os.uname().nodename, os.getpid()
        with store.transaction():
            rows = store.execute(_EPOCH + store.for_update, (root_id,))
            epoch = int(rows[0][0]) + 1 if rows else 1
            store.change(
                "INSERT INTO owner (root_id, epoch, pid, host, started, seal)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (root_id) DO UPDATE SET"
                " epoch = excluded.epoch, pid = excluded.pid, host = excluded.host,"
                " started = excluded.started, seal = excluded.seal",
                (root_id, epoch, pid, host, started, seal((root_id, epoch, pid, host, started))),
            )
        return epoch


def is_owned(store: Store, locks_dir: str | os.PathLike[str], root_id: str) -> bool:
    """Say whether a living process owns a root plan, without disturbing it."""
    try:
        number = os.open(lock_path(locks_dir, root_id), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return _is_locked_on_server(store, root_id)
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(number)
    return _is_locked_on_server(store, root_id)


def lock_path(locks_dir: str | os.PathLike[str], root_id: str) -> str:
    """Give the lock file of a root plan.

    Raises:
        RecordError: The id would leave the directory.
    """
    if not root_id or not root_id.replace("-", "").replace("_", "").isalnum():
        raise RecordError(problem=f"{root_id[:80]!r} is no id of a plan")
    return os.path.join(os.fspath(locks_dir), root_id)  # noqa: PTH118  # pathlib is too dear here


def seal(row: tuple[object, ...]) -> int:
    """Give a checksum of a row that no chain covers, so that damage shows."""
    return zlib.crc32(json.dumps(row).encode())


def _lock(number: int) -> bool:
    end = time.monotonic() + _GRACE_S
    while time.monotonic() < end:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            return True
        try:
            # Succeeds against those who only look, fails against an owner.
            fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        os.sched_yield()
    return False


def _lock_server(store: Store, root_id: str) -> bool:
    end = time.monotonic() + _GRACE_S
    while True:
        rows = store.execute("SELECT pg_try_advisory_lock(hashtextextended(?, 0))", (root_id,))
        if rows[0][0] or time.monotonic() > end:
            return bool(rows[0][0])
        time.sleep(_PAUSE_S)


def _unlock_server(store: Store, root_id: str) -> None:
    store.execute("SELECT pg_advisory_unlock(hashtextextended(?, 0))", (root_id,))


def _is_locked_on_server(store: Store, root_id: str) -> bool:
    if store.dialect != "postgresql":
        return False
    rows = store.execute(
        "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
        " AND (classid::bigint << 32 | objid::bigint) = hashtextextended(?, 0)",
        (root_id,),
    )
    return bool(rows)


def _name(about: bytes) -> str:
    try:
        facts = json.loads(about)
        return f"process {facts['pid']} on {facts['host']} since {facts['started']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
