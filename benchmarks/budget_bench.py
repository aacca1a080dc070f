"""What it costs that money is held before it is spent.

A reservation and its settlement are part of two commits that the door makes
anyway (decision and outcome); they are measured as that, beside one committed
entry of the record in the same store, in the same run and interleaved. Reports are read from a
store whose record holds a million outcomes that cost something.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.record import spending
from cleveragents.record.account import AccountBook
from cleveragents.record.entry import Entry
from cleveragents.record.log import RecordLog
from cleveragents.record.store import Store
from cleveragents.terms.cost import NO_LIMITS, Amount, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

CHAIN = ("plan:c", "plan:b", "plan:a", "session:s", "day:2026-01-01")
COST = Amount(cost_microusd=20_000, tool_calls=1)
PLENTY = Limits(cost_microusd=10**15)
BODY = {"tool": "ask", "arguments": {"question": "why"}, "rule": "unrestricted: no list"}
BATCH = 20
ROUNDS = 60
CHILDREN = 64
CALLS = 10
ROWS = 1_000_000
PLANS, DAYS = 5_000, 365


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Chain:
    """Reserve and settle up a chain of five."""

    timeout = 300

    def setup(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.store = Store.open(f"sqlite://{self.directory}/accounts.db")
        self.book = AccountBook(self.store)
        for name in CHAIN:
            self.book.ensure(name, PLENTY)
        self.log = RecordLog(
            self.store, heads_dir=self.directory / "heads", now=lambda: "2026-01-01T00:00:00Z"
        )
        self.number = 0
        self.row()

    def teardown(self) -> None:
        self.log.close()
        self.store.close()
        shutil.rmtree(self.directory)

    def row(self) -> None:
        self.number += 1
        self.log.append(Entry("decision", "root", "c", f"s{self.number}", BODY))

    def rows(self) -> None:
        """The two commits of a call that costs nothing."""
        self.row()
        self.row()

    def call(self) -> None:
        """The same two commits, with a holding in the first and its settlement in the second."""
        with self.store.transaction():
            self.book.reserve(CHAIN, COST, "c/1")
            self.row()
        with self.store.transaction():
            self.book.settle("c/1", COST)
            self.row()

    def _ratios(self) -> list[float]:
        def batch(work: Callable[[], None]) -> float:
            return min(_timed(work) for _ in range(BATCH))

        return [(batch(self.call) - batch(self.rows)) / batch(self.row) for _ in range(ROUNDS)]

    def time_call(self) -> None:
        self.call()

    def time_row(self) -> None:
        self.row()

    def track_reserve_and_settle_over_row(self) -> float:
        """Reserve and settle, over one committed row: at most 2."""
        return statistics.median(self._ratios())


Chain.track_reserve_and_settle_over_row.unit = "ratio"  # type: ignore[attr-defined]  # read by asv


class Children:
    """Sixty-four children, of one budget or each of its own."""

    timeout = 300

    def _seconds(self, *, is_shared: bool) -> float:
        directory = Path(tempfile.mkdtemp())
        store = Store.open(f"sqlite://{directory}/accounts.db")
        book = AccountBook(store)
        book.ensure("plan:root", PLENTY)
        gate = threading.Barrier(CHILDREN + 1)

        def work(number: int) -> None:
            own = f"plan:c{number}"
            book.ensure(own, NO_LIMITS if is_shared else PLENTY)
            chain = (own, "plan:root") if is_shared else (own,)
            gate.wait()
            for call in range(CALLS):
                book.reserve(chain, COST, f"{number}/{call}")
                book.settle(f"{number}/{call}", COST)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(CHILDREN)]
        for thread in threads:
            thread.start()
        gate.wait()
        seconds = _timed(lambda: [thread.join() for thread in threads])
        store.close()
        shutil.rmtree(directory)
        return seconds

    def track_throughput_of_one_budget_over_independent(self) -> float:
        """Calls a second of one budget, over those of 64: at least 0.5."""
        pairs = [self._seconds(is_shared=False) / self._seconds(is_shared=True) for _ in range(5)]
        return statistics.median(pairs)


Children.track_throughput_of_one_budget_over_independent.unit = "ratio"  # type: ignore[attr-defined]  # the same


class Report:
    """`agents cost` over a million calls that cost something."""

    timeout = 600

    def setup_cache(self) -> str:
        path = Path.cwd() / "spending.db"
        path.unlink(missing_ok=True)
        store = Store.open(f"sqlite://{path}")
        with store.transaction():
            for number in range(ROWS):
                plan = number * PLANS // ROWS
                day = plan * DAYS // PLANS
                spending.book(
                    store,
                    day=f"2026-{day // 31 + 1:02d}-{day % 31 + 1:02d}",
                    plan_id=f"01K{plan:023d}",
                    session_id=f"01S{plan // 50:023d}",
                    amount=COST,
                )
        store.close()
        return str(path)

    def setup(self, path: str) -> None:
        self.store = Store.open(f"sqlite://{path}", read_only=True)

    def teardown(self, _path: str) -> None:
        self.store.close()

    def time_by_day(self, _path: str) -> None:
        spending.report(self.store, by="day")

    def time_by_session(self, _path: str) -> None:
        spending.report(self.store, by="session")

    def time_by_plan(self, _path: str) -> None:
        spending.report(self.store, by="plan")

    def time_by_plan_of_the_last_days(self, _path: str) -> None:
        spending.report(self.store, by="plan", since="2026-12-20")

    def track_slowest_report_ms(self, _path: str) -> float:
        """At most 200."""
        return max(
            1000 * min(_timed(lambda by=by: spending.report(self.store, by=by)) for _ in range(5))
            for by in spending.GROUPS
        )


Report.track_slowest_report_ms.unit = "ms"  # type: ignore[attr-defined]  # the same
