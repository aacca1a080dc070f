"""A desk on SQLite, and one on each database in turn."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.record.desk import Desk
from tests.record.postgres import database, server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with server() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    with database(postgres_server, f"test_{next(_NUMBERS)}") as url:
        yield url


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, f"sqlite://{tmp_path}/cleveragents.db")
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """The same behaviour on both databases."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite://{tmp_path}/cleveragents.db"
        else:
            url = request.getfixturevalue("postgres_url")
        made = Desk(tmp_path, url)
        stack.callback(made.close)
        yield made


@pytest.fixture
def count_files() -> Callable[[], int]:
    """How many descriptors this process holds."""
    return lambda: len(list(Path("/proc/self/fd").iterdir()))
