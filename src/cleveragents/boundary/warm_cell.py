"""A cell that was started before it is needed, and serves one plan or nobody.

The whole stack stands and waits on its channel; it has loaded what it can, and
nothing has been said to it. It is made for one set of mounts, named by the
digest of its spec.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from cleveragents.boundary.cell import Cell


class WarmCell:
    """One start in advance. Thread-safe.

    Args:
        digest: Of the spec that it was started for.
        is_alive: Says whether its processes still run.
        listen: Hears its hello and gives the cell.
        end: Ends it unheard.
        forget: Told when it is taken or ended.
    """

    def __init__(
        self,
        digest: str,
        *,
        is_alive: Callable[[], bool],
        listen: Callable[[], Cell],
        end: Callable[[], None],
        forget: Callable[[WarmCell], None],
    ) -> None:
        self.digest = digest
        self._is_alive = is_alive
        self._listen = listen
        self._end = end
        self._forget = forget
        self._lock = threading.Lock()
        self._is_waiting = True

    def take(self, digest: str) -> Cell | None:
        """Give the cell, once; ``None`` when it is not the one that is asked for.

        One that was made for other mounts, that has died or that was taken is no help.

        Args:
            digest: Of the spec of the cell that is needed.

        Raises:
            IsolationUnavailableError: Its wall does not stand.
        """
        if digest != self.digest or not self._is_alive() or not self._leave():
            self.close()
            return None
        return self._listen()

    def close(self) -> None:
        """End it when nobody took it, and wait until its process 1 is dead."""
        if self._leave():
            self._end()

    def _leave(self) -> bool:
        with self._lock:
            is_mine, self._is_waiting = self._is_waiting, False
        if is_mine:
            self._forget(self)
        return is_mine
