from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import RecordError
from cleveragents.record.body import MAX_INLINE_BYTES
from cleveragents.record.chain_head import SPAN, TRUNK
from cleveragents.record.entry import GENESIS, Entry
from tests.record.desk import OTHER, ROOT, Desk

if TYPE_CHECKING:
    from collections.abc import Callable


def test_entries_follow_one_another(any_desk: Desk) -> None:
    first, second = any_desk.append(body={"n": 1}), any_desk.append(body={"n": 2})
    assert (first.position, second.position) == (1, 2)
    assert first.prev == GENESIS
    assert second.prev == first.hash
    assert any_desk.log.entries(root_id=ROOT) == (first, second)


def test_each_root_plan_has_a_chain_and_a_number(any_desk: Desk) -> None:
    ours, theirs = any_desk.append(), any_desk.append(root_id=OTHER)
    assert ours.prev == theirs.prev == GENESIS
    assert (ours.seq, theirs.seq) == (SPAN + 1, 2 * SPAN + 1)
    trunk = any_desk.log.entries(root_id=TRUNK)
    assert [entry.body["root_id"] for entry in trunk] == [ROOT, OTHER]


def test_entries_are_filtered_and_paged(any_desk: Desk) -> None:
    for number in range(5):
        any_desk.append("note" if number % 2 else "decision", call_id=f"c{number}")
    log = any_desk.log
    assert [entry.call_id for entry in log.entries(kind="note")] == ["c1", "c3"]
    page = log.entries(plan_id=ROOT, limit=2)
    assert [entry.call_id for entry in page] == ["c0", "c1"]
    rest = log.entries(plan_id=ROOT, after=page[-1].seq)
    assert [entry.call_id for entry in rest] == ["c2", "c3", "c4"]
    assert log.entries(root_id="01JNOBODY") == ()
    assert log.call_ids(ROOT) == {"c0", "c1", "c2", "c3", "c4"}
    assert [entry.kind for entry in log.call_entries(ROOT, "c3")] == ["note"]
    newest = log.last(ROOT, "note")
    assert newest is not None
    assert newest.call_id == "c3"
    assert log.last(ROOT, "merge") is None


def test_large_values_go_to_the_object_store_and_come_back(any_desk: Desk) -> None:
    text, rows = "x" * MAX_INLINE_BYTES, [{"n": n, "text": "é" * 40} for n in range(500)]
    body = {"value": {"text": text, "rows": rows, "path": "a.txt"}, "tool": "read_file"}
    stored = any_desk.append("outcome", call_id="a", body=body)
    (again,) = any_desk.log.call_entries(ROOT, "a")
    assert again == stored
    value = again.body["value"]
    assert isinstance(value, dict)
    assert value["path"] == "a.txt"
    assert set(value["text"]) == {"$object", "size"}
    assert any_desk.log.resolve(again.body) == body
    objects = [path for path in (any_desk.home / "objects").rglob("*") if path.is_file()]
    assert len(objects) == 2
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in objects)


@pytest.mark.parametrize(
    "body",
    [
        {"value": {"$object": "sha256:" + "0" * 64, "size": 3}},
        {"value": {"$literal": {"$object": "x"}}},
        {"$object": "sha256:" + "0" * 64},
        {"value": [{"$literal": 1}, {"a": {"$object": 1}}], "text": '"$object"'},
    ],
)
def test_data_that_looks_like_a_reference_stays_data(desk: Desk, body: dict[str, object]) -> None:
    stored = desk.append(body=body)
    assert desk.log.resolve(stored.body) == body
    assert desk.verify().problems == ()


@pytest.mark.parametrize(
    "body",
    [{"a": object()}, {"a": "\udc80"}, {"a": {(1, 2): 3}}],
    ids=["object", "surrogate", "tuple-key"],
)
def test_what_is_no_json_is_refused_and_leaves_nothing(desk: Desk, body: dict[str, object]) -> None:
    desk.append()
    with pytest.raises(RecordError, match="cannot be recorded"):
        desk.append(body=body)
    with pytest.raises(RecordError, match="cannot be recorded"):
        desk.append(call_id="\udc80")
    assert desk.append().position == 2


