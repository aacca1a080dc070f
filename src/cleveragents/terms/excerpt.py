"""How text is kept within a size, always by saying so."""

from __future__ import annotations

import json

# No typing: it is what a cold cell would wait for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MAX_RESULT_BYTES: Final = 900_000
"""A tool's result as JSON: below one message of the channel, with room for its envelope."""

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
"""As the guest writes its answers; a faster one takes longer to import than Python to start."""


def json_bytes(value: object) -> int:
    r"""Count the bytes of a value's JSON, as the channel would send it.

    >>> json_bytes("a"), json_bytes("\x01")
    (3, 8)
    """
    return len(_ENCODER.encode(value).encode())


def head_within(text: str, max_bytes: int) -> str:
    r"""Keep as much of the beginning as fits into ``max_bytes`` of JSON.

    Args:
        text: Free of lone surrogates.
        max_bytes: Size of the JSON string, quotes included; at least 2.

    >>> head_within("abcdef", 5), head_within("abc", 5), head_within("\x01\x01", 8)
    ('abc', 'abc', '\x01')
    """
    # A character takes at most six bytes of JSON, so short texts need no encoding.
    if len(text) * 6 + 2 <= max_bytes or json_bytes(text) <= max_bytes:
        return text
    low, high = 0, min(len(text), max_bytes)
    while low < high:
        middle = (low + high + 1) // 2
        if json_bytes(text[:middle]) <= max_bytes:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def shown_name(name: str) -> str:
    r"""Spell a file name so that it is valid UTF-8: stray bytes become ``\xNN``.

    >>> shown_name("a\udcffb"), shown_name("né")
    ('a\\xffb', 'né')
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
