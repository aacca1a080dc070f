from __future__ import annotations

import random
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.errors import RecordError
from cleveragents.record.body import MAX_INLINE_BYTES
from cleveragents.record.chain_head import SPAN, TRUNK
from cleveragents.record.finding import Findings
from cleveragents.record.store import Store
from cleveragents.record.verify import MAX_PROBLEMS, verify
from cleveragents.terms.cost import Amount, Limits
from tests.record.desk import CHILD, OTHER, ROOT, Desk

if TYPE_CHECKING:
    from pathlib import Path


def _fill(desk: Desk) -> None:
    desk.own()
    desk.own(OTHER)
    desk.plan()
    desk.plan(CHILD, parent_plan_id=ROOT, depth=1)
    desk.plan(OTHER, root_id=OTHER)
    desk.call("a")
    desk.refuse("b", plan_id=CHILD)
    desk.call("a", plan_id=OTHER, root_id=OTHER)
    desk.append("outcome", call_id="big", body={"value": {"text": "x" * MAX_INLINE_BYTES}})
    desk.accounts.ensure(f"plan:{ROOT}", Limits(tool_calls=9))
    desk.accounts.reserve((f"plan:{ROOT}",), Amount(tool_calls=1), "a")
    desk.accounts.settle("a", Amount(tool_calls=1))
    desk.accounts.reserve((f"plan:{ROOT}",), Amount(tool_calls=1), "b")
    desk.plans.update(ROOT, state="complete")
    desk.plans.update(OTHER, state="complete", outcome="applied")
    desk.append("plan_ended", root_id=OTHER, body={"outcome": "applied"})
    desk.append("plan_ended", body={"outcome": None})


@pytest.fixture
def filled(any_desk: Desk) -> Desk:
    _fill(any_desk)
    return any_desk


def _found(desk: Desk) -> str:
    report = desk.verify()
    assert report.ok == (not report.problems)
    return "\n".join(report.problems)


def test_a_whole_store_verifies(filled: Desk) -> None:
    report = filled.verify()
    assert report.problems == ()
    assert report.ok
    count = filled.store.execute("SELECT count(*) FROM record")[0][0]
    assert report.checked == count
    later = filled.reopened()
    assert later.verify() == report
    later.close()


def test_an_empty_store_verifies(any_desk: Desk) -> None:
    assert any_desk.verify().ok


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("body", '{"n":2}'),
        ("body", "{"),
        ("kind", "note"),
        ("at", "2027-01-01T00:00:00Z"),
        ("plan_id", OTHER),
        ("call_id", "z"),
        ("root_id", OTHER),
        ("position", 99),
        ("prev", "0" * 64),
        ("hash", "0" * 64),
    ],
)
def test_an_edited_record_is_named(filled: Desk, column: str, value: object) -> None:
    filled.store.change(f"UPDATE record SET {column} = ? WHERE seq = ?", (value, SPAN + 5))  # noqa: S608  # constants
    found = _found(filled)
    assert f"record of plan {ROOT}" in found or f"record of plan {OTHER}" in found
    assert "entry 5 " in found or "entry 99 " in found


def test_a_removed_record_is_named(filled: Desk) -> None:
    filled.store.change("DELETE FROM record WHERE seq IN (?, ?)", (SPAN + 4, SPAN + 5))
    assert f"the record of plan {ROOT}: entries 4 to 5 are missing" in _found(filled)


def test_swapped_records_are_named(filled: Desk) -> None:
    store, far = filled.store, 500 * SPAN
    for source, target in ((SPAN + 4, far), (SPAN + 5, SPAN + 4), (far, SPAN + 5)):
        store.change("UPDATE record SET seq = ? WHERE seq = ?", (target, source))
    found = _found(filled)
    assert "entry 4 was moved or edited" in found
    assert "entry 5 was moved or edited" in found


