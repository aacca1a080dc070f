"""What a person probably meant by a name that does not exist."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def closest(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """The known name nearest to a misspelt one; empty when none is near.

    >>> closest("alowed_tools", ["name", "allowed_tools"])
    'allowed_tools'
    >>> closest("zzz", ["name"])
    ''
    """
    found = difflib.get_close_matches(word[:128], sorted(known), n=1, cutoff=likeness)
    return found[0] if found else ""


def hint_for(word: str, known: Iterable[str]) -> str:
    """The half sentence that ends an error about an unknown name.

    >>> hint_for("raed", ["read", "write"]), hint_for("zzz", ["read", "write"])
    ("did you mean 'read'?", 'known: read, write')
    """
    names = sorted(known)
    near = closest(word, names)
    if near:
        return f"did you mean {near!r}?"
    return "known: " + (", ".join(names) or "none")
