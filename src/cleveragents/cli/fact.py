"""Read a command's data without trusting its shape: a view never fails for a lost field."""

from __future__ import annotations

from collections.abc import Mapping


def text_at(data: Mapping[str, object], *path: str, absent: str = "") -> str:
    """The value at a path of keys as text; ``absent`` where there is none.

    >>> text_at({"a": {"b": 2}}, "a", "b"), text_at({"a": None}, "a", absent="-")
    ('2', '-')
    """
    value: object = data
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    if value is None:
        return absent
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def rows_at(data: Mapping[str, object], key: str) -> tuple[Mapping[str, object], ...]:
    """The mappings of a list; what is no mapping is left out."""
    value = data.get(key)
    if not isinstance(value, list | tuple):
        return ()
    return tuple(row for row in value if isinstance(row, Mapping))


def texts_at(data: Mapping[str, object], key: str) -> tuple[str, ...]:
    """The items of a list as texts; empty where there is no list."""
    value = data.get(key)
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def mapping_at(data: Mapping[str, object], key: str) -> Mapping[str, object]:
    """The mapping at a key; empty where there is none."""
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def counted(number: int | str, noun: str) -> str:
    """A number of things.

    >>> counted(1, "call"), counted("0", "call")
    ('1 call', '0 calls')
    """
    return f"{number} {noun}" if str(number) == "1" else f"{number} {noun}s"
