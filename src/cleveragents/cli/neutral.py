"""Make a stranger's text harmless on a terminal.

Names, paths, arguments and reasons come from plans, models and tools. Printed
as they are, they could move the cursor, rewrite the line above, set the
window's title or turn the reading direction round, so that a person approves
something else than what is going to run.

Source:
    Control functions: ECMA-48. Reading direction: Unicode Standard Annex 9;
    "Trojan Source", CVE-2021-42574.
"""

from __future__ import annotations

from typing import Final

KEPT: Final = frozenset(
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
    "\u200c\u200d"
)
"""Not printable by Python's definition, and harmless: spaces of other widths, and the
two joiners that Indic scripts, Persian and emoji need."""


def neutralise(text: str, *, lines: bool = False) -> str:
    r"""Spell out every character that a terminal could act on.

    Args:
        text: Anybody's text.
        lines: Keep line feeds and tabs as they are; without it they are
            spelt out too, so that one value cannot pretend to be two lines.

    >>> neutralise("\x1b[2Jok\r\n")
    '\\x1b[2Jok\\r\\n'
    >>> neutralise("a\u202eb") == "a\\u202eb"
    True
    >>> neutralise("a\tb\n", lines=True) == "a\tb\n"
    True
    """
    if text.isprintable():
        return text
    kept = KEPT | {"\n", "\t"} if lines else KEPT
    return "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in text)
