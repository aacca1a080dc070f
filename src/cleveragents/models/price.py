"""What does a request to a model cost? At worst before it is sent, and really after.

An operator's own price comes first; else the snapshot that is bundled with
genai-prices, which is never brought up to date over the network. All
arithmetic is in fractions: a price per million tokens in dollars is the price
of a single token in micro-dollars, and the sum is rounded up once, at its end.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError
from cleveragents.models.provider import target_of
from cleveragents.terms.cost import MICRO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

    from cleveragents.models.provider import Target
    from cleveragents.terms.model import ModelEndpoint, ModelUsage
    from cleveragents.terms.model_limit import TokenPrice

_INPUTS: Final = ("input_mtok", "input_text_mtok")
_WRITES: Final = ("cache_write_mtok", "cache_write_5m_mtok", "cache_text_write_mtok")
_READS: Final = ("cache_read_mtok", "cache_text_read_mtok")
_OUTPUTS: Final = ("output_mtok", "output_text_mtok", "output_reasoning_mtok")
_PER_REQUEST: Final = "requests_kcount"
_HOURS_AHEAD: Final = 24
"""No request lasts longer."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Micro-dollars of a token, from a number of input tokens on."""

    above: int
    """The rate holds for all tokens of a request with more input tokens than this."""
    input: Fraction
    """Not read from the provider's cache; the dearer of reading it and keeping it there."""
    cached: Fraction
    output: Fraction


@dataclass(frozen=True, slots=True)
class Price:
    """What one model's tokens cost."""

    rates: tuple[Rate, ...]
    """In force now, by ``above``; the first one's is -1."""
    dearest: tuple[Fraction, Fraction]
    """The highest price of an input and of an output token, in every tier and at any time."""
    per_request: Fraction = Fraction(0)
    source: str = ""
    """Where it was found, for people."""

    def worst(self, input_tokens: int, output_tokens: int) -> int:
        """The most that so many tokens can cost, in micro-dollars, rounded up.

        >>> Price((), (Fraction(1, 4), Fraction(2))).worst(10, 100)
        203
        """
        taken, given = self.dearest
        return ceil(taken * input_tokens + given * output_tokens + self.per_request)

    def real(self, usage: ModelUsage) -> int:
        """What a reported usage costs, in micro-dollars, rounded up.

        Args:
            usage: Reported: for one that is not, the worst case is booked.
        """
        rate = [one for one in self.rates if usage.input_tokens > one.above][-1]
        fresh = usage.input_tokens - usage.cached_tokens
        return ceil(
            rate.input * fresh
            + rate.cached * usage.cached_tokens
            + rate.output * usage.output_tokens
            + self.per_request
        )


class PriceBook:
    """The prices of models.

    Args:
        overrides: The operator's own, by the model's name as it is asked for;
            they hold at any host.
        wall_s: The wall clock, in seconds: prices change on a day, or with the hour.
    """

    def __init__(
        self, overrides: Mapping[str, TokenPrice], *, wall_s: Callable[[], float] = time.time
    ) -> None:
        self._overrides = overrides
        self._wall_s = wall_s

    def find(self, endpoint: ModelEndpoint) -> Price | None:
        """The price of a model at an endpoint; ``None`` when nobody says.

        A model at another host than its provider's own is looked up by that
        host: a local server with a well-known model's name is not billed like it.

        Raises:
            ConfigurationError: The endpoint is none, or the extra is not installed.
        """
        own = self._overrides.get(endpoint.model)
        if own is not None:
            return _of_override(own)
        found = _bundled(target_of(endpoint))
        now = datetime.fromtimestamp(self._wall_s(), UTC)
        return None if found is None else _of_model(found, now)


def _of_override(own: TokenPrice) -> Price:
    taken, cached, given = (Fraction(one, MICRO) for one in (own.input, own.cached, own.output))
    return Price(
        rates=(Rate(-1, taken, cached, given),),
        dearest=(max(taken, cached), given),
        source=f"settings{f', {own.date}' if own.date else ''}",
    )


def _bundled(target: Target) -> ModelInfo | None:
    try:
        # A megabyte of prices: loaded when one is asked for.
        from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            problem="the prices of models are not installed",
            hint="type: pip install 'cleveragents[llm]'",
        ) from error
    place = (target.provider.name, None) if target.is_own_host else (None, str(target.url))
    try:
        _, found = get_snapshot().find_provider_model(target.model, None, *place)
    except LookupError:
        return None
    return found


def _of_model(model: ModelInfo, now: datetime) -> Price | None:
    current = model.get_prices(now)
    rates = _rates(current)
    if not rates:
        return None
    # Some change on a day or with the hour, and a request may end in the next one.
    hours = range(_HOURS_AHEAD + 1) if isinstance(model.prices, list) else range(1)
    soon = {id(one): one for one in (model.get_prices(now + timedelta(hours=h)) for h in hours)}
    all_rates = [rate for one in soon.values() for rate in _rates(one)]
    per_request = _highest(current, (_PER_REQUEST,))
    return Price(
        rates=rates,
        dearest=(
            max(max(rate.input, rate.cached) for rate in all_rates),
            max(rate.output for rate in all_rates),
        ),
        per_request=per_request * MICRO / 1000 if per_request is not None else Fraction(0),
        source=f"genai-prices, {model.id}",
    )


def _rates(price: ModelPrice) -> tuple[Rate, ...]:
    """The rate of each tier; none when the model is not billed by its tokens."""
    starts = {-1}
    for name in (*_INPUTS, *_WRITES, *_READS, *_OUTPUTS):
        starts.update(tier.start for tier in getattr(getattr(price, name), "tiers", ()))
    found = []
    for above in sorted(starts):
        taken = _highest(price, (*_INPUTS, *_WRITES), above)
        given = _highest(price, _OUTPUTS, above)
        if taken is None or given is None or _highest(price, _INPUTS, above) is None:
            return ()
        cached = _highest(price, _READS, above)
        found.append(Rate(above, taken, taken if cached is None else cached, given))
    return tuple(found)


def _highest(price: ModelPrice, names: tuple[str, ...], above: int = -1) -> Fraction | None:
    """The dearest of some units, in micro-dollars of each, in the tier that starts at ``above``."""
    values = (getattr(price, name) for name in names)
    return max((_in_tier(value, above) for value in values if value is not None), default=None)


def _in_tier(value: Decimal | TieredPrices, above: int) -> Fraction:
    if isinstance(value, Decimal):
        return Fraction(value)
    reached = [tier.price for tier in value.tiers if tier.start <= above]
    return Fraction(reached[-1] if reached else value.base)
