"""Never faster than the settings say, first come, first served."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.errors import ModelFailedError
from cleveragents.models.rate_limit import MAX_BACK_OFF_S, WINDOW_MS, RateLimiter
from cleveragents.terms.model_limit import RateLimit

if TYPE_CHECKING:
    from collections.abc import Mapping


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.ms = 0

    def now_ms(self) -> int:
        return self.ms

    def pause(self, _: threading.Condition, seconds: float) -> None:
        assert 0 < seconds <= 0.1
        self.ms += max(1, round(seconds * 1000))


def limiter(clock: Clock, **limits: RateLimit) -> RateLimiter:
    return RateLimiter(limits, now_ms=clock.now_ms, pause=clock.pause)


def never() -> bool:
    return False


def test_a_provider_without_a_limit_is_asked_at_once() -> None:
    clock = Clock()
    limits = limiter(clock, google=RateLimit(1, 1))
    for _ in range(1_000):
        limits.wait("openai", 10**9, never)
    assert clock.ms == 0


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 20_000)), min_size=1, max_size=40),
    st.integers(1, 8) | st.none(),
    st.integers(20, 100) | st.none(),
)
def test_within_any_minute_no_more_than_the_limits(
    asked: list[tuple[int, int]], requests: int | None, tokens: int | None
) -> None:
    clock = Clock()
    limits = limiter(clock, openai=RateLimit(requests, tokens))
    sent: list[tuple[int, int]] = []
    for size, later in asked:
        clock.ms += later
        limits.wait("openai", size, never)
        sent.append((clock.ms, size))
    for at, _ in sent:
        window = [size for when, size in sent if at <= when < at + WINDOW_MS]
        assert requests is None or len(window) <= requests
        # More than a minute's tokens go alone.
        assert tokens is None or sum(window) <= tokens or len(window) == 1


def test_the_wait_is_no_longer_than_it_must() -> None:
    clock = Clock()
    limits = limiter(clock, openai=RateLimit(2, 100))
    limits.wait("openai", 60, never)
    clock.ms = 1_000
    limits.wait("openai", 40, never)
    # Until the first leaves the window: then there is a turn and room for sixty.
    limits.wait("openai", 60, never)
    assert clock.ms == WINDOW_MS
    limits.wait("openai", 41, never)
    assert clock.ms == 2 * WINDOW_MS


def test_a_correction_makes_room_for_others() -> None:
    clock = Clock()
    limits = limiter(clock, openai=RateLimit(tokens_per_minute=100))
    ticket = limits.wait("openai", 100, never)
    limits.correct("openai", ticket, 30)
    limits.wait("openai", 70, never)
    assert clock.ms == 0
    limits.wait("openai", 30, never)
    assert clock.ms == WINDOW_MS
    # It left the window long ago: nothing is counted twice.
    limits.correct("openai", ticket, 0)
    limits.wait("openai", 100, never)
    assert clock.ms == 2 * WINDOW_MS


def test_an_overloaded_provider_is_left_alone_and_no_other() -> None:
    clock = Clock()
    limits = limiter(clock)
    limits.overloaded("openai", 7)
    limits.overloaded("openai", 2)
    limits.wait("anthropic", 1, never)
    assert clock.ms == 0
    limits.wait("openai", 1, never)
    assert clock.ms == 7_000
    limits.overloaded("openai", 10**6)
    limits.wait("openai", 1, never)
    assert clock.ms == 7_000 + MAX_BACK_OFF_S * 1_000


def test_a_stop_ends_the_wait_and_leaves_the_turn_to_the_next() -> None:
    clock = Clock()
    limits = limiter(clock, openai=RateLimit(1))
    limits.wait("openai", 1, never)
    with pytest.raises(ModelFailedError) as caught:
        limits.wait("openai", 1, lambda: clock.ms >= 300)
    assert (caught.value.kind, caught.value.is_billed, clock.ms) == ("cancelled", False, 300)
    limits.wait("openai", 1, never)
    assert clock.ms == WINDOW_MS


def test_who_asks_first_goes_first() -> None:
    now = [0]
    order: list[int] = []
    waiting: Mapping[int, threading.Event] = {at: threading.Event() for at in range(8)}
    limits = RateLimiter({"openai": RateLimit(1)}, now_ms=lambda: now[0])
    limits.wait("openai", 1, never)

    def plan(at: int) -> None:
        def looked() -> bool:
            # Asked only while it waits in the queue.
            waiting[at].set()
            return False

        limits.wait("openai", 1, looked)
        order.append(at)
        # The next one's minute begins.
        now[0] += WINDOW_MS

    threads = []
    for at in range(8):
        thread = threading.Thread(target=plan, args=(at,))
        thread.start()
        threads.append(thread)
        assert waiting[at].wait(10)
    now[0] += WINDOW_MS
    for thread in threads:
        thread.join(10)
    assert order == list(range(8))


def test_a_small_request_does_not_pass_a_large_one() -> None:
    now = [0]
    in_queue = [threading.Event(), threading.Event()]
    order: list[str] = []
    limits = RateLimiter({"openai": RateLimit(tokens_per_minute=100)}, now_ms=lambda: now[0])
    limits.wait("openai", 50, never)

    def plan(at: int, name: str, tokens: int) -> None:
        limits.wait("openai", tokens, lambda: in_queue[at].set() or False)  # type: ignore[func-returns-value]  # set, then go on
        order.append(name)

    threads = []
    for at, (name, tokens) in enumerate((("large", 90), ("small", 10))):
        thread = threading.Thread(target=plan, args=(at, name, tokens))
        thread.start()
        threads.append(thread)
        assert in_queue[at].wait(10)
    # There is room for the small one all the time.
    assert order == []
    now[0] += WINDOW_MS
    for thread in threads:
        thread.join(10)
    assert sorted(order) == ["large", "small"]
