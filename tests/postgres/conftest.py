"""A scene whose record is on a PostgreSQL server, reached by a URL with a password."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.plans.scene import scene_for
from tests.postgres.house import SECRET, PostgresHouse, url_of
from tests.record.postgres import database, server

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    """A server that sorts words as people do, not by their bytes: most do."""
    with server() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "CREATE DATABASE sorted TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
            )
            # Every database that is made from now on is made after it.
            connection.execute("ALTER DATABASE template1 RENAME TO plain")
            connection.execute("ALTER DATABASE sorted RENAME TO template1")
        yield url


@pytest.fixture
def house(server_url: str) -> Iterator[PostgresHouse]:
    """Commands over an empty database, in this process; the password is nowhere afterwards."""
    with (
        database(server_url, f"house_{next(_NUMBERS)}") as plain,
        scene_for(is_inside=True) as scene,
    ):
        made = PostgresHouse(scene, plain)
        scene.environ["CLEVERAGENTS_DATABASE_URL"] = url_of(plain, SECRET)
        yield made
        assert not scene.database.exists()
        kept = scene.kept() if scene.home.exists() else b""
        assert SECRET.encode() not in kept
        assert SECRET not in made.dump()
