"""How long must a request wait, so that its provider is not asked too often?

Strict: within any 60 seconds no more requests and no more tokens leave than
the settings say. Fair: who asked first goes first. What a provider says of
its own accord, that it is overloaded, holds everybody back who asks it.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ModelFailedError
from cleveragents.terms.model_limit import RateLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WINDOW_MS: Final = 60_000
LOOK_INTERVAL_MS: Final = 100
"""How often a waiting plan looks whether it should stop."""
MAX_BACK_OFF_S: Final = 600.0
"""A provider that asks for more is asked again after this."""
_NO_LIMIT: Final = RateLimit()


@dataclass(slots=True, eq=False)
class Ticket:
    """One request that was let through."""

    at_ms: int
    tokens: int


@dataclass(slots=True, eq=False)
class _Gate:
    """One provider's."""

    sent: deque[Ticket] = field(default_factory=deque)
    """Within the window, oldest first."""
    tokens: int = 0
    """Of all in the window."""
    queue: deque[object] = field(default_factory=deque)
    closed_until_ms: int = 0


class RateLimiter:
    """Lets requests through, provider by provider; thread-safe.

    Args:
        limits: By provider, as ``provider_of`` names it; others have none.
        now_ms: A clock that only goes forward.
        pause: Waits on a condition that is held, at most so many seconds.
    """

    def __init__(
        self,
        limits: Mapping[str, RateLimit],
        *,
        now_ms: Callable[[], int],
        pause: Callable[[threading.Condition, float], object] = threading.Condition.wait,
    ) -> None:
        self._limits = limits
        self._now_ms = now_ms
        self._pause = pause
        self._gates: dict[str, _Gate] = {}
        self._changed = threading.Condition()

    def wait(self, provider: str, tokens: int, should_stop: Callable[[], bool]) -> Ticket:
        """Wait for a request's turn.

        Args:
            provider: Who is asked.
            tokens: The most that it can use. More than a minute's tokens are
                let through alone, when nothing else is in the window.
            should_stop: Looked at several times a second.

        Raises:
            ModelFailedError: It should stop; nothing was sent.
        """
        turn = object()
        with self._changed:
            gate = self._gates.setdefault(provider, _Gate())
            gate.queue.append(turn)
            try:
                while (left_ms := self._left_ms(gate, provider, tokens, turn)) > 0:
                    if should_stop():
                        raise ModelFailedError(
                            kind="cancelled", reason="given up while it waited for its turn"
                        )
                    self._pause(self._changed, min(left_ms, LOOK_INTERVAL_MS) / 1000)
                ticket = Ticket(self._now_ms(), tokens)
                gate.sent.append(ticket)
                gate.tokens += tokens
                return ticket
            finally:
                gate.queue.remove(turn)
                # Whoever is next looks at once.
                self._changed.notify_all()

    def correct(self, provider: str, ticket: Ticket, tokens: int) -> None:
        """Say what a request really used, as its provider counts it."""
        with self._changed:
            gate = self._gates[provider]
            if ticket in gate.sent:
                gate.tokens += tokens - ticket.tokens
                ticket.tokens = tokens
                self._changed.notify_all()

    def overloaded(self, provider: str, retry_after_s: float) -> None:
        """Hold everybody back who asks a provider.

        Args:
            provider: The one that said so.
            retry_after_s: What it asked for.
        """
        until = self._now_ms() + int(1000 * min(retry_after_s, MAX_BACK_OFF_S))
        with self._changed:
            gate = self._gates.setdefault(provider, _Gate())
            gate.closed_until_ms = max(gate.closed_until_ms, until)

    def _left_ms(self, gate: _Gate, provider: str, tokens: int, turn: object) -> int:
        """How long the first in the queue must wait; all others until they are."""
        if gate.queue[0] is not turn:
            return LOOK_INTERVAL_MS
        now = self._now_ms()
        while gate.sent and gate.sent[0].at_ms + WINDOW_MS <= now:
            gate.tokens -= gate.sent.popleft().tokens
        return max(
            gate.closed_until_ms - now,
            self._until_room_ms(gate, self._limits.get(provider, _NO_LIMIT), tokens, now),
        )

    @staticmethod
    def _until_room_ms(gate: _Gate, limit: RateLimit, tokens: int, now: int) -> int:
        count, used = len(gate.sent), gate.tokens
        for ticket in (None, *gate.sent):
            if ticket is not None:
                count, used = count - 1, used - ticket.tokens
            has_turn = limit.requests_per_minute is None or count < limit.requests_per_minute
            has_room = limit.tokens_per_minute is None or used + tokens <= limit.tokens_per_minute
            if has_turn and (has_room or count == 0):
                return 0 if ticket is None else ticket.at_ms + WINDOW_MS - now
        # Nothing in the window leaves no reason to wait, unless nothing may be sent at all.
        return WINDOW_MS
