"""How are a foreign server's words made fit for people, models and records?

Names, descriptions and errors of an MCP server are a stranger's. What could
move a cursor, turn the reading direction round or hide text from a person
while a model still reads it is spelt out, and everything has an end.

Source:
    ECMA-48; Unicode Standard Annex 9; CVE-2021-42574; tag characters used to
    hide instructions (U+E0000 to U+E007F).
"""

from __future__ import annotations

import re
from typing import Final

MAX_DESCRIPTION_CHARS: Final = 4_000
MAX_REASON_CHARS: Final = 600
"""Of an error that a tool or a server gives."""
CUT: Final = " [cut]"
_ESCAPE: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,256}(?:\x07|\x1b\\)|[@-_])"
)
"""Terminal sequences as a whole: what is left of one spelt out is noise."""
_KEPT: Final = frozenset("\n\t\u00a0\u202f\u3000\u200c\u200d")


def plain_text(text: str, max_chars: int, *, is_line: bool = False) -> str:
    r"""Make a stranger's text harmless, and no longer than ``max_chars``.

    Args:
        text: Anything.
        max_chars: Characters kept, the mark of a cut not counted.
        is_line: Turn every run of white space into one space.

    >>> plain_text("\x1b[31mred\x1b[0m \u202eegdirb", 40)
    'red \\u202eegdirb'
    >>> plain_text("abcdef", 3), plain_text(" a\n\n b ", 9, is_line=True)
    ('abc [cut]', 'a b')
    """
    # A little more than is kept, so that huge texts cost nothing.
    text = _ESCAPE.sub("", text[: max_chars * 4 + 1024]) if "\x1b" in text else text
    if is_line:
        text = " ".join(text.split())
    shown = text[: max_chars + 1]
    if not shown.isprintable():
        shown = "".join(
            c if c.isprintable() or c in _KEPT else ascii(c)[1:-1]
            for c in shown.replace("\r\n", "\n")
        )
    return shown if len(shown) <= max_chars else shown[:max_chars] + CUT


def is_plain(text: str) -> bool:
    """Say whether a text holds nothing that a person cannot see."""
    return all(c.isprintable() or c in _KEPT or c == "\r" for c in text)
