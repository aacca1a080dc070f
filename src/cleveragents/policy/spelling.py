"""How are a key and a value of somebody's file spelt in a sentence? In one line, and short."""

from __future__ import annotations

import re
from typing import Final

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_$*-]{1,64}", re.ASCII)
_MAX_SHOWN_CHARS: Final = 60


def shown(value: object) -> str:
    """Spell a value for a sentence: one line, and no longer than a person reads.

    >>> shown("a" * 100)[-5:], shown("x")
    ('aa...', "'x'")
    """
    text = value[: _MAX_SHOWN_CHARS + 1] if isinstance(value, str) else value
    spelt = repr(text)
    return spelt if len(spelt) <= _MAX_SHOWN_CHARS else f"{spelt[: _MAX_SHOWN_CHARS - 3]}..."


def shown_key(key: str) -> str:
    r"""Spell a key as a part of a key path.

    >>> shown_key("read"), shown_key("a\nb")
    ('read', "'a\\nb'")
    """
    return key if _PLAIN_KEY.fullmatch(key) else shown(key)
