"""How are a key path and a value spelt in a sentence?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

Keys = tuple[str | int, ...]
"""The way from the top of a document to a value in it."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_$*-]{1,64}", re.ASCII)
_MAX_SHOWN_CHARS: Final = 60
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
        word = key if _PLAIN_KEY.fullmatch(key) else shown(key)
        path += f".{word}" if path else word
    return path if len(path) <= _MAX_PATH_CHARS else f"{path[:_MAX_PATH_CHARS]}..."


def shown(value: object) -> str:
    """Spell a value for a sentence: one line, and no longer than a person reads.

    >>> shown("a" * 100)[-5:], shown("x")
    ('aa...', "'x'")
    """
    text = value[: _MAX_SHOWN_CHARS + 1] if isinstance(value, str) else value
    spelt = repr(text)
    return spelt if len(spelt) <= _MAX_SHOWN_CHARS else f"{spelt[: _MAX_SHOWN_CHARS - 3]}..."
