"""At most how many tokens does a request have? A bound that holds with every provider.

Why bytes bound tokens: the tokenizers of today's models are byte-level, or
fall back to bytes; a token stands for at least one byte of the UTF-8 text
that it was cut from, special tokens of the conversation's frame apart. So a
text has no more tokens than bytes. What a provider adds around it (roles, the
names of fields, its own words about tools) is bounded by generous constants
for each message, call and tool; schemas are counted twice, because a provider
writes them out in a form of its own. English text has three to four times
fewer tokens than this says: the bound is what is *held*, not what is charged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from cleveragents.models.identity_cache import IdentityCache

if TYPE_CHECKING:
    from cleveragents.terms.model import ModelRequest, ModelTool

PER_REQUEST: Final = 2048
"""The frame, and what providers and libraries say to a model once: about tools (up to 804 tokens
at Anthropic), about the frame of messages (some 300)."""
PER_MESSAGE: Final = 64
PER_TOOL: Final = 128
_PER_VALUE: Final = 4
"""Brackets, quotes, colon and comma around a value of JSON."""
_ESCAPED: Final = 2
"""A failed result travels as JSON in JSON: a character may become two, a control character six."""
_CONTROL: Final = 6
_KEPT_BYTES: Final = 8 << 20

_counted: Final[IdentityCache[int]] = IdentityCache(_KEPT_BYTES)


def upper_bound(request: ModelRequest) -> int:
    """Count more input tokens than a request can have.

    Args:
        request: Its messages and tools are not changed after this: what was
            counted of one is kept by its identity.

    >>> from cleveragents.terms.model import ModelRequest
    >>> upper_bound(ModelRequest("", ({"role": "user", "text": "é"},))) - PER_REQUEST
    66
    """
    total = PER_REQUEST + _size(request.instructions)
    for tool in request.tools:
        total += _tool(tool)
    for message in request.messages:
        total += _message(message)
    return total


def _size(text: str) -> int:
    """Bytes of a text; for plain ASCII, which a string knows of itself, without reading it."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _message(message: Mapping[str, object]) -> int:
    if message.get("role") == "assistant":
        return PER_MESSAGE + _kept(message, message.get("message"))
    text = message.get("text")
    size = _size(text) if isinstance(text, str) else _json(text)
    if message.get("failed"):
        size = _escaped(text) if isinstance(text, str) else _CONTROL * size
    names = _json([message.get("id", ""), message.get("name", "")])
    return PER_MESSAGE + size + (names if message.get("role") == "tool" else 0)


def _escaped(text: str) -> int:
    # Control characters are few in text; only where there are any is each one looked at.
    if text.replace("\n", "").replace("\t", "").isprintable():
        return _ESCAPED * _size(text)
    return _CONTROL * _size(text)


def _tool(tool: ModelTool) -> int:
    found = _counted.get(tool)
    if found is None:
        found = PER_TOOL + 2 * (_size(tool.name) + _size(tool.description) + _json(tool.parameters))
        _counted.put(tool, found, weight=found)
    return found


def _kept(message: Mapping[str, object], content: object) -> int:
    found = _counted.get(message)
    if found is None:
        # Its parts are what goes back; arguments travel as JSON in a string of JSON.
        parts = content.get("parts", content) if isinstance(content, Mapping) else content
        found = _ESCAPED * _json(parts)
        _counted.put(message, found, weight=found)
    return found


def _json(value: object) -> int:
    """Count a value of JSON as if every part of it were written out."""
    size = 0
    waiting = [value]
    while waiting:
        one = waiting.pop()
        size += _PER_VALUE
        if isinstance(one, str):
            size += _size(one)
        elif isinstance(one, Mapping):
            size += sum(_size(str(key)) + _PER_VALUE for key in one)
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)
        else:
            size += len(repr(one))
    return size
