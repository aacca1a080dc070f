"""Values as YAML, for ``--format yaml``; writing needs no parser, so none is loaded.

The subset is that of JSON: mappings, lists, strings, numbers, ``true``,
``false`` and ``null``, in block style.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeGuard

_BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*", re.ASCII)
"""Strings that need no quotes, unless YAML 1.1 or 1.2 reads them as something else."""
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def to_yaml(value: object) -> str:
    """Write one value as a YAML document that ends with a line feed.

    >>> print(to_yaml({"a": [1, "x y"], "b": {}, "c": None}), end="")
    a:
      - 1
      - "x y"
    b: {}
    c: null
    """
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: object, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _entry(f"{indent}{_scalar(str(key))}:", item, indent)
    elif _is_list(value) and value:
        for item in value:
            yield from _item(item, indent)
    else:
        yield indent + _scalar(value)


def _entry(head: str, item: object, indent: str) -> Iterator[str]:
    if _is_nested(item):
        yield head
        yield from _lines(item, indent + "  ")
    elif isinstance(item, str) and _is_block(item):
        yield head + " " + _block_header(item)
        yield from _block_lines(item, indent + "  ")
    else:
        yield f"{head} {_scalar(item)}"


def _item(item: object, indent: str) -> Iterator[str]:
    if _is_nested(item):
        first, *rest = _lines(item, indent + "  ")
        yield f"{indent}- {first[len(indent) + 2 :]}"
        yield from rest
    elif isinstance(item, str) and _is_block(item):
        yield f"{indent}- {_block_header(item)}"
        yield from _block_lines(item, indent + "  ")
    else:
        yield f"{indent}- {_scalar(item)}"


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_nested(value: object) -> bool:
    return bool(value) and (isinstance(value, Mapping) or _is_list(value))


def _is_block(text: str) -> bool:
    """Say whether a text may stand as it is, line by line."""
    return "\n" in text.rstrip("\n") and all(
        line.isprintable() for line in text.replace("\t", " ").split("\n")
    )


def _block_header(text: str) -> str:
    # The number says how deep the text stands, so that its own first spaces are kept.
    if not text.endswith("\n"):
        return "|2-"
    return "|2+" if text.endswith("\n\n") else "|2"


def _block_lines(text: str, indent: str) -> Iterator[str]:
    for line in text.removesuffix("\n").split("\n"):
        yield indent + line if line else ""


def _scalar(value: object) -> str:
    if isinstance(value, str):
        if _BARE.fullmatch(value) and value.lower() not in _WORDS:
            return value
        return _quoted(value)
    if isinstance(value, Mapping):
        return "{}"
    if _is_list(value):
        return "[]"
    text = json.dumps(value)
    # YAML 1.1 reads 1e+16 as a word and 1.0e+16 as a number.
    is_word = isinstance(value, float) and "e" in text and "." not in text
    return text.replace("e", ".0e") if is_word else text


def _quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    # Python and YAML spell \\xNN, \\uNNNN and \\UNNNNNNNN alike.
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in quoted)
