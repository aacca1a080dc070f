from __future__ import annotations

import os
import sqlite3
import sys
import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from cleveragents.errors import ConfigurationError, RecordError
from cleveragents.record import store as store_module
from cleveragents.record.store import Store
from tests.record.postgres import database, find_binaries

if TYPE_CHECKING:
    from pathlib import Path

    from tests.record.desk import Desk


def _url(home: Path) -> str:
    return f"sqlite://{home}/deep/er/store.db"


def test_a_new_database_is_private_whole_and_wal(tmp_path: Path) -> None:
    with_tables = Store.open(_url(tmp_path))
    assert with_tables.execute("SELECT count(*) FROM record") == [(0,)]
    assert with_tables.execute("PRAGMA journal_mode") == [("wal",)]
    directory = tmp_path / "deep" / "er"
    assert (directory / "store.db").stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700
    with_tables.close()
    with_tables.close()
    assert [path.name for path in directory.iterdir()] == ["store.db"]


def test_opening_again_keeps_what_is_there(any_desk: Desk) -> None:
    any_desk.append()
    second = Store.open(any_desk.url)
    assert second.execute("SELECT count(*) FROM record WHERE root_id <> 'heads'") == [(1,)]
    second.close()


@pytest.mark.parametrize("name", ["a b%20?c#d.db", "ünï.db"])
def test_odd_file_names_are_names(tmp_path: Path, name: str) -> None:
    Store.open(f"sqlite://{tmp_path}/{name}").close()
    assert (tmp_path / name).exists()


def test_four_slashes_are_three(tmp_path: Path) -> None:
    Store.open(f"sqlite:///{tmp_path}/a.db").close()
    assert (tmp_path / "a.db").exists()


@pytest.mark.parametrize(
    "url", ["", "a.db", "sqlite:a.db", "sqlite://a.db", "mysql://host/db", "://", "/a.db"]
)
def test_an_unknown_url_names_the_known_ones(url: str) -> None:
    with pytest.raises(ConfigurationError, match="sqlite:///absolute/path or postgresql://"):
        Store.open(url)


def test_a_url_with_a_password_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Store.open("mysql://user:hunter2@host/db")
    assert "hunter2" not in caught.value.message


def test_read_only_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be opened"):
        Store.open(_url(tmp_path), read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_read_only_writes_nothing(any_desk: Desk) -> None:
    any_desk.append()
    reader = Store.open(any_desk.url, read_only=True)
    assert reader.execute("SELECT count(*) FROM record WHERE root_id <> 'heads'") == [(1,)]
    with pytest.raises(RecordError, match=r"cannot be written|read-only"):
        reader.change("DELETE FROM record")
    reader.close()


@pytest.mark.parametrize("data", [b"no database at all" * 100, b"SQLite format 3\0" + b"\7" * 4096])
def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.db").write_bytes(data)
    with pytest.raises(RecordError, match="is damaged") as caught:
        Store.open(f"sqlite://{tmp_path}/a.db")
    assert "\n" not in caught.value.message
    assert (tmp_path / "a.db").read_bytes() == data


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "a.db").touch()
    opened = Store.open(f"sqlite://{tmp_path}/a.db")
    assert opened.execute("SELECT count(*) FROM record") == [(0,)]
    opened.close()


def test_a_newer_database_is_refused(any_desk: Desk) -> None:
    any_desk.store.change("UPDATE schema_version SET version = 99")
    with pytest.raises(RecordError, match="is of version 99, this program knows 3; update"):
        Store.open(any_desk.url)


@pytest.mark.parametrize(
    "version", ["DELETE FROM schema_version", "UPDATE schema_version SET version = 'x'"]
)
def test_a_database_that_does_not_say_its_version_is_refused(desk: Desk, version: str) -> None:
    desk.store.change(version)
    with pytest.raises(RecordError, match="does not say its version"):
        Store.open(desk.url)


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "deep").write_text("in the way")
    with pytest.raises(RecordError, match="cannot be made: Not a directory"):
        Store.open(_url(tmp_path))


