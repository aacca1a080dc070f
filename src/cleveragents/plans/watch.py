"""Obeys a cancel within a second, and a plan's time limit, also in the middle of a call.

One thread looks at every running plan of this process twice a second. It ends
the cell; the call that was under way fails, and the executor asks here why.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from cleveragents.errors import PlanBudgetExceededError, PlanCancelledError, RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cleveragents.plans.running_plan import RunningPlan

    _Watched = tuple[RunningPlan, int, int | None]
    """A plan, when its processing started, and its deadline; in monotonic milliseconds."""

INTERVAL_S: Final = 0.5


class Watch:
    """Cancel requests and deadlines of the plans that this process runs.

    Args:
        is_cancelled: Reads the cancel request of a root plan from the store.
        now_ms: Monotonic milliseconds.
    """

    def __init__(self, *, is_cancelled: Callable[[str], bool], now_ms: Callable[[], int]) -> None:
        self._is_cancelled = is_cancelled
        self._now_ms = now_ms
        self._plans: dict[str, _Watched] = {}
        self._cancelled: set[str] = set()
        self._dropped: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, plan: RunningPlan, *, used_ms: int) -> None:
        """Look after a plan from now on.

        Args:
            plan: The plan.
            used_ms: Processing time that earlier runs of it took.
        """
        started_ms = self._now_ms() - used_ms
        seconds = plan.charter.limits.seconds
        deadline = None if seconds is None else started_ms + seconds * 1000
        with self._lock:
            self._plans[plan.plan_id] = (plan, started_ms, deadline)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
                self._thread.start()

    def remove(self, plan_id: str) -> int:
        """Stop looking after a plan; its processing time so far, in milliseconds."""
        with self._lock:
            _, started_ms, _ = self._plans.pop(plan_id)
        return self._now_ms() - started_ms

    def drop(self, plan_id: str) -> None:
        """End one plan of this process and everything below it, now and for good."""
        with self._lock:
            self._dropped.add(plan_id)
            ended = [plan for plan, _, _ in self._plans.values() if self._is_dropped(plan)]
        for plan in ended:
            plan.cell.end_now()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def check(self, plan: RunningPlan) -> None:
        """Say whether a further call may be made, before each one and after a failed one.

        Raises:
            PlanCancelledError: Somebody cancelled the plan, its root or a plan between.
            PlanBudgetExceededError: Its processing time is used up, or that of
                a plan above it.
        """
        now = self._now_ms()
        with self._lock:
            is_cancelled = plan.charter.root_id in self._cancelled or self._is_dropped(plan)
            late = self._late(plan, now)
        if is_cancelled:
            raise PlanCancelledError(plan_id=plan.plan_id)
        if late is not None:
            over, started_ms, _ = late
            raise PlanBudgetExceededError(
                whose=f"plan {over.plan_id}",
                dimension="seconds",
                limit=str(over.charter.limits.seconds),
                spent=f"{(now - started_ms) / 1000:.1f}",
                reserved="0",
                asked="another call",
            )

    def _line(self, plan: RunningPlan) -> Iterator[_Watched]:
        """The plan and the plans above it, the nearest first; a parent waits for its child."""
        found = self._plans.get(plan.plan_id)
        while found is not None:
            yield found
            found = self._plans.get(found[0].charter.parent_id)

    def _is_dropped(self, plan: RunningPlan) -> bool:
        return any(one.plan_id in self._dropped for one, _, _ in self._line(plan))

    def _late(self, plan: RunningPlan, now: int) -> _Watched | None:
        for watched in self._line(plan):
            if watched[2] is not None and now >= watched[2]:
                return watched
        return None

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            with self._lock:
                watched = list(self._plans.values())
            roots = {plan.charter.root_id for plan, _, _ in watched} - self._cancelled
            try:
                newly = {root for root in roots if self._is_cancelled(root)}
            except RecordError:
                # The store is busy or gone for a moment; deadlines are kept all the same, and
                # the plan's own next append says so if it stays away.
                newly = set()
            now = self._now_ms()
            with self._lock:
                self._cancelled |= newly
                ended = [
                    plan
                    for plan, _, _ in watched
                    if plan.charter.root_id in self._cancelled
                    or self._is_dropped(plan)
                    or self._late(plan, now) is not None
                ]
            for plan in ended:
                plan.cell.end_now()