def test_swapped_records_with_new_positions_are_named(filled: Desk) -> None:
    store, far = filled.store, 500 * SPAN
    for source, target in ((SPAN + 4, far), (SPAN + 5, SPAN + 4), (far, SPAN + 5)):
        store.change(
            "UPDATE record SET seq = ?, position = ? WHERE seq = ?",
            (target, target % SPAN, source),
        )
    assert "does not follow the one before it" in _found(filled)


def test_a_cut_tail_is_found_by_its_head(filled: Desk) -> None:
    filled.append()
    filled.append()
    last = filled.append()
    filled.store.change("DELETE FROM record WHERE seq >= ?", (last.seq - 1,))
    filled.store.change("DELETE FROM record WHERE seq >= ? AND seq < 0", (last.seq,))
    found = _found(filled)
    assert f"the record of plan {ROOT} was truncated or lost" in found


def test_a_cut_tail_is_found_by_the_chain_of_heads_too(filled: Desk) -> None:
    """With a head file made to fit: what the plan's end anchored is still known."""
    rows = filled.store.execute(
        "SELECT position, hash FROM record WHERE root_id = ? ORDER BY position", (OTHER,)
    )
    position, digest = rows[-2]
    filled.store.change("DELETE FROM record WHERE root_id = ? AND position > ?", (OTHER, position))
    (filled.heads / OTHER).write_text(f"{position:015d} {digest}\n")
    found = _found(filled)
    assert f"the record of plan {OTHER} was cut or replaced" in found
    assert "truncated" not in found


def test_a_removed_plan_is_found(filled: Desk) -> None:
    for table in ("record", "plan"):
        filled.store.change(f"DELETE FROM {table} WHERE root_id = ?", (OTHER,))  # noqa: S608  # constants
    (filled.heads / OTHER).unlink()
    assert f"the record of plan {OTHER} was removed: the chain of heads saw it" in _found(filled)


def test_a_plan_removed_with_its_place_in_the_chain_of_heads_is_found(filled: Desk) -> None:
    for table in ("record", "plan"):
        filled.store.change(f"DELETE FROM {table} WHERE root_id = ?", (OTHER,))  # noqa: S608  # constants
    filled.store.change("DELETE FROM record WHERE root_id = ? AND call_id = ?", (TRUNK, OTHER))
    found = _found(filled)
    assert "the chain of heads" in found
    assert f"the record of plan {OTHER} was removed: its head says" in found


def test_a_removed_chain_of_heads_is_found(filled: Desk) -> None:
    filled.store.change("DELETE FROM record WHERE root_id = ?", (TRUNK,))
    found = _found(filled)
    assert "the chain of heads was truncated or lost" in found
    assert "does not know the entries from" in found


def test_a_plan_that_began_twice_is_found(desk: Desk) -> None:
    desk.append()
    desk.log._anchor(ROOT, 0, "0" * 64)
    assert "saw a plan begin twice" in _found(desk)


def test_a_lost_head_is_found(filled: Desk) -> None:
    (filled.heads / ROOT).unlink()
    report = filled.verify()
    if filled.store.dialect == "sqlite":
        assert report.problems == (f"the record of plan {ROOT} has lost its head",)
    else:
        assert report.ok
        assert report.notes == (f"the record of plan {ROOT} has no head on this machine",)


def test_a_changed_head_is_found(filled: Desk) -> None:
    line = (filled.heads / ROOT).read_text()
    (filled.heads / ROOT).write_text(line.replace(line[20], "0" if line[20] != "0" else "1"))
    assert "is not the one its head saw" in _found(filled)
    (filled.heads / ROOT).write_text("x")
    assert "holds no position and hash" in _found(filled)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("name", "other"),
        ("outcome", "merged"),
        ("safety_profile", "unrestricted"),
        ("profile_digest", "sha256:0"),
        ("definition_digest", "sha256:0"),
        ("isolation_verified", 1),
        ("detail", '{"grant":{}}'),
        ("detail", "{"),
        ("cancel_requested", 1),
        ("parent_plan_id", OTHER),
    ],
)
def test_an_edited_plan_is_named(filled: Desk, column: str, value: object) -> None:
    filled.store.change(f"UPDATE plan SET {column} = ? WHERE plan_id = ?", (value, CHILD))  # noqa: S608  # constants
    assert f"the row of plan {CHILD}" in _found(filled)


