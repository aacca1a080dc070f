"""Many threads, many processes, one record."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from cleveragents.terms.cost import Limits
from tests.record.desk import OTHER, ROOT, Desk

if TYPE_CHECKING:
    from collections.abc import Callable

WORKER = """
import pathlib, sys
from cleveragents.errors import PlanBudgetExceededError
from cleveragents.terms.cost import Amount
from tests.record.desk import Desk
home, url, worker = sys.argv[1:]
desk = Desk(pathlib.Path(home), url)
print("ready", flush=True)
sys.stdin.readline()
chain = (f"plan:{int(worker) % 3}", "plan:root")
admitted = 0
for number in range(25):
    desk.append(root_id="shared", body={"worker": worker, "number": number})
    desk.append(root_id=f"own{worker}", body={"number": number})
    try:
        desk.accounts.reserve(chain, Amount(cost_microusd=3), f"{worker}/{number}")
    except PlanBudgetExceededError:
        continue
    name = f"{worker}/{number}"
    desk.settle(name, Amount(cost_microusd=3), call_id=name, root_id="shared")
    admitted += 1
print(admitted)
desk.close()
"""
PROCESSES = 8


def _run(threads: int, work: Callable[[int], None]) -> None:
    gate = threading.Barrier(threads)
    failures: list[BaseException] = []

    def body(number: int) -> None:
        gate.wait(60)
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001  # told by the test's own thread
            failures.append(error)

    workers = [threading.Thread(target=body, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert failures == []


def test_64_threads_make_valid_chains(any_desk: Desk) -> None:
    any_desk.own(ROOT)

    def work(number: int) -> None:
        for turn in range(4):
            any_desk.append(body={"number": number, "turn": turn})
            any_desk.append(root_id=f"R{number % 16}", body={"number": number})
            with any_desk.store.transaction():
                any_desk.append(root_id=OTHER)
                any_desk.append(root_id=OTHER, durable=number == 0)

    _run(64, work)
    log = any_desk.log
    assert len(log.entries(root_id=ROOT)) == 64 * 4
    assert len(log.entries(root_id=OTHER)) == 64 * 8
    assert [one.position for one in log.entries(root_id=OTHER)] == list(range(1, 64 * 8 + 1))
    report = any_desk.verify()
    assert report.problems == ()
    assert report.checked == 64 * 16 + 18


def test_eight_processes_make_valid_chains_and_spend_no_more_than_the_limit(
    any_desk: Desk,
) -> None:
    any_desk.accounts.ensure("plan:root", Limits(cost_microusd=200))
    for number in range(3):
        any_desk.accounts.ensure(f"plan:{number}")
    any_desk.append(root_id="shared")
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(any_desk.home), any_desk.url, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    outputs = [worker.communicate("go\n", timeout=120) for worker in workers]
    assert [error for _, error in outputs] == [""] * PROCESSES
    admitted = sum(int(out) for out, _ in outputs)
    assert admitted == 66
    assert any_desk.accounts.snapshot("plan:root").spent.cost_microusd == 198
    shared = any_desk.log.entries(root_id="shared")
    assert [one.position for one in shared] == list(range(1, 1 + 1 + PROCESSES * 25 + admitted))
    assert any_desk.verify().problems == ()
    assert any_desk.append(root_id="shared").position == len(shared) + 1


KILLED = """
import os, pathlib, signal, sys
from cleveragents.record.head_file import HeadFiles
from tests.record.desk import Desk
desk = Desk(pathlib.Path(sys.argv[1]), sys.argv[2])
desk.own()
desk.append(call_id="a")
def die(self, root_id, position, digest):
    os.kill(os.getpid(), signal.SIGKILL)
HeadFiles.write = die
if sys.argv[3] == "transaction":
    with desk.store.transaction():
        desk.append(call_id="b")
else:
    desk.append(call_id="b", root_id=sys.argv[3])
"""


@pytest.mark.parametrize("what", ["transaction", ROOT, OTHER])
def test_a_kill_between_commit_and_head_is_no_damage(any_desk: Desk, what: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(any_desk.home), any_desk.url, what],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9, done.stderr
    assert any_desk.verify().problems == ()
    root_id = OTHER if what == OTHER else ROOT
    assert [one.call_id for one in any_desk.log.entries(root_id=root_id)][-1] == "b"
    any_desk.own()
    any_desk.append(root_id=root_id, call_id="c")
    assert any_desk.verify().problems == ()


def test_a_kill_inside_a_transaction_leaves_nothing_of_it(any_desk: Desk) -> None:
    program = KILLED.replace("HeadFiles.write = die", "").replace(
        'desk.append(call_id="b")', 'desk.append(call_id="b"); die(0, 0, 0, 0)'
    )
    program = program.replace("def die(self, root_id, position, digest)", "def die(*args)")
    done = subprocess.run(
        [sys.executable, "-c", program, str(any_desk.home), any_desk.url, "transaction"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9, done.stderr
    assert [one.call_id for one in any_desk.log.entries(root_id=ROOT)] == ["a"]
    assert any_desk.verify().problems == ()
    any_desk.own()
    assert any_desk.append(call_id="b").position == 2
