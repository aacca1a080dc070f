"""What tokens cost: the operator's word first, exact, and never less than it is."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    Tier,
    TieredPrices,
)
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.errors import ConfigurationError
from cleveragents.models import price as price_module
from cleveragents.models.price import Price, PriceBook
from cleveragents.terms.model import ModelEndpoint, ModelUsage
from cleveragents.terms.model_limit import TokenPrice

TOKENS = st.integers(0, 10**9)
CENTS = st.integers(0, 10**15)
OWN = TokenPrice(input=250_000, output=2_000_000, cached=30_000, date="2026-10-01")


def at(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


def found(model: str, base_url: str = "", own: TokenPrice | None = None) -> Price | None:
    return PriceBook({model: own} if own else {}).find(ModelEndpoint(model, base_url))


def sure(model: str, own: TokenPrice | None = None) -> Price:
    price = found(model, own=own)
    assert price is not None
    return price


def test_the_operators_price_comes_first_and_holds_at_any_host() -> None:
    for base_url in ("", "http://127.0.0.1:1/v1"):
        price = found("openai:m", base_url, OWN)
        assert price is not None
        assert price.source == "settings, 2026-10-01"
        assert price.worst(1_000_000, 1_000_000) == 2_250_000
        assert price.real(ModelUsage(1_000_000, 0, 1_000_000)) == 30_000


@given(CENTS, CENTS, CENTS, TOKENS, TOKENS, TOKENS)
def test_a_price_is_exact_and_rounded_up_once(
    taken: int, given_: int, cached: int, inputs: int, outputs: int, read: int
) -> None:
    price = sure("openai:m", TokenPrice(taken, given_, cached))
    read = min(read, inputs)
    exact = Fraction(taken * (inputs - read) + cached * read + given_ * outputs, 1_000_000)
    assert price.real(ModelUsage(inputs, outputs, read)) == ceil(exact)
    # What is held is never less than what is charged.
    assert price.worst(inputs, outputs) >= price.real(ModelUsage(inputs, outputs, read))


def test_no_amount_is_too_small_to_be_charged() -> None:
    price = sure("openai:m", TokenPrice(1, 1, 1))
    assert price.real(ModelUsage(1, 0)) == 1
    assert price.worst(0, 1) == 1
    assert price.real(ModelUsage(0, 0)) == 0


def test_the_bundled_prices() -> None:
    price = sure("openai:gpt-5-mini")
    assert price.worst(1_000_000, 1_000_000) == 2_250_000
    assert price.real(ModelUsage(1_000_000, 1_000_000, 1_000_000)) == 2_025_000
    assert price.source == "genai-prices, gpt-5-mini"
    assert sure("openai-chat:gpt-5-mini") == sure("openai-responses:gpt-5-mini") == price


def test_keeping_a_prompt_in_the_cache_is_dearer_than_reading_it() -> None:
    model = next(
        one
        for one in next(p for p in get_snapshot().providers if p.id == "anthropic").models
        if one.id == "claude-opus-4-5"
    )
    assert isinstance(model.prices, ModelPrice)
    write = model.prices.cache_write_mtok
    assert isinstance(write, Decimal)
    price = sure("anthropic:claude-opus-4-5")
    assert price.real(ModelUsage(1_000_000, 0)) == price.worst(1_000_000, 0) == write * 1_000_000


def test_a_tier_holds_for_all_tokens_and_the_highest_one_is_held() -> None:
    price = sure("google:gemini-2.5-pro")
    assert price.real(ModelUsage(200_000, 0)) == 250_000
    assert price.real(ModelUsage(200_001, 0)) == 500_003
    assert price.worst(1_000, 1_000) == 2_500 + 15_000


@pytest.mark.parametrize(
    ("model", "base_url"),
    [
        ("openai:no-such-model", ""),
        ("ollama:qwen3", ""),
        # A local server with a well-known name is not billed like it.
        ("openai:gpt-5-mini", "http://127.0.0.1:1/v1"),
        ("openai:gpt-5-mini", "https://llm.corp.example/v1"),
    ],
)
def test_nobody_says(model: str, base_url: str) -> None:
    assert found(model, base_url) is None


def test_a_known_host_has_prices_of_its_own() -> None:
    price = found("openai:openai/gpt-5-mini", "https://openrouter.ai/api/v1")
    assert price is not None
    assert price.worst(1_000_000, 0) > 0


def conditional(*prices: tuple[str, int]) -> ModelInfo:
    return ModelInfo(
        id="m",
        match=None,  # type: ignore[arg-type]  # nothing is looked up by it here
        prices=[
            ConditionalPrice(
                constraint=StartDateConstraint(datetime.fromisoformat(day).date()) if day else None,
                prices=ModelPrice(input_mtok=Decimal(amount), output_mtok=Decimal(amount)),
            )
            for day, amount in prices
        ],
    )


@pytest.mark.parametrize(
    ("day", "real", "worst"),
    [("2026-01-01", 5, 5), ("2026-06-01", 1, 1), ("2026-12-31T12:00", 1, 9), ("2027-01-01", 9, 9)],
)
def test_a_price_changes_on_its_day_and_a_day_ahead_is_held(
    monkeypatch: pytest.MonkeyPatch, day: str, real: int, worst: int
) -> None:
    model = conditional(("", 5), ("2026-03-01", 1), ("2027-01-01", 9))
    monkeypatch.setattr(price_module, "_bundled", lambda _: model)
    price = PriceBook({}, wall_s=lambda: at(day)).find(ModelEndpoint("openai:m"))
    assert price is not None
    assert price.real(ModelUsage(1, 0)) == real
    assert price.worst(1, 0) == worst


@pytest.mark.parametrize(
    ("prices", "real", "worst"),
    [
        ({}, None, None),
        ({"input_mtok": Decimal(1)}, None, None),
        ({"cache_write_mtok": Decimal(1), "output_mtok": Decimal(1)}, None, None),
        ({"input_mtok": Decimal(1), "output_mtok": Decimal(2)}, 3, 3),
        (
            {
                "input_mtok": Decimal(1),
                "output_mtok": Decimal(2),
                "output_reasoning_mtok": Decimal(4),
            },
            5,
            5,
        ),
        (
            {"input_mtok": Decimal(1), "output_mtok": Decimal(2), "requests_kcount": Decimal(5)},
            5003,
            5003,
        ),
        (
            {
                "input_mtok": TieredPrices(Decimal(1), [Tier(0, Decimal(3)), Tier(9, Decimal(7))]),
                "output_mtok": Decimal(2),
            },
            5,
            9,
        ),
    ],
)
def test_every_form_of_a_bundled_price(
    monkeypatch: pytest.MonkeyPatch,
    prices: dict[str, Decimal | TieredPrices],
    real: int | None,
    worst: int | None,
) -> None:
    model = ModelInfo(id="m", match=None, prices=ModelPrice(**prices))  # type: ignore[arg-type]  # nothing is looked up by it here
    monkeypatch.setattr(price_module, "_bundled", lambda _: model)
    price = PriceBook({}).find(ModelEndpoint("openai:m"))
    assert (price and price.real(ModelUsage(1, 1))) == real
    assert (price and price.worst(1, 1)) == worst


def test_every_bundled_model_has_a_price_that_holds_or_none() -> None:
    # The worst case is never below what the snapshot's own arithmetic charges.
    from genai_prices.types import Usage

    now = datetime(2026, 11, 1, tzinfo=UTC)
    checked = 0
    for provider in get_snapshot().providers:
        if provider.id not in {"openai", "anthropic", "google"}:
            continue
        for model in provider.models:
            price = price_module._of_model(model, now)
            if price is None:
                continue
            usage = Usage(input_tokens=300_000, output_tokens=1_000, cache_read_tokens=1_000)
            charged = model.calc_price(usage, provider, genai_request_timestamp=now).total_price
            assert price.real(ModelUsage(300_000, 1_000, 1_000)) >= charged * 1_000_000
            assert price.worst(300_000, 1_000) >= price.real(ModelUsage(300_000, 1_000, 1_000))
            checked += 1
    assert checked > 100


def test_without_the_extra_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data_snapshot", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cleveragents\[llm\]'"):
        found("openai:gpt-5-mini")
    # The operator's own needs nothing.
    assert found("openai:m", own=OWN) is not None
