"""What an operator says of models: what their tokens cost, and how fast a provider may be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """Prices of a million tokens, in micro-dollars.

    So one is also the price of a single token in millionths of a micro-dollar,
    and no amount needs a fraction of it.
    """

    input: int
    output: int
    cached: int
    """Of input that the provider read from its cache."""
    date: str = ""
    """When the operator looked it up, ``YYYY-MM-DD``; for people, not for the arithmetic."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What one provider may be asked within any 60 seconds; ``None`` is no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


PROVIDERS: Final = ("anthropic", "google", "ollama", "openai")
"""Whose rate a setting can limit; a misspelt name must not be no limit."""
PREFIXES: Final = (*PROVIDERS, "openai-chat", "openai-responses")
"""What a model's name starts with; several may lead to one provider."""
