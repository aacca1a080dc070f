"""What the children of one running plan share: their places, and their way into its tree."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from cleveragents.plans.group import Group
    from cleveragents.plans.nest import Nest


class Household:
    """The queue of one plan's children. Thread-safe.

    Args:
        max_parallel: How many of them run at the same time.
    """

    def __init__(self, max_parallel: int) -> None:
        self._places = threading.Semaphore(max_parallel)
        self._head = threading.Lock()
        """Held by the one at the head of the line, which waits with a nest made ready."""
        self.merging = threading.Lock()
        """Held while the parent's workspace is forked or merged into."""
        self._helper: ThreadPoolExecutor | None = None
        self._expected: dict[str, Future[Nest | None]] = {}

    @contextmanager
    def place(
        self, step: str, group: Group, make: Callable[[], Nest | None]
    ) -> Iterator[Nest | None]:
        """Wait for a place and hold it; gives the nest that was made ready meanwhile, if any.

        Args:
            step: Of the spawn call.
            group: Whose members come in their order.
            make: Makes a nest, by whoever has to wait anyway.
        """
        nest: Nest | None = None
        expected = self._expected.pop(step, None)
        try:
            group.wait_in_line(step)
            with self._head:
                group.pass_on(step)
                if not self._places.acquire(blocking=False):
                    if expected is None and not group.is_broken:
                        nest = make()
                    self._places.acquire()
            try:
                nest = nest if expected is None else expected.result()
                yield nest
            finally:
                self._places.release()
        finally:
            if nest is not None:
                nest.leave()

    def expect(self, step: str, make: Callable[[], Nest | None]) -> None:
        """Have a nest made for the child that comes next, while another one runs."""
        if self._helper is None:
            self._helper = ThreadPoolExecutor(1, "nest")
        self._expected[step] = self._helper.submit(make)

    def close(self) -> None:
        """Remove what was made for children that never came."""
        if self._helper is None:
            return
        self._helper.shutdown()
        for expected in self._expected.values():
            nest = expected.result()
            if nest is not None:
                nest.leave()
        self._expected.clear()
