from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING

import pytest

from cleveragents.errors import PlanBusyError, RecordError
from cleveragents.record.owner import OwnerDesk, is_owned
from tests.record.desk import OTHER, ROOT, Desk

if TYPE_CHECKING:
    from pathlib import Path


def test_one_owner_at_a_time_and_the_second_is_told_who(any_desk: Desk) -> None:
    second = Desk(any_desk.home, any_desk.url)
    first = any_desk.own()
    with pytest.raises(PlanBusyError) as caught:
        second.owners.acquire(ROOT)
    assert f"process {os.getpid()} on " in caught.value.owner
    assert "since 2026-01-01T00:00:00" in caught.value.owner
    assert second.owners.acquire(OTHER).epoch == 1
    assert first.epoch == 1
    any_desk._owned.clear()
    first.release()
    again = second.own()
    assert again.epoch == 2
    second.close()


def test_the_epoch_rises_with_every_owner(any_desk: Desk) -> None:
    for epoch in (1, 2, 3):
        ownership = any_desk.owners.acquire(ROOT)
        assert ownership.epoch == epoch
        ownership.release()


def test_looking_does_not_disturb(any_desk: Desk) -> None:
    assert not is_owned(any_desk.store, any_desk.locks, ROOT)
    ownership = any_desk.owners.acquire(ROOT)
    assert is_owned(any_desk.store, any_desk.locks, ROOT)
    ownership.release()
    assert not is_owned(any_desk.store, any_desk.locks, ROOT)


def test_owners_come_in_while_others_look(desk: Desk) -> None:
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            is_owned(desk.store, desk.locks, ROOT)

    lookers = [threading.Thread(target=look) for _ in range(4)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(50):
            desk.owners.acquire(ROOT).release()
    finally:
        is_over.set()
        for looker in lookers:
            looker.join(10)


def test_a_killed_owner_leaves_the_plan_free(desk: Desk) -> None:
    program = textwrap.dedent(f"""
        import os, pathlib, signal
        from tests.record.desk import Desk
        desk = Desk(pathlib.Path({str(desk.home)!r}), {desk.url!r})
        desk.own()
        desk.append()
        print("owned", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout == "owned\n", done.stderr
    assert not is_owned(desk.store, desk.locks, ROOT)
    assert desk.own().epoch == 2
    assert desk.append().position == 2
    assert desk.verify().problems == ()


def test_with_postgresql_another_machine_is_seen(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    here = Desk(tmp_path_factory.mktemp("here"), postgres_url)
    there = Desk(tmp_path_factory.mktemp("there"), postgres_url)
    ownership = here.owners.acquire(ROOT)
    assert is_owned(there.store, there.locks, ROOT)
    with pytest.raises(PlanBusyError, match=f"process {os.getpid()}"):
        there.owners.acquire(ROOT)
    ownership.release()
    there.own()
    there.close()
    here.close()


def test_a_failed_acquire_holds_nothing(any_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:

        def fail(desk: OwnerDesk, root_id: str, started: str) -> int:
            raise RecordError(problem="no room")

        patch.setattr(OwnerDesk, "_raise_epoch", fail)
        with pytest.raises(RecordError, match="no room"):
            any_desk.owners.acquire(ROOT)
    assert not is_owned(any_desk.store, any_desk.locks, ROOT)
    any_desk.own()


@pytest.mark.parametrize("root_id", ["", "..", "a/b", "../x", "a b"])
def test_an_id_that_is_none_makes_no_lock(desk: Desk, root_id: str) -> None:
    with pytest.raises(RecordError, match="no id of a plan"):
        desk.owners.acquire(root_id)
    with pytest.raises(RecordError, match="no id of a plan"):
        is_owned(desk.store, desk.locks, root_id)


def test_a_lock_that_cannot_be_made_is_one_sentence(desk: Desk) -> None:
    desk.locks.write_text("in the way")
    with pytest.raises(RecordError, match=r"the lock .* cannot be made"):
        desk.owners.acquire(ROOT)


def test_a_link_in_place_of_a_lock_is_not_followed(desk: Desk, tmp_path: Path) -> None:
    desk.locks.mkdir()
    (desk.locks / ROOT).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecordError, match="cannot be made"):
        desk.owners.acquire(ROOT)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("about", ["", "[]", "{}", json.dumps({"pid": 1})])
def test_an_owner_that_left_no_name_is_another_process(desk: Desk, about: str) -> None:
    second = Desk(desk.home, desk.url)
    desk.own()
    (desk.locks / ROOT).write_text(about)
    with pytest.raises(PlanBusyError, match="another process"):
        second.owners.acquire(ROOT)
    second.close()
