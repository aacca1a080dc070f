"""How a connection of each database is used; the drivers are imported in ``store`` only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Protocol

from cleveragents.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cleveragents.record.migration.step import Dialect

Row = tuple[Any, ...]

_SENTENCES: Final = {
    "BUSY": ("is locked by another process", "try again when it is done"),
    "LOCKED": ("is locked by another process", "try again when it is done"),
    "FULL": ("cannot grow: the disk is full", "make room, then resume the plan"),
    "READONLY": ("cannot be written", "check the permissions of it and its directory"),
    "CANTOPEN": ("cannot be opened", "check that it exists and may be read"),
    "PERM": ("cannot be opened", "check that it exists and may be read"),
    "CORRUPT": ("is damaged", "'agents audit verify' says where; restore a copy"),
    "NOTADB": ("is damaged or no database", "restore a copy, or name another file"),
    "IOERR": ("cannot be read or written: disk I/O error", "check the disk"),
}


class Engine(Protocol):
    """What a store needs of a database."""

    dialect: Dialect
    place: str

    def query(self, sql: str, params: Sequence[object]) -> list[Row]:
        """Run one statement and give its rows."""
        ...

    def change(self, sql: str, params: Sequence[object]) -> int:
        """Run one statement and give the number of rows it changed."""
        ...

    def has_table(self, name: str) -> bool:
        """Say whether a table exists."""
        ...

    def begin(self, *, is_snapshot: bool) -> None:
        """Open a transaction, or one that only reads and sees one moment."""
        ...

    def commit(self) -> None:
        """End the transaction and keep it."""
        ...

    def rollback(self) -> None:
        """End the transaction, if one is open, and keep nothing of it."""
        ...

    def sync(self) -> None:
        """Make the last commit survive a power cut."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class SqliteEngine:
    """One connection to an SQLite file, every statement committed by itself."""

    dialect: Dialect = "sqlite"

    def __init__(self, connection: Any, errors: type[Exception], path: str) -> None:
        self.place = path
        self._connection = connection
        self._errors = (errors, OverflowError, UnicodeError)
        # One cursor for all: each statement is over before the store's lock is let go.
        self._run = connection.cursor().execute

    def query(self, sql: str, params: Sequence[object]) -> list[Row]:
        """Run one statement and give its rows."""
        try:
            rows: list[Row] = self._run(sql, params).fetchall()
        except self._errors as error:
            raise self._explain(error) from error
        return rows

    def change(self, sql: str, params: Sequence[object]) -> int:
        """Run one statement and give the number of rows it changed."""
        try:
            count: int = self._run(sql, params).rowcount
        except self._errors as error:
            raise self._explain(error) from error
        return count

    def has_table(self, name: str) -> bool:
        """Say whether a table exists."""
        found = self.query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,))
        return bool(found)

    def begin(self, *, is_snapshot: bool) -> None:
        """Open a transaction, or one that only reads and sees one moment."""
        # IMMEDIATE: a reader that turns writer half-way could not wait for its turn.
        self.change("BEGIN" if is_snapshot else "BEGIN IMMEDIATE", ())

    def commit(self) -> None:
        """End the transaction and keep it."""
        self.change("COMMIT", ())

    def rollback(self) -> None:
        """End the transaction, if one is open, and keep nothing of it."""
        # SQLite has rolled back by itself after a full disk or a damaged page.
        if self._connection.in_transaction:
            self._connection.rollback()

    def sync(self) -> None:
        """Make the last commit survive a power cut."""
        # The WAL holds the commit. Had a checkpoint moved it on, that has synced it.
        try:
            number = os.open(self.place + "-wal", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            os.fsync(number)
        except OSError as error:
            raise RecordError(problem=f"{self.place} cannot be synced: {error.strerror}") from error
        finally:
            os.close(number)

    def close(self) -> None:
        """End the connection."""
        try:
            self._connection.close()
        except self._errors as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> RecordError:
        return explain_sqlite(error, self.place)


def explain_sqlite(error: Exception, path: str) -> RecordError:
    """Give the one sentence for what SQLite says by a code."""
    # SQLITE_IOERR_WRITE and its like say the same as SQLITE_IOERR.
    name = str(getattr(error, "sqlite_errorname", "")).split("_")
    said, hint = _SENTENCES.get(name[1] if len(name) > 1 else "", (f"refuses: {error}", ""))
    return RecordError(problem=f"the database {path} {said}", hint=hint)


class PostgresEngine:
    """One connection to a PostgreSQL server, every statement committed by itself."""

    dialect: Dialect = "postgresql"

    def __init__(self, connection: Any, errors: type[Exception]) -> None:
        info = connection.info
        self.place = f"postgresql://{info.host}:{info.port}/{info.dbname}"
        self._connection = connection
        self._errors = (errors, UnicodeError)
        self._texts: dict[str, str] = {}

    def query(self, sql: str, params: Sequence[object]) -> list[Row]:
        """Run one statement and give its rows."""
        try:
            rows: list[Row] = self._connection.execute(self._text(sql), params).fetchall()
        except self._errors as error:
            raise self._explain(error) from error
        return rows

    def change(self, sql: str, params: Sequence[object]) -> int:
        """Run one statement and give the number of rows it changed."""
        try:
            count: int = self._connection.execute(self._text(sql), params).rowcount
        except self._errors as error:
            raise self._explain(error) from error
        return count

    def has_table(self, name: str) -> bool:
        """Say whether a table exists."""
        # Not to_regclass: within a transaction it may repeat what it said before
        # another process made the table.
        found = self.query(
            "SELECT 1 FROM pg_catalog.pg_class WHERE relname = ? AND relkind = 'r'"
            " AND pg_catalog.pg_table_is_visible(oid)",
            (name,),
        )
        return bool(found)

    def begin(self, *, is_snapshot: bool) -> None:
        """Open a transaction, or one that only reads and sees one moment."""
        reads = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        self.change(reads if is_snapshot else "BEGIN", ())

    def commit(self) -> None:
        """End the transaction and keep it."""
        self.change("COMMIT", ())

    def rollback(self) -> None:
        """End the transaction, if one is open, and keep nothing of it."""
        if not self._connection.closed:
            self.change("ROLLBACK", ())

    def sync(self) -> None:
        """Nothing: every commit is synced by the server (``synchronous_commit=on``)."""

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _text(self, sql: str) -> str:
        text = self._texts.get(sql)
        if text is None:
            text = self._texts[sql] = sql.replace("%", "%%").replace("?", "%s")
        return text

    def _explain(self, error: Exception) -> RecordError:
        if self._connection.closed:
            return RecordError(
                problem=f"the database {self.place} refuses: the connection is lost",
                hint="when the server is back, 'agents plan resume' goes on with a plan",
            )
        return explain_postgres(error, self.place)


def explain_postgres(error: Exception, place: str, hint: str = "") -> RecordError:
    """Give one sentence; what the server says is clear, but spreads over lines."""
    said = " ".join(str(error).split()) or type(error).__name__
    return RecordError(problem=f"the database {place} refuses: {said}", hint=hint)
