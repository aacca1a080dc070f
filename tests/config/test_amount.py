"""Money and budgets in integers, and nothing that is no amount."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleveragents.config.amount import parse_usd
from cleveragents.config.budget import limits_of, limits_to_mapping
from cleveragents.config.reader import Reader
from cleveragents.config.yaml_file import load_text
from cleveragents.errors import ConfigurationError
from cleveragents.terms.cost import NO_LIMITS, Limits


def budget(text: str) -> Limits:
    return limits_of(load_text(text, "a.yaml").reader)


@pytest.mark.parametrize(
    ("text", "microusd"),
    [("0.10", 100_000), ("0", 0), ("2", 2_000_000), ("2.00", 2_000_000), ("'0.000001'", 1)],
)
def test_an_amount_is_exact(text: str, microusd: int) -> None:
    assert budget(f"max_cost_usd: {text}") == Limits(cost_microusd=microusd)


def test_every_dimension_is_read_and_absent_is_no_limit() -> None:
    assert budget("{max_tokens: 1, max_requests: 2, max_tool_calls: 0, max_seconds: 4}") == Limits(
        tokens=1, requests=2, tool_calls=0, seconds=4
    )
    assert budget("{}") == NO_LIMITS


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("max_cost_usd: -1", "an amount cannot be negative"),
        ("max_cost_usd: -0.5", "an amount cannot be negative"),
        ("max_cost_usd: 0.0000001", "an amount has at most 6 decimals"),
        ("max_cost_usd: 1000000001", "an amount cannot exceed 1000000000 dollars"),
        ("max_cost_usd: 1e300", "'1000000000000000000000000000"),
        ("max_cost_usd: two", "'two' is no amount of dollars; write it like 2.50"),
        ("max_cost_usd: '2e3'", "'2e3' is no amount of dollars"),
        ("max_cost_usd: '$2'", "'$2' is no amount of dollars"),
        ("max_cost_usd: 'NaN'", "'NaN' is no amount of dollars"),
        ("max_cost_usd: '٣'", "is no amount of dollars"),
        ("max_cost_usd: true", "expected an amount of dollars, found true"),
        ("max_cost_usd: [1]", "expected an amount of dollars, found a list"),
        ("max_cost_usd:", "the key has no value; leave the key out"),
        ("max_tokens: 1.5", "max_tokens: expected a whole number, found the number 1.5"),
        ("max_tokens: -1", "-1 is not between 0 and 1000000000000000"),
        ("max_tokens: 99999999999999999", "is not between"),
        ("max_tokens: true", "expected a whole number, found true"),
        ("max_token: 1", "max_token: unknown key, did you mean 'max_tokens'?"),
        ("[1]", "expected a mapping, found a list"),
    ],
)
def test_what_is_no_amount_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        budget(text)
    assert sentence in caught.value.message
    assert caught.value.message.startswith("a.yaml:1: ")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e-9])
def test_a_number_of_a_program_is_checked_too(number: float) -> None:
    with pytest.raises(ConfigurationError, match="max_cost_usd"):
        limits_of(Reader({"max_cost_usd": number}, "a.yaml"))


def test_an_option_is_named_in_its_error() -> None:
    assert parse_usd("0.20", where="--max-cost") == 200_000
    with pytest.raises(ConfigurationError, match="--max-cost: '' is no amount of dollars"):
        parse_usd("", where="--max-cost")


COUNTS = st.none() | st.integers(0, 10**15)


@given(
    st.builds(
        Limits,
        cost_microusd=COUNTS,
        tokens=COUNTS,
        requests=COUNTS,
        tool_calls=COUNTS,
        seconds=COUNTS,
    )
)
def test_limits_survive_their_mapping(limits: Limits) -> None:
    assert limits_of(Reader(limits_to_mapping(limits), "a.yaml")) == limits
