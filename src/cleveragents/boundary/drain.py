"""Who reads what a cell prints, so that it can never fill a pipe and wait for us?

One thread for all cells of a process. Of each stream the last part is kept:
a start that failed says why there.
"""

from __future__ import annotations

import os
import selectors
import threading
from contextlib import suppress
from typing import Final

_CHUNK: Final = 1 << 16


class Tail:
    """The last bytes of one stream."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._held = bytearray()
        self._ended = threading.Event()

    def text(self) -> str:
        """Give what is held as text; bytes that are not UTF-8 become replacement marks."""
        return bytes(self._held[-self._keep :]).decode("utf-8", "replace")

    def wait_end(self, timeout_s: float) -> bool:
        """Wait until the stream has ended; False when it has not by then."""
        return self._ended.wait(timeout_s)

    def feed(self, data: bytes) -> None:
        """Take bytes in; the front gives way."""
        self._held += data
        if len(self._held) > 2 * self._keep + _CHUNK:
            del self._held[: -self._keep]

    def end(self) -> None:
        """Say that nothing further comes."""
        self._ended.set()


class Drain:
    """Reads any number of streams to their end. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._coming: list[tuple[int, Tail]] = []
        self._wake = -1

    def add(self, descriptor: int, *, keep: int) -> Tail:
        """Read a descriptor to its end, then close it; it is the drain's from now on."""
        tail = Tail(keep)
        with self._lock:
            self._coming.append((descriptor, tail))
            if self._wake < 0:
                reading, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
                threading.Thread(
                    target=self._run, args=(reading,), name="cell-output", daemon=True
                ).start()
        with suppress(BlockingIOError):
            os.write(self._wake, b"\0")
        return tail

    def _run(self, wake: int) -> None:
        selector = selectors.DefaultSelector()
        selector.register(wake, selectors.EVENT_READ, None)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    self._take_up(selector, wake)
                elif not _read(key.fd, key.data):
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    key.data.end()

    def _take_up(self, selector: selectors.BaseSelector, wake: int) -> None:
        with suppress(BlockingIOError):
            os.read(wake, _CHUNK)
        with self._lock:
            coming, self._coming = self._coming, []
        for descriptor, tail in coming:
            selector.register(descriptor, selectors.EVENT_READ, tail)


def _read(descriptor: int, tail: Tail) -> bool:
    """Take what is there; False when the stream has ended."""
    data = b""
    with suppress(OSError):
        data = os.read(descriptor, _CHUNK)
    tail.feed(data)
    return bool(data)
