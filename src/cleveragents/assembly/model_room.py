"""The models room, opened when a plan asks for the first time: it is dear to load."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ModelFailedError
from cleveragents.models.price import PriceBook
from cleveragents.models.provider import host_of, provider_of
from cleveragents.models.rate_limit import RateLimiter
from cleveragents.models.token_count import upper_bound

if TYPE_CHECKING:
    from collections.abc import Callable

    from cleveragents.config.settings import Settings
    from cleveragents.models.line import ModelLine
    from cleveragents.models.price import Price
    from cleveragents.terms.model import ModelEndpoint, ModelReply, ModelRequest

BACK_OFF_S: Final = 0.5
LOOK_S: Final = 0.1
"""How often a waiting plan looks whether it should stop."""


class ModelRoom:
    """What the door's model desk asks; one for a process.

    Args:
        settings: Prices, rate limits and time limit.
        now_ms: Monotonic milliseconds.
    """

    def __init__(self, settings: Settings, *, now_ms: Callable[[], int]) -> None:
        self._timeout_s = settings.model_timeout_s
        self._prices = PriceBook(settings.prices)
        self._limiter = RateLimiter(settings.rate_limits, now_ms=now_ms)
        self._lock = threading.Lock()
        self._line: ModelLine | None = None

    def host_of(self, endpoint: ModelEndpoint) -> str:
        """The host that is asked."""
        return host_of(endpoint)

    def upper_bound(self, request: ModelRequest) -> int:
        """More input tokens than the request can have."""
        return upper_bound(request)

    def price(self, endpoint: ModelEndpoint) -> Price | None:
        """Its price; ``None`` when nobody says."""
        return self._prices.find(endpoint)

    def ask(
        self,
        endpoint: ModelEndpoint,
        request: ModelRequest,
        *,
        secret: str | None,
        tokens: int,
        on_text: Callable[[str], None],
        should_stop: Callable[[], bool],
    ) -> ModelReply:
        """Send a request within its provider's rate limits.

        Raises:
            ModelFailedError: There is no answer that can be read.
        """
        provider = provider_of(endpoint)
        ticket = self._limiter.wait(provider, tokens, should_stop)
        try:
            reply = self._opened().ask(
                endpoint,
                request,
                secret=secret,
                on_text=on_text,
                timeout_s=self._timeout_s,
                should_stop=should_stop,
            )
        except ModelFailedError as error:
            self._hold_back(provider, error, should_stop)
            raise
        if reply.usage.is_reported:
            used = reply.usage.input_tokens + reply.usage.output_tokens
            self._limiter.correct(provider, ticket, used)
        return reply

    def _hold_back(
        self, provider: str, error: ModelFailedError, should_stop: Callable[[], bool]
    ) -> None:
        """Leave a provider in peace that asks for it, or that is out of order."""
        if error.retry_after_s is not None:
            self._limiter.overloaded(provider, error.retry_after_s)
        elif error.kind in ("overloaded", "outage"):
            # Whoever tries again at once only finds the same.
            end = time.monotonic() + BACK_OFF_S
            while time.monotonic() < end and not should_stop():
                time.sleep(LOOK_S)

    def close(self) -> None:
        """Let go of what was opened."""
        with self._lock:
            line, self._line = self._line, None
        if line is not None:
            line.close()

    def _opened(self) -> ModelLine:
        with self._lock:
            if self._line is None:
                # The providers' libraries take longer to load than most plans to run.
                from cleveragents.models.line import ModelLine  # noqa: PLC0415

                self._line = ModelLine()
            return self._line