def test_a_deep_value_is_refused_in_one_sentence(desk: Desk) -> None:
    deep: object = "leaf"
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecordError, match="cannot be recorded"):
        desk.append(body={"deep": deep})


def test_a_transaction_keeps_all_of_it_or_nothing(any_desk: Desk) -> None:
    any_desk.append()
    kept = (any_desk.heads / ROOT).read_text()
    with pytest.raises(ZeroDivisionError), any_desk.store.transaction():  # noqa: PT012  # the whole block is what fails
        any_desk.append()
        any_desk.append(root_id=OTHER)
        assert (any_desk.heads / ROOT).read_text() == kept
        raise ZeroDivisionError
    assert len(any_desk.log.entries(root_id=ROOT)) == 1
    assert any_desk.log.entries(root_id=OTHER) == ()
    assert any_desk.append().position == 2
    assert any_desk.append(root_id=OTHER).position == 1
    assert any_desk.verify().problems == ()


def test_the_head_is_written_after_the_outermost_commit(any_desk: Desk) -> None:
    any_desk.append()
    with any_desk.store.transaction():
        with any_desk.store.transaction():
            stored = any_desk.append()
        assert stored.hash not in (any_desk.heads / ROOT).read_text()
        stored = any_desk.append(durable=True)
    assert (any_desk.heads / ROOT).read_text() == f"{3:015d} {stored.hash}\n"


def test_a_database_ahead_of_its_head_is_accepted(any_desk: Desk) -> None:
    any_desk.append()
    kept = (any_desk.heads / ROOT).read_bytes()
    any_desk.append()
    # What a kill between commit and head leaves.
    (any_desk.heads / ROOT).write_bytes(kept)
    again = any_desk.reopened()
    try:
        assert again.verify().problems == ()
        assert again.append().position == 3
    finally:
        again.close()


def test_a_head_ahead_of_the_database_stops_the_plan(any_desk: Desk) -> None:
    any_desk.append()
    any_desk.append()
    any_desk.store.change("DELETE FROM record WHERE position = 2 AND root_id = ?", (ROOT,))
    again = any_desk.reopened()
    try:
        with pytest.raises(RecordError, match="truncated or lost: its head is at 2"):
            again.append()
        assert again.append(root_id=OTHER).position == 1
    finally:
        again.close()


def test_a_lost_head_stops_the_plan(desk: Desk) -> None:
    desk.append()
    again = desk.reopened()
    try:
        (again.heads / ROOT).unlink()
        with pytest.raises(RecordError, match="lost its head"):
            again.append()
    finally:
        again.close()


def test_a_lost_trunk_head_says_how_to_begin_anew(desk: Desk) -> None:
    desk.append()
    again = desk.reopened()
    try:
        (again.heads / TRUNK).unlink()
        with pytest.raises(RecordError, match=r"move .*cleveragents.db and its heads away"):
            again.append(root_id=OTHER)
    finally:
        again.close()


