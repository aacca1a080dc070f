"""The numbered steps that bring a database from any older version to this one.

A step is one SQL file, run in one transaction and never edited once released.
Both databases read the same file; the few words that differ are filled in.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from cleveragents.errors import ConfigurationError, RecordError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Dialect = Literal["sqlite", "postgresql"]

LATEST: Final = 3
"""Version that this program reads and writes."""

_FILES: Final = {1: "0001_first.sql", 2: "0002_session.sql", 3: "0003_model.sql"}
_WORDS: Final[dict[Dialect, dict[str, str]]] = {
    "sqlite": {"{key}": "INTEGER PRIMARY KEY", "{clustered}": " WITHOUT ROWID"},
    "postgresql": {
        "{key}": "BIGINT PRIMARY KEY",
        "{clustered}": "",
        # Ids are looked up by ranges of bytes; a server sorts words as its language does.
        " TEXT": ' TEXT COLLATE "C"',
    },
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

    def serialize(self, name: str) -> None:
        """One transaction after the other, of those that ask for the same name."""


def statements(version: int, dialect: Dialect) -> tuple[str, ...]:
    """Give the statements that lead to a version from the one before it."""
    path = os.path.join(os.path.dirname(__file__), _FILES[version])  # noqa: PTH118, PTH120  # pathlib is too dear for the read path
    with open(path, encoding="utf-8") as file:  # noqa: PTH123  # the same
        lines = [line for line in file if not line.startswith("--")]
    text = "".join(lines)
    for word, meaning in _WORDS[dialect].items():
        text = text.replace(word, meaning)
    return tuple(part.strip() for part in text.split(";") if part.strip())


def bring_up(store: Database, *, read_only: bool = False) -> None:
    """Bring a database up to ``LATEST``, from nothing or from any older version.

    Args:
        store: The database.
        read_only: It is not changed; one that would have to be is an error.

    Raises:
        ConfigurationError: It has no tables yet, and is only read.
        RecordError: It was made by a newer version, or cannot be changed.
    """
    version = _version(store)
    if version == LATEST:
        return
    if read_only and version < LATEST:
        raise _behind(store, version)
    with store.transaction():
        # Two that make one table at once fail on PostgreSQL, whatever they ask before.
        store.serialize("schema_version")
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


def _behind(store: Database, version: int) -> ConfigurationError | RecordError:
    if version == 0:
        return ConfigurationError(
            problem=f"there are no plans yet: {store.place} has no tables",
            hint="'agents plan run FILE' starts one",
        )
    return RecordError(
        problem=f"{store.place} is of version {version}, this program reads {LATEST}",
        hint="'agents plan list' brings it up",
    )


def _version(store: Database) -> int:
    if not store.has_table("schema_version"):
        return 0
    rows = store.execute("SELECT version FROM schema_version")
    if len(rows) != 1 or not isinstance(rows[0][0], int):
        raise RecordError(problem=f"{store.place} does not say its version")
    return rows[0][0]
