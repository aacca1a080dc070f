"""The one door to a database: SQLite on one machine, PostgreSQL for several.

A store is one connection behind one re-entrant lock: a transaction belongs to
the thread that opened it, and every other thread waits for its end. SQLite runs
in WAL with ``synchronous=NORMAL``, which survives the death of the process and
may lose the last commits at a power cut; ``durable()`` makes a commit survive
that too.

Read by ``agents plan status``: nothing dear is imported here.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError, RecordError
from cleveragents.record.engine import (
    PostgresEngine,
    SqliteEngine,
    explain_postgres,
    explain_sqlite,
)
from cleveragents.record.migration import step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import Any

    from cleveragents.record.engine import Engine, Row
    from cleveragents.record.migration.step import Dialect

BUSY_TIMEOUT_S: Final = 30.0
"""How long a writer waits for another process's transaction."""
_WHERE: Final = "CLEVERAGENTS_DATABASE_URL"


class Store:
    """One database, opened, checked for its version and brought up to it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.RLock()
        self._depth = 0
        self._is_doomed = False
        self._is_durable = False
        self._ends: list[Callable[[bool], None]] = []
        self._transaction = _Transaction(self, is_snapshot=False)

    @classmethod
    def open(cls, url: str, *, read_only: bool = False) -> Store:
        """Open a database by its URL and create or update its tables.

        Args:
            url: ``sqlite:///absolute/path`` or ``postgresql://...``.
            read_only: Nothing is created; a database that is not there is an error.

        Raises:
            ConfigurationError: The URL names no database that is known here, or
                the driver for it is not installed.
            RecordError: The database cannot be opened, is damaged, or was made
                by a newer version.
        """
        scheme, separator, rest = url.partition("://")
        if separator and scheme == "sqlite" and rest.startswith("/"):
            path = "/" + rest.lstrip("/")
            if not read_only and not os.path.exists(path):  # noqa: PTH110  # pathlib is too dear here
                _create(path)
            store = cls(_open_sqlite(path, read_only=read_only))
        elif separator and scheme in {"postgresql", "postgres"}:
            store = cls(_open_postgres(url, read_only=read_only))
        else:
            raise ConfigurationError(
                # A URL may hold a password, also one that is mistyped: it is not shown.
                problem=f"{scheme + separator + '...' if separator else 'what it holds'}"
                " is no database",
                where=_WHERE,
                hint="write sqlite:///absolute/path or postgresql://user@host/name",
            )
        try:
            step.bring_up(store, read_only=read_only)
        except (ConfigurationError, RecordError):
            store.close()
            raise
        return store

    @property
    def dialect(self) -> Dialect:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect

    @property
    def place(self) -> str:
        """Where the database is; never a password."""
        return self._engine.place

    @property
    def lock(self) -> AbstractContextManager[bool]:
        """Held by whoever reads and then writes without a transaction."""
        return self._lock

    @property
    def in_transaction(self) -> bool:
        """Say whether a transaction is open; ask only while holding ``lock``."""
        return self._depth > 0

    @property
    def for_update(self) -> str:
        """What a select ends in whose rows this transaction is going to change."""
        return " FOR UPDATE" if self.dialect == "postgresql" else ""

    def execute(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        """Run one statement and give all its rows.

        Args:
            sql: With ``?`` as placeholder in both databases.
            params: Text, integers or ``None``.

        Raises:
            RecordError: The database refused, in one sentence.
        """
        with self._lock:
            return self._engine.query(sql, params)

    def change(self, sql: str, params: Sequence[object] = ()) -> int:
        """Run one statement and give the number of rows that it changed."""
        with self._lock:
            return self._engine.change(sql, params)

    def has_table(self, name: str) -> bool:
        """Say whether a table exists."""
        with self._lock:
            return self._engine.has_table(name)

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, for everything that this thread does inside.

        Re-entrant: an inner block joins the outer one. An error that leaves an
        inner block dooms the whole: there is no committing half of it.
        """
        return self._transaction

    def snapshot(self) -> AbstractContextManager[None]:
        """See one moment in everything that this thread reads inside; hinder no writer."""
        return _Transaction(self, is_snapshot=True)

    def serialize(self, name: str) -> None:
        """Let no other transaction that asks for the same name go on beside this one."""
        if self.dialect == "postgresql":
            self.execute("SELECT pg_advisory_xact_lock(hashtextextended(?, 1))", (name,))

    def durable(self) -> None:
        """Make the commit of the open transaction survive a power cut."""
        self._is_durable = True

    def at_end(self, callback: Callable[[bool], None]) -> None:
        """Call back once when the open transaction has ended.

        Args:
            callback: Gets whether it was committed.
        """
        self._ends.append(callback)

    def close(self) -> None:
        """End the connection; closing twice is no error."""
        with self._lock:
            self._engine.close()

    def _enter(self, *, is_snapshot: bool) -> None:
        self._lock.acquire()
        if self._depth == 0:
            try:
                self._engine.begin(is_snapshot=is_snapshot)
            except BaseException:
                self._lock.release()
                raise
        self._depth += 1

    def _leave(self, *, is_failed: bool) -> None:
        self._depth -= 1
        self._is_doomed = self._is_doomed or is_failed
        try:
            if self._depth == 0:
                self._finish(is_failed=is_failed)
        finally:
            self._lock.release()

    def _finish(self, *, is_failed: bool) -> None:
        is_doomed, is_durable, ends = self._is_doomed, self._is_durable, self._ends
        self._is_doomed, self._is_durable, self._ends = False, False, []
        is_committed = False
        try:
            if not is_doomed:
                self._engine.commit()
                is_committed = True
                if is_durable:
                    self._engine.sync()
        finally:
            if not is_committed:
                self._engine.rollback()
            for callback in ends:
                callback(is_committed)
        if is_doomed and not is_failed:
            raise RecordError(problem="a part of a transaction failed, so none of it was kept")


