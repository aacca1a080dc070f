"""The cost of the record, beside the same rows without it.

``append`` is measured against a bare committed row of the same values in a
plain table, in the same run and interleaved in small batches, so that the ratio
holds on a busy machine. The status is read from a store of a thousand rows and
from one of a million, made once: it must not grow with the store.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.record.entry import Entry
from cleveragents.record.log import RecordLog
from cleveragents.record.owner import OwnerDesk
from cleveragents.record.plan_row import PlanRow
from cleveragents.record.plan_table import PlanTable
from cleveragents.record.status_view import plan_status
from cleveragents.record.store import Store
from cleveragents.record.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = "2026-01-01T00:00:00Z"
DIGEST = "sha256:" + "a" * 64
DECISION = {
    "tool": "read_file",
    "arguments": {"path": "README.md"},
    "arguments_digest": DIGEST,
    "tool_digest": DIGEST,
    "verdict": "allowed",
    "rule": "unrestricted: no list",
    "imposed": [],
}
OUTCOME = {"tool": "read_file", "status": "done", "value": {"text": "x" * 200}, "duration_ms": 1}
CALLS = 50
SMALL, LARGE = 1_000, 1_000_000
BATCH = 20
ROUNDS = 100


class _Home:
    """A store in a directory of its own, with one owned root plan."""

    def __init__(self, directory: Path, root_id: str = "01J0000000000000000000000A") -> None:
        self.directory = directory
        self.root_id = root_id
        self.store = Store.open(f"sqlite://{directory}/cleveragents.db")
        self.log = RecordLog(self.store, heads_dir=directory / "heads", now=lambda: NOW)
        self.desk = OwnerDesk(self.store, locks_dir=directory / "locks", now=lambda: NOW)
        self.ownership = self.desk.acquire(root_id)
        self.log.own(self.ownership)

    def start(self, plan_id: str) -> None:
        row = PlanRow(plan_id, plan_id, "bench", state="complete", started=NOW)
        PlanTable(self.store, self.log).create(row)

    def call(self, number: int) -> None:
        for kind, body in (("decision", DECISION), ("outcome", OUTCOME)):
            self.log.append(Entry(kind, self.root_id, self.root_id, f"steps.{number}", body))

    def close(self) -> None:
        self.ownership.release()
        self.log.close()
        self.store.close()


def _fill(directory: Path, rows: int) -> None:
    """Write plans of ``CALLS`` calls through the real log, thousands a commit."""
    plans = rows // (2 * CALLS)
    home = _Home(directory)
    home.start(home.root_id)
    for number in range(CALLS):
        home.call(number)
    done = 1
    while done < plans:
        with home.store.transaction():
            for number in range(done, min(done + 50, plans)):
                root_id = f"01K{number:023d}"
                for step in range(CALLS):
                    for kind, body in (("decision", DECISION), ("outcome", OUTCOME)):
                        home.log.append(Entry(kind, root_id, root_id, f"steps.{step}", body))
        done += 50
    home.close()


def make_store(directory: Path, rows: int) -> None:
    """Make a home whose record holds so many entries; one that is there is made anew."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    _fill(directory, rows)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Append:
    """One entry of a call, committed, beside a bare committed row."""

    timeout = 300

    def setup(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.home = _Home(self.directory)
        self.number = 0
        columns = "seq INTEGER PRIMARY KEY, root, position, plan, call, kind, at, body, prev, hash"
        self.home.store.execute(f"CREATE TABLE bare ({columns})")
        self.entry()

    def teardown(self) -> None:
        self.home.close()
        shutil.rmtree(self.directory)

    def entry(self) -> None:
        self.number += 1
        root_id = self.home.root_id
        self.home.log.append(Entry("decision", root_id, root_id, f"s{self.number}", DECISION))

    def bare(self) -> None:
        self.number += 1
        root_id = self.home.root_id
        self.home.store.change(
            "INSERT INTO bare (root, position, plan, call, kind, at, body, prev, hash)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (root_id, self.number, root_id, "s", "decision", NOW, "x" * 350, DIGEST, DIGEST),
        )

    def _pairs(self) -> list[tuple[float, float]]:
        def batch(work: Callable[[], None]) -> float:
            return min(_timed(work) for _ in range(BATCH))

        return [(batch(self.entry), batch(self.bare)) for _ in range(ROUNDS)]

    def time_append(self) -> None:
        self.entry()

    def time_bare_row(self) -> None:
        self.bare()

    def track_append_over_bare_row(self) -> float:
        return statistics.median(ours / floor for ours, floor in self._pairs())

    def track_append_beyond_bare_row_us(self) -> float:
        return statistics.median((ours - floor) * 1e6 for ours, floor in self._pairs())

    def track_append_10000_over_append_100(self) -> float:
        """The thousandth page of a plan costs what its first costs."""
        early = statistics.median(_timed(self.entry) for _ in range(200))
        while self.number < 10_000:
            self.entry()
        return statistics.median(_timed(self.entry) for _ in range(200)) / early


Append.track_append_over_bare_row.unit = "ratio"  # type: ignore[attr-defined]  # read by asv
Append.track_append_beyond_bare_row_us.unit = "us"  # type: ignore[attr-defined]  # the same
Append.track_append_10000_over_append_100.unit = "ratio"  # type: ignore[attr-defined]  # the same


class Status:
    """Reading one plan of fifty calls, in a small store and in a large one."""

    timeout = 900

    def setup_cache(self) -> tuple[str, str]:
        homes = []
        for name, rows in (("small", SMALL), ("large", LARGE)):
            directory = Path.cwd() / name
            make_store(directory, rows)
            homes.append(str(directory))
        return homes[0], homes[1]

    def setup(self, homes: tuple[str, str]) -> None:
        self.stores = [
            Store.open(f"sqlite://{home}/cleveragents.db", read_only=True) for home in homes
        ]

    def teardown(self, _homes: tuple[str, str]) -> None:
        for store in self.stores:
            store.close()

    def _read(self, homes: tuple[str, str], which: int) -> object:
        return plan_status(
            self.stores[which], "01J0000000000000000000000A", locks_dir=f"{homes[which]}/locks"
        )

    def time_status_of_a_large_store(self, homes: tuple[str, str]) -> None:
        self._read(homes, 1)

    def track_large_over_small(self, homes: tuple[str, str]) -> float:
        pairs = [
            (_timed(lambda: self._read(homes, 1)), _timed(lambda: self._read(homes, 0)))
            for _ in range(200)
        ]
        return statistics.median(large / small for large, small in pairs)

    def track_status_process_over_python_start(self, homes: tuple[str, str]) -> float:
        """A whole process that reads the large store, against ``python -I -c pass``."""
        package = str(Path(__file__).parents[1] / "src")
        program = (
            f"import sys; sys.path.insert(0, {package!r})\n"
            "from cleveragents.record.store import Store\n"
            "from cleveragents.record.status_view import plan_status\n"
            f"store = Store.open('sqlite://{homes[1]}/cleveragents.db', read_only=True)\n"
            f"plan_status(store, '01J0000000000000000000000A', locks_dir='{homes[1]}/locks')\n"
        )

        def run(text: str) -> float:
            return _timed(lambda: subprocess.run([sys.executable, "-I", "-c", text], check=True))

        return statistics.median(run(program) / run("pass") for _ in range(15))


Status.track_large_over_small.unit = "ratio"  # type: ignore[attr-defined]  # read by asv
Status.track_status_process_over_python_start.unit = "ratio"  # type: ignore[attr-defined]  # the same


class Verify:
    """A thousand entries checked again."""

    def setup(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        _fill(self.directory, SMALL)
        self.store = Store.open(f"sqlite://{self.directory}/cleveragents.db", read_only=True)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.directory)

    def time_verify_1000(self) -> None:
        report = verify(self.store, self.directory / "heads")
        assert report.ok
