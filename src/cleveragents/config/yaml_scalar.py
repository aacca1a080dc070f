"""Which value does a plain word stand for? The core schema of YAML 1.2, made exact.

Source:
    YAML 1.2.2, section 10.3.2, tag resolution. Not-a-number and infinity are
    refused, and so is a number that would not be kept as it was written.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final

_WORDS: Final = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NO_NUMBER: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
_MAX_DIGITS: Final = 64
_MAX_INTEGER: Final = 1 << 63


def plain_value(word: str) -> object:
    """What an unquoted scalar stands for.

    Raises:
        ValueError: It looks like a number that cannot be kept exactly; the
            message is a sentence.

    >>> plain_value("on"), plain_value("true"), plain_value("0.10"), plain_value("1_000")
    ('on', True, 0.1, '1_000')
    """
    if word in _WORDS:
        return _WORDS[word]
    if _NO_NUMBER.fullmatch(word):
        raise ValueError(f"{word} is not a number that can be used")
    is_integer = _INTEGER.fullmatch(word) is not None
    if not is_integer and not _FLOAT.fullmatch(word):
        return word
    if len(word) > _MAX_DIGITS:
        raise ValueError(f"the number {word[:12]}... is too long")
    return _integer(word) if is_integer else exact_float(word)


def _integer(word: str) -> int:
    base = {"0o": 8, "0x": 16}.get(word[:2], 10)
    number = int(word, base)
    if not -_MAX_INTEGER <= number < _MAX_INTEGER:
        raise ValueError(f"the number {word} does not fit into 64 bits")
    return number


def exact_float(word: str) -> float:
    """The float that a decimal stands for.

    Raises:
        ValueError: It stands for a number with other digits than were written.
    """
    number = float(word)
    try:
        # repr is the shortest text that reads back as this float.
        is_exact = Decimal(word) == Decimal(repr(number))
    except InvalidOperation:
        # An exponent of more digits than Decimal knows.
        is_exact = False
    if not is_exact:
        raise ValueError(f"the number {word} cannot be kept exactly")
    return number