class _Transaction:
    __slots__ = ("_is_snapshot", "_store")

    def __init__(self, store: Store, *, is_snapshot: bool) -> None:
        self._store = store
        self._is_snapshot = is_snapshot

    def __enter__(self) -> None:
        self._store._enter(is_snapshot=self._is_snapshot)  # noqa: SLF001  # two halves of one thing

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._store._leave(is_failed=kind is not None)  # noqa: SLF001  # the same


def _open_sqlite(path: str, *, read_only: bool) -> SqliteEngine:
    name = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    try:
        connection = sqlite3.connect(
            f"file:{name}?mode={'ro' if read_only else 'rw'}",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
    except sqlite3.Error as error:
        raise explain_sqlite(error, path) from error
    engine = SqliteEngine(connection, sqlite3.Error, path)
    try:
        engine.change("PRAGMA synchronous=NORMAL", ())
    except RecordError:
        engine.close()
        raise
    return engine


def _open_postgres(url: str, *, read_only: bool) -> PostgresEngine:
    try:
        import psycopg  # noqa: PLC0415  # an optional extra, and dear
    except ImportError as error:
        raise ConfigurationError(
            problem="PostgreSQL needs a driver that is not installed",
            where=_WHERE,
            hint="pip install 'cleveragents[postgres]'",
        ) from error
    from cleveragents.record import postgres_url  # noqa: PLC0415  # only with the extra

    patience: Any = postgres_url.patience(url, psycopg, where=_WHERE)
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            application_name="cleveragents",
            **patience,
            # A server without an encoding would hand text out as bytes.
            client_encoding="utf8",
        )
        if read_only:
            connection.execute("SET default_transaction_read_only = on")
        else:
            connection.execute(postgres_url.LET_GO)
    except psycopg.Error as error:
        raise explain_postgres(
            error, "PostgreSQL", f"check {_WHERE}, and that the server is running"
        ) from error
    return PostgresEngine(connection, psycopg.Error)


def _create(path: str) -> None:
    """Make an empty database with its tables, visible only when it is whole."""
    unfinished = f"{path}.{os.getpid()}-{threading.get_ident()}"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120  # pathlib is too dear here
        os.close(os.open(unfinished, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise RecordError(
            problem=f"the database {path} cannot be made: {error.strerror}",
            hint="check the permissions of its directory",
        ) from error
    try:
        store = Store(_open_sqlite(unfinished, read_only=False))
        try:
            store.execute("PRAGMA journal_mode=WAL")
            step.bring_up(store)
        finally:
            store.close()
        _publish(unfinished, path)
    finally:
        os.unlink(unfinished)  # noqa: PTH108  # pathlib is too dear here


def _publish(unfinished: str, path: str) -> None:
    # INVARIANT: never over an existing one: another process may have been faster
    # and have its record in there already.
    try:
        os.link(unfinished, path)
    except FileExistsError:
        return
    except OSError as error:
        raise RecordError(
            problem=f"the database {path} cannot be made: {error.strerror}",
            hint="its file system must know hard links",
        ) from error
