"""Are the database's pages and tables whole, as far as it can say itself?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.errors import RecordError
from cleveragents.record.migration import step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cleveragents.record.store import Store

_KEYED: Final = ("plan", "owner", "reservation", "session", "spending", "model_spending")
"""Tables whose key is no number and has an index of its own; ``account`` is clustered."""


def check_schema(store: Store) -> Iterator[str]:
    """Give one sentence for each thing that is wrong with the database itself.

    Args:
        store: PostgreSQL checks its pages by itself (``data_checksums``).
    """
    if store.dialect != "sqlite":
        return
    try:
        for (line,) in store.execute("PRAGMA integrity_check(20)"):
            if line != "ok":
                yield f"the database {store.place} is damaged: {line}"
    except RecordError as error:
        yield error.message
    yield from _tables(store)


def _tables(store: Store) -> Iterator[str]:
    """Compare the tables and indexes with those that the steps make.

    A uniqueness or a condition taken out of an index would let the next entry
    be written twice.
    """
    expected = {
        _described(" ".join(statement.split()))
        for number in range(1, step.LATEST + 1)
        for statement in step.statements(number, "sqlite")
        if statement.startswith("CREATE")
    }
    tables = {table for _, _, table, _ in expected}
    expected |= {("index", f"sqlite_autoindex_{table}_1", table, "") for table in _KEYED}
    try:
        rows = store.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    except RecordError as error:
        yield error.message
        return
    actual = {
        (kind, name, table, " ".join((sql or "").split()))
        for kind, name, table, sql in rows
        if table in tables or name in tables or name.startswith("sqlite_autoindex_")
    }
    for kind, name, table, _ in sorted(expected - actual):
        yield f"the database {store.place} was changed: it lacks the {kind} {name} of {table}"
    for kind, name, table, _ in sorted(actual - expected):
        yield f"the database {store.place} was changed: it has the {kind} {name} of {table} besides"


def _described(statement: str) -> tuple[str, str, str, str]:
    words = statement.removeprefix("CREATE ").removeprefix("UNIQUE ").split()
    kind, name = words[0].lower(), words[1]
    return kind, name, name if kind == "table" else words[3], statement