def test_with_postgresql_a_plan_of_another_machine_goes_on(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    here = Desk(tmp_path_factory.mktemp("here"), postgres_url)
    there = Desk(tmp_path_factory.mktemp("there"), postgres_url)
    try:
        here.append()
        assert there.append().position == 2
        assert here.append().position == 3
        assert here.verify().problems == ()
        assert there.verify().problems == ()
    finally:
        here.close()
        there.close()


@pytest.mark.parametrize("line", [b"x", b"0" * 81, b"000000000000001 short\n"])
def test_a_damaged_head_is_an_error_not_a_fresh_start(desk: Desk, line: bytes) -> None:
    desk.append()
    again = desk.reopened()
    try:
        (again.heads / ROOT).write_bytes(line)
        with pytest.raises(RecordError, match="holds no position and hash"):
            again.append()
        assert not again.verify().ok
    finally:
        again.close()


def test_an_emptied_head_is_a_lost_one(desk: Desk) -> None:
    desk.append()
    again = desk.reopened()
    try:
        (again.heads / ROOT).write_bytes(b"")
        with pytest.raises(RecordError, match="lost its head"):
            again.append()
        assert again.verify().problems == (f"the record of plan {ROOT} has lost its head",)
    finally:
        again.close()


def test_a_head_whose_making_was_cut_off_is_made_again(desk: Desk) -> None:
    desk.heads.mkdir()
    (desk.heads / TRUNK).touch()
    (desk.heads / ROOT).touch()
    assert desk.append().position == 1
    assert desk.verify().problems == ()


def test_a_chain_that_everybody_writes_to_ends_with_an_error(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.append()
    monkeypatch.setattr(desk.store, "change", lambda sql, params: 0)  # noqa: ARG005  # the real one's signature
    with pytest.raises(RecordError, match="written to from everywhere"):
        desk.append()


def test_two_writers_of_one_chain_do_not_fork_it(any_desk: Desk) -> None:
    second = Desk(any_desk.home, any_desk.url)
    try:
        for turn in range(6):
            (any_desk, second)[turn % 2].append(body={"turn": turn})
        with second.store.transaction():
            second.append(body={"turn": 6})
        with any_desk.store.transaction():
            any_desk.append(body={"turn": 7})
            any_desk.append(body={"turn": 8})
        turns = [entry.body["turn"] for entry in any_desk.log.entries(root_id=ROOT)]
        assert turns == list(range(9))
        assert second.verify().problems == ()
    finally:
        second.close()


def test_a_superseded_owner_writes_nothing_more(any_desk: Desk) -> None:
    ownership = any_desk.own()
    any_desk.append()
    later = replace(ownership, epoch=ownership.epoch + 1)
    any_desk.store.change("UPDATE owner SET epoch = ? WHERE root_id = ?", (later.epoch, ROOT))
    with pytest.raises(RecordError, match="superseded"):
        any_desk.append()
    any_desk.log.own(later)
    assert any_desk.append().position == 2


def test_a_visitor_appends_beside_the_owner(any_desk: Desk) -> None:
    any_desk.own()
    any_desk.append()
    visitor = Desk(any_desk.home, any_desk.url)
    try:
        assert visitor.append("approval").position == 2
        assert any_desk.append().position == 3
        any_desk.log.disown(ROOT)
        assert not any_desk.log.owns(ROOT)
        assert any_desk.append().position == 4
    finally:
        visitor.close()


@pytest.mark.parametrize("root_id", ["", "../x", "a/b", "x" * 65, "a\n"])
def test_an_id_that_is_none_touches_no_file(desk: Desk, root_id: str) -> None:
    with pytest.raises(RecordError, match="is no id of a plan"):
        desk.log.append(Entry("note", root_id, "p"))
    assert list(desk.heads.glob("*")) == []


def test_many_head_files_are_not_held_open(desk: Desk, count_files: Callable[[], int]) -> None:
    before = count_files()
    for number in range(100):
        desk.append(root_id=f"R{number}")
    assert count_files() - before <= 70
    assert desk.append(root_id="R0").position == 2
    assert desk.verify().problems == ()


def test_an_unreadable_body_is_named(desk: Desk) -> None:
    stored = desk.append(call_id="a")
    desk.store.change("UPDATE record SET body = '[1' WHERE seq = ?", (stored.seq,))
    with pytest.raises(RecordError, match=f"record {stored.seq} of plan {ROOT} cannot be read"):
        desk.log.call_entries(ROOT, "a")


def test_a_full_disk_is_one_sentence_and_the_plan_goes_on_after_it(desk: Desk) -> None:
    desk.append()
    (pages,) = desk.store.execute("PRAGMA page_count")[0]
    desk.store.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(RecordError, match="the disk is full") as caught:  # noqa: PT012  # the whole block is what fails
        for _ in range(100):
            desk.append(body={"text": "x" * 4000})
    assert "\n" not in caught.value.message
    desk.store.execute("PRAGMA max_page_count = 100000")
    desk.append()
    assert desk.verify().problems == ()


def test_heads_that_cannot_be_written_are_one_sentence(desk: Desk) -> None:
    desk.heads.write_text("a file where the directory should be")
    with pytest.raises(RecordError, match=r"heads/01J.* cannot be read: Not a directory"):
        desk.append()
