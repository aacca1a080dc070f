"""What is asked of a model and what it answers, in plain values.

The conversation is ours: a provider's library sees it only at the edge, so that
a replay, a context limit and a refusal work the same with every provider.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Finish = Literal["stop", "tools", "length", "refused", "unknown"]
"""Why a model stopped: it was done, it calls tools, it reached its limit, its provider
filtered it, or the provider did not say."""


@dataclass(frozen=True, slots=True)
class ModelEndpoint:
    """Who is asked: fixed when a plan starts, one of the things a grant holds."""

    model: str
    """``provider:name`` in pydantic-ai's spelling, such as ``openai:gpt-5-mini``."""
    base_url: str = ""
    """Empty: the provider's own."""
    credential: str = ""
    """A handle; empty: the endpoint wants none."""


@dataclass(frozen=True, slots=True)
class ModelTool:
    """A tool as a model sees it."""

    name: str
    description: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request: the whole conversation so far.

    ``messages`` are plain JSON: ``{"role": "user", "text"}``,
    ``{"role": "assistant", "message": ModelReply.message}`` and
    ``{"role": "tool", "id", "name", "text", "failed": bool}``.
    """

    instructions: str
    messages: tuple[Mapping[str, object], ...]
    tools: tuple[ModelTool, ...] = ()
    max_output_tokens: int = 8_192


@dataclass(frozen=True, slots=True)
class ToolAsk:
    """One tool call that a model wants made."""

    id: str
    """The provider's name for it."""
    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    problem: str = ""
    """Why the arguments cannot be read (no JSON, no object); empty: they can."""


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """Tokens of one request, as the provider reports them."""

    input_tokens: int = 0
    """Cached ones included."""
    output_tokens: int = 0
    cached_tokens: int = 0
    """Those of ``input_tokens`` that were read from the provider's cache."""
    is_reported: bool = True
    """False: the provider said nothing, and the worst case is booked."""


@dataclass(frozen=True, slots=True)
class ModelReply:
    """One answer."""

    text: str
    asks: tuple[ToolAsk, ...]
    usage: ModelUsage
    finish: Finish
    model: str
    """As the provider names what answered."""
    message: Mapping[str, object]
    """The answer in the form that goes back into the next request; plain JSON."""
