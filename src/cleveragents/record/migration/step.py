"""The numbered steps that bring a database from any older version to this one.

A step is one SQL file, run in one transaction and never edited once released.
Both databases read the same file; the few words that differ are filled in.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from cleveragents.errors import RecordError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Dialect = Literal["sqlite", "postgresql"]

LATEST: Final = 2
"""Version that this program reads and writes."""

_FILES: Final = {1: "0001_first.sql", 2: "0002_session.sql"}
_WORDS: Final[dict[Dialect, dict[str, str]]] = {
    "sqlite": {"{key}": "INTEGER PRIMARY KEY", "{clustered}": " WITHOUT ROWID"},
    "postgresql": {"{key}": "BIGINT PRIMARY KEY", "{clustered}": ""},
}


class Database(Protocol):
    """What a step needs of a store."""

    @property
    def dialect(self) -> Dialect:
        """Which database it is."""

    @property
    def place(self) -> str:
        """Where it is."""

    def has_table(self, name: str) -> bool:
        """Say whether a table exists."""

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Give the rows of a statement."""

    def change(self, sql: str) -> int:
        """Run a statement."""

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing."""


def statements(version: int, dialect: Dialect) -> tuple[str, ...]:
    """Give the statements that lead to a version from the one before it."""
    path = os.path.join(os.path.dirname(__file__), _FILES[version])  # noqa: PTH118, PTH120  # pathlib is too dear for the read path
    with open(path, encoding="utf-8") as file:  # noqa: PTH123  # the same
        lines = [line for line in file if not line.startswith("--")]
    text = "".join(lines)
    for word, meaning in _WORDS[dialect].items():
        text = text.replace(word, meaning)
    return tuple(part.strip() for part in text.split(";") if part.strip())


def bring_up(store: Database) -> None:
    """Bring a database up to ``LATEST``, from nothing or from any older version.

    Raises:
        RecordError: It was made by a newer version, or cannot be changed.
    """
    if _version(store) == LATEST:
        return
    with store.transaction():
        # Again inside: another process may have done it meanwhile.
        version = _version(store)
        if version > LATEST:
            raise RecordError(
                problem=f"{store.place} is of version {version}, this program knows {LATEST}",
                hint="update cleveragents",
            )
        for number in range(version + 1, LATEST + 1):
            for statement in statements(number, store.dialect):
                store.change(statement)


def _version(store: Database) -> int:
    if not store.has_table("schema_version"):
        return 0
    rows = store.execute("SELECT version FROM schema_version")
    if len(rows) != 1 or not isinstance(rows[0][0], int):
        raise RecordError(problem=f"{store.place} does not say its version")
    return rows[0][0]