def test_a_locked_database_is_one_sentence(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BUSY_TIMEOUT_S", 0)
    impatient = Store.open(desk.url)
    with desk.store.transaction(), pytest.raises(RecordError, match="locked by another process"):
        impatient.change("DELETE FROM plan")
    with desk.store.transaction(), pytest.raises(RecordError, match="locked by another process"):
        impatient.transaction().__enter__()
    with impatient.transaction():
        impatient.change("DELETE FROM plan")
    impatient.close()


def test_a_closed_store_says_so(desk: Desk) -> None:
    closed = Store.open(desk.url)
    closed.close()
    with pytest.raises(RecordError, match="closed"):
        closed.execute("SELECT 1")
    with pytest.raises(RecordError, match="closed"):
        closed.change("DELETE FROM plan")


def test_a_statement_that_fails_leaves_the_connection_usable(any_desk: Desk) -> None:
    with pytest.raises(RecordError, match="refuses"):
        any_desk.store.execute("SELECT * FROM nothing")
    with pytest.raises(RecordError, match="refuses"):
        any_desk.store.change("DELETE FROM nothing")
    with pytest.raises(RecordError), any_desk.store.transaction():
        any_desk.store.execute("SELECT * FROM nothing")
    assert any_desk.store.execute("SELECT 1") == [(1,)]


def test_an_inner_failure_dooms_the_whole(any_desk: Desk) -> None:
    store = any_desk.store
    ended: list[bool] = []
    with pytest.raises(RecordError, match="none of it was kept"), store.transaction():  # noqa: PT012  # the whole block is what fails
        store.at_end(ended.append)
        any_desk.accounts.ensure("plan:a")
        try:
            with store.transaction():
                raise ZeroDivisionError  # noqa: TRY301  # what is tested
        except ZeroDivisionError:
            pass
    assert ended == [False]
    assert store.execute("SELECT count(*) FROM account") == [(0,)]
    with store.transaction():
        store.at_end(ended.append)
        any_desk.accounts.ensure("plan:a")
    assert ended == [False, True]
    assert store.execute("SELECT count(*) FROM account") == [(1,)]


def test_a_commit_that_fails_is_undone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RecordError(problem="no room")

    ended: list[bool] = []
    with monkeypatch.context() as patch:
        patch.setattr(desk.store._engine, "commit", fail)
        with pytest.raises(RecordError, match="no room"), desk.store.transaction():  # noqa: PT012  # the whole block is what fails
            desk.store.at_end(ended.append)
            desk.accounts.ensure("plan:a")
    assert ended == [False]
    assert desk.store.execute("SELECT count(*) FROM account") == [(0,)]


def test_another_thread_waits_for_the_end_of_a_transaction(any_desk: Desk) -> None:
    seen: list[int] = []

    def read() -> None:
        seen.append(any_desk.store.execute("SELECT count(*) FROM account")[0][0])

    reader = threading.Thread(target=read)
    with any_desk.store.transaction():
        any_desk.accounts.ensure("plan:a")
        reader.start()
        any_desk.accounts.ensure("plan:b")
    reader.join(10)
    assert seen == [2]


def test_a_snapshot_sees_one_moment_and_hinders_nobody(any_desk: Desk) -> None:
    other = Store.open(any_desk.url)
    with any_desk.store.snapshot():
        before = any_desk.store.execute("SELECT count(*) FROM account")
        with other.transaction():
            other.change(
                "INSERT INTO account (name, seal) VALUES ('plan:x', 0)",
            )
        assert any_desk.store.execute("SELECT count(*) FROM account") == before
    assert any_desk.store.execute("SELECT count(*) FROM account") == [(1,)]
    other.close()


def test_durable_syncs_the_log_of_writes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync
    desk.append()

    def note(number: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115  # a descriptor's link
        real(number)

    monkeypatch.setattr(os, "fsync", note)
    desk.append()
    assert synced == []
    desk.append(durable=True)
    assert synced == [f"{desk.database}-wal"]
    with desk.store.transaction():
        desk.append()
        desk.append(durable=True)
    assert len(synced) == 2
    desk.append()
    assert len(synced) == 2


def test_a_sync_that_fails_stops(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.append()

    def fail(number: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(RecordError, match="cannot be synced"):
            desk.append(durable=True)
    desk.append()
    assert desk.verify().problems == ()


def test_without_wal_a_commit_is_durable_by_itself(tmp_path: Path) -> None:
    opened = Store.open(f"sqlite://{tmp_path}/a.db")
    opened.execute("PRAGMA journal_mode=DELETE")
    with opened.transaction():
        opened.durable()
    opened.close()


def test_only_one_of_many_creators_wins(tmp_path: Path) -> None:
    stores: list[Store] = []
    threads = [
        threading.Thread(target=lambda: stores.append(Store.open(_url(tmp_path)))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(stores) == 8
    stores[0].change("INSERT INTO account (name, seal) VALUES ('plan:x', 0)")
    assert all(one.execute("SELECT count(*) FROM account") == [(1,)] for one in stores)
    for one in stores:
        one.close()


def test_a_file_system_without_hard_links_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: str, target: str) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(RecordError, match="hard links"):
        Store.open(_url(tmp_path))
    assert list((tmp_path / "deep" / "er").iterdir()) == []


def test_without_a_driver_postgresql_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cleveragents\[postgres\]'"):
        Store.open("postgresql://localhost/x")


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(RecordError, match=r"PostgreSQL refuses: .*refused") as caught:
        Store.open("postgresql://user:hunter2@127.0.0.1:1/x")
    assert "\n" not in caught.value.message
    assert "hunter2" not in caught.value.message


def test_a_lost_connection_is_an_error_and_never_a_hang(postgres_url: str) -> None:
    opened = Store.open(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(RecordError, match="refuses"), opened.transaction():
        opened.execute("SELECT 1")
    opened.close()


def test_a_database_without_an_encoding_gives_text(postgres_server: str) -> None:
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE ascii_only ENCODING 'SQL_ASCII' TEMPLATE template0"
            " LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    url = postgres_server.rpartition("/")[0] + "/ascii_only"
    opened = Store.open(url)
    assert opened.execute("SELECT ?::text", ("é",)) == [("é",)]
    opened.close()
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("DROP DATABASE ascii_only")


def test_the_password_is_in_no_place(postgres_url: str) -> None:
    opened = Store.open(postgres_url.replace("tester@", "tester:hunter2@"))
    assert "hunter2" not in opened.place
    assert opened.place.startswith("postgresql://127.0.0.1:")
    opened.close()


def test_missing_binaries_fail_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pathlib.Path.glob", lambda self, pattern: iter(()))  # noqa: ARG005  # the real one's signature
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="apt-get install -y postgresql"):
        find_binaries()


def test_a_database_of_a_test_is_dropped(postgres_server: str) -> None:
    with database(postgres_server, "gone"):
        pass
    with psycopg.connect(postgres_server) as connection:
        rows = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'gone'").fetchall()
    assert rows == []


def test_text_that_is_no_unicode_and_numbers_too_large_are_refused(any_desk: Desk) -> None:
    with pytest.raises(RecordError):
        any_desk.store.execute("SELECT ?", ("\udc80",))
    with pytest.raises(RecordError):
        any_desk.store.change("UPDATE plan SET depth = ?", (2**70,))


def test_the_driver_is_what_the_standard_library_brings() -> None:
    assert sqlite3.threadsafety in {1, 3}