def test_a_removed_and_an_added_row_are_named(filled: Desk) -> None:
    filled.store.change("UPDATE plan SET plan_id = 'stranger' WHERE plan_id = ?", (CHILD,))
    found = _found(filled)
    assert "plan stranger is in no record" in found
    assert f"the row of plan {CHILD} was removed" in found


@pytest.mark.parametrize(
    ("start", "columns", "said"),
    [
        ({"definition": {"a": 1}, "definition_digest": "sha256:0"}, {}, "definition of plan"),
        ({"profiles": [{"name": "x"}], "profile_digests": ["sha256:0"]}, {}, "safety profiles of"),
        (
            {"definition_digest": "sha256:0"},
            {"definition_digest": "sha256:1"},
            "another definition",
        ),
        (
            {"profile_digests": ["sha256:0"]},
            {"profile_digest": "sha256:1"},
            "another safety profile",
        ),
    ],
)
def test_a_start_that_contradicts_itself_or_its_row_is_named(
    desk: Desk, start: dict[str, object], columns: dict[str, Any], said: str
) -> None:
    desk.own()
    desk.plan()
    desk.plans.update(ROOT, **columns)
    desk.append("plan_started", body=start)
    assert said in _found(desk)


def test_a_changed_or_missing_object_is_named(filled: Desk) -> None:
    (path,) = [one for one in (filled.home / "objects").rglob("*") if one.is_file()]
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert f"the value sha256:{path.name}" in _found(filled)
    path.unlink()
    assert "is missing in" in _found(filled)


def test_nested_and_literal_objects_are_followed(desk: Desk) -> None:
    large = "y" * MAX_INLINE_BYTES
    inner = {"$object": "sha256:" + "0" * 64}
    body = {"value": [[large, {"n": inner}] + ["z" * 3000] * 10, inner], "again": large}
    stored = desk.append(body=body)
    assert desk.log.resolve(stored.body) == body
    assert desk.verify().problems == ()
    objects = [one for one in (desk.home / "objects").rglob("*") if one.is_file()]
    assert len(objects) == 2
    min(objects, key=lambda one: one.stat().st_size).unlink()
    assert not desk.verify().ok


@pytest.mark.parametrize("column", ["spent_cost", "held_ms", "limit_tokens", "seal"])
def test_an_edited_account_is_named(filled: Desk, column: str) -> None:
    filled.store.change(f"UPDATE account SET {column} = 7")  # noqa: S608  # constants
    assert f"the account plan:{ROOT} was changed" in _found(filled)


def test_an_edited_holding_is_named(filled: Desk) -> None:
    filled.store.change("UPDATE reservation SET tool_calls = 7")
    assert "holds something else than is reserved" in _found(filled)
    filled.store.change("UPDATE reservation SET chain = '[\"plan:x\"]'")
    assert "on the account plan:x, which does not exist" in _found(filled)
    filled.store.change("UPDATE reservation SET chain = '['")
    assert "the reservation b cannot be read" in _found(filled)


def test_an_edited_owner_is_named(filled: Desk) -> None:
    filled.store.change("UPDATE owner SET epoch = 0 WHERE root_id = ?", (ROOT,))
    assert f"the owner of plan {ROOT} was changed" in _found(filled)


def test_a_changed_schema_is_named(desk: Desk) -> None:
    desk.store.execute("DROP INDEX record_call")
    desk.store.execute("CREATE TRIGGER t AFTER INSERT ON record BEGIN DELETE FROM record; END")
    found = _found(desk)
    assert "lacks the index record_call of record" in found
    assert "has the trigger t of record besides" in found


