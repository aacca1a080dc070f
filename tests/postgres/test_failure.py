"""A server that is not there, not any more, or not for us: one sentence, the right exit code."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from cleveragents.record.store import Store
from tests.plans.scene import shell, tool, wait_until
from tests.postgres.house import SECRET, url_of

if TYPE_CHECKING:
    from tests.plans.scene import Done
    from tests.postgres.house import PostgresHouse

COMMANDS = (
    ("plan", "status"),
    ("plan", "list"),
    ("plan", "run", "plan.yaml", "--workspace", "work"),
    ("audit", "verify"),
    ("cost", "--by", "day"),
    ("doctor",),
)
"""Those that only read and those that write open the database by different ways."""
WRITES = tool("write_file", "note", path="note.txt", content="noted")


def said_by_all(house: PostgresHouse, url: str, exit_code: int) -> set[str]:
    """Give what each command says to a database that it cannot use."""
    house.scene.environ["CLEVERAGENTS_DATABASE_URL"] = url
    house.scene.plan([WRITES])
    return {_sentence(house.agents(*words, expect=exit_code)) for words in COMMANDS}


def _sentence(done: Done) -> str:
    (message,) = done.envelope["messages"]
    text = str(message["text"])
    assert len(text) < 500
    assert "\n" not in text
    return text


def test_a_wrong_password(house: PostgresHouse) -> None:
    name = house.url.rpartition("/")[2]
    with psycopg.connect(house.url, autocommit=True) as link:
        link.execute("CREATE ROLE locked LOGIN PASSWORD 'another-one'")
        ((place,),) = link.execute("SHOW hba_file").fetchall()
        rules = Path(str(place))
        kept = rules.read_text(encoding="utf-8")
        try:
            rules.write_text(f"host {name} locked 127.0.0.1/32 scram-sha-256\n{kept}")
            link.execute("SELECT pg_reload_conf()")
            wait_until(
                lambda: link.execute("SELECT 'locked' = ANY (SELECT unnest(user_name) FROM"
                                     " pg_hba_file_rules)").fetchone() == (True,), "the rule",
            )  # fmt: skip
            said = said_by_all(house, url_of(house.url, SECRET, "locked"), 1)
        finally:
            rules.write_text(kept)
            link.execute("SELECT pg_reload_conf()")
            link.execute("DROP ROLE locked")
    assert len(said) == 1
    assert 'password authentication failed for user "locked"' in said.pop()


def test_an_unknown_database_and_nobody_at_the_address(house: PostgresHouse) -> None:
    (said,) = said_by_all(house, url_of(house.url, SECRET).rpartition("/")[0] + "/nowhere", 1)
    assert 'database "nowhere" does not exist' in said
    (said,) = said_by_all(house, f"postgresql://tester:{SECRET}@127.0.0.1:1/x", 1)
    assert "refused" in said
    assert "check CLEVERAGENTS_DATABASE_URL" in said


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://tester:{}%@127.0.0.1/x",
        "postgresql://tester:{}/x@127.0.0.1/x",
        "postgresql://tester:1/{}@127.0.0.1/x",
        "postgresql://tester:x@{}@127.0.0.1/x",
        "postgresql://tester@127.0.0.1/x?pasword={}",
        "postgresql://tester@127.0.0.1/x?{}",
        "postgresql:/tester:{}@127.0.0.1/x",
        "tester:{}@127.0.0.1/x",
        "mysql://tester:{}@127.0.0.1/x",
        "postgresql://tester:\udcff{}@127.0.0.1/x",
    ],
)
def test_a_url_that_is_none_is_not_repeated(house: PostgresHouse, url: str) -> None:
    for said in said_by_all(house, url.format(SECRET), 2):
        assert said.startswith("CLEVERAGENTS_DATABASE_URL: ")
        assert "postgresql://user" in said


def test_a_driver_that_is_missing(house: PostgresHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    (said,) = said_by_all(house, house.url, 2)
    assert "pip install 'cleveragents[postgres]'" in said


def test_a_server_that_crashes_under_a_plan(house: PostgresHouse) -> None:
    once = "echo x >> log"
    steps = [WRITES, shell("first", once), shell("sleeps", f"{once}; sleep 1"), shell("last", once)]
    host = house.start(steps, "--apply")
    house.wait_for("decision", 3)
    plan_id = house.plan_id
    find = "SELECT pid FROM pg_stat_activity WHERE application_name = 'cleveragents'"
    # The death of one of its processes ends every connection to the server.
    os.kill(house.rows(find)[0][0], signal.SIGKILL)
    done = house.ended(host, 1)
    assert "the connection is lost" in done.said
    assert not list(house.scene.work.iterdir())
    wait_until(lambda: answers(house), "the server")
    assert house.agents("plan", "status", plan_id).data["interrupted"] is True
    house.verify()
    assert house.agents("plan", "resume", plan_id, "--apply").data["outcome"] == "applied"
    assert house.scene.text("log") == "x\n" * 3
    house.verify()


def test_a_lost_machine_or_server_is_noticed_in_a_minute(house: PostgresHouse) -> None:
    store = Store.open(house.url)
    asked = ("idle", "interval", "count")
    kept = [store.execute(f"SHOW tcp_keepalives_{name}")[0][0] for name in asked]
    store.close()
    assert kept == ["30", "10", "3"]


def test_tables_of_an_older_version_are_brought_up_by_who_may_write(house: PostgresHouse) -> None:
    plan_id = house.agents(*house.scene.words([WRITES])).plan_id
    with psycopg.connect(house.url, autocommit=True) as link:
        link.execute("DROP TABLE model_spending")
        link.execute("UPDATE schema_version SET version = 2")
    said = house.agents("plan", "status", expect=1).said
    assert "is of version 2, this program reads 3; 'agents plan list' brings it up" in said
    house.agents("plan", "list")
    assert house.agents("plan", "status").data["plan_id"] == plan_id
    assert house.agents("cost", "--by", "model").data["rows"] == []
    house.verify()


def answers(house: PostgresHouse) -> bool:
    """Say whether the server is back."""
    try:
        return house.rows("SELECT 1") == [(1,)]
    except psycopg.OperationalError:
        return False
