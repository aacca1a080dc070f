"""How is a key path spelt in a sentence?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.policy.spelling import shown_key

if TYPE_CHECKING:
    from collections.abc import Sequence

Keys = tuple[str | int, ...]
"""The way from the top of a document to a value in it."""

_MAX_PATH_CHARS: Final = 160


def key_path(keys: Sequence[str | int]) -> str:
    """Write a key path as a person reads it.

    >>> key_path(("steps", 2, "subplan", "a b"))
    "steps[2].subplan.'a b'"
    """
    path = ""
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
            continue
        word = shown_key(key)
        path += f".{word}" if path else word
    return path if len(path) <= _MAX_PATH_CHARS else f"{path[:_MAX_PATH_CHARS]}..."