def test_an_account_that_is_no_number_is_named(desk: Desk) -> None:
    _fill(desk)
    desk.store.change("UPDATE account SET spent_cost = 'many'")
    assert "was changed: it does not add up" in _found(desk)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE plan SET name = x'00ff'", f"the row of plan {ROOT} was edited"),
        ("UPDATE owner SET host = x'00ff'", f"the owner of plan {ROOT} was changed"),
        ("UPDATE account SET name = x'00ff'", "was changed: it does not add up"),
        ("UPDATE record SET body = x'00ff' WHERE kind = 'decision'", "it cannot be read"),
        ("UPDATE record SET at = CAST(x'ff' AS TEXT) WHERE kind = 'decision'", "cannot be read"),
        ("UPDATE reservation SET cost = 'x'", "the reservation b cannot be read"),
    ],
)
def test_values_of_another_kind_are_named(desk: Desk, change: str, said: str) -> None:
    _fill(desk)
    desk.store.change(change)
    assert said in _found(desk)


def test_the_last_entry_of_the_last_chain_may_be_unreadable(desk: Desk) -> None:
    desk.append()
    desk.append()
    desk.store.change("UPDATE record SET at = CAST(x'ff' AS TEXT) WHERE root_id = ?", (ROOT,))
    found = _found(desk)
    assert "entry 1 cannot be read" in found
    assert "entry 2 cannot be read" in found


def test_a_store_that_is_closed_is_a_finding(desk: Desk) -> None:
    desk.append()
    desk.store.close()
    assert "closed" in _found(desk)


def _stumble() -> None:
    int("x")


def test_a_check_that_stumbles_has_found_something() -> None:
    findings = Findings()
    findings.attempt(_stumble)
    assert "not of its kind" in findings.problems[0]


def test_a_running_plan_verifies_too(desk: Desk) -> None:
    """Verified by another process while the owner goes on."""
    _fill(desk)
    reader = Store.open(desk.url, read_only=True)
    for number in range(20):
        desk.call(f"more{number}")
        desk.plans.update(ROOT, elapsed_ms=number)
        assert verify(reader, desk.heads).problems == ()
    reader.close()


def test_what_is_found_has_an_end(desk: Desk) -> None:
    for _ in range(MAX_PROBLEMS + 50):
        desk.append()
    desk.store.change("UPDATE record SET at = 'x'")
    assert len(desk.verify().problems) == MAX_PROBLEMS


def _dump(path: Path) -> list[tuple[Any, ...]] | None:
    """All that the database says, or ``None`` when it cannot be read."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        rows: list[tuple[Any, ...]] = list(
            connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
        )
        for table in ("record", "plan", "owner", "account", "reservation", "schema_version"):
            rows.extend(connection.execute(f"SELECT * FROM {table} NOT INDEXED"))  # noqa: S608  # constants
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall():
            rows.append((name,))
    except (sqlite3.Error, UnicodeError):
        return None
    finally:
        connection.close()
    return rows


def _verifies(desk: Desk) -> bool:
    try:
        store = Store.open(desk.url, read_only=True)
    except RecordError:
        return False
    try:
        return verify(store, desk.heads).ok
    finally:
        store.close()


def test_one_changed_byte_of_the_store_is_found(desk: Desk) -> None:
    """Any byte whose change alters what the database says, or makes it unreadable."""
    _fill(desk)
    desk.close()
    path = desk.database
    whole = path.read_bytes()
    before = _dump(path)
    assert before is not None
    assert _verifies(desk)
    chance = random.Random(7)  # noqa: S311  # a sample, no secret
    used = [place for place in range(len(whole)) if whole[place]]
    mattered = 0
    for place in chance.sample(used, 400):
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        if _dump(path) != before:
            mattered += 1
            assert not _verifies(desk), f"byte {place} was changed and nobody noticed"
    path.write_bytes(whole)
    assert mattered > 100
    assert _verifies(desk)
