"""Takes declared credential values out of whatever is about to be kept or shown.

By value, not by place: a secret that a tool prints is found too. Also as
Base64, in each of the three alignments that it can have inside longer data,
and URL-encoded. Anything else that a program does to a value (encryption,
reversal, one character at a time) is beyond this; the wall is that the value
never enters a cell.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeVar, cast
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator

_Json = TypeVar("_Json")

MIN_LENGTH: Final = 8
"""Shorter values are left alone: they would blacken ordinary text."""


class Redactor:
    """Replaces each declared value by ``[redacted:NAME]``.

    Args:
        values: Credential values by the name of their handle. Those shorter
            than ``MIN_LENGTH`` are not redacted.
    """

    def __init__(self, values: Mapping[str, str | bytes]) -> None:
        self._names: dict[str, str] = {}
        for name, value in values.items():
            data = value.encode() if isinstance(value, str) else value
            # A file ends in a line feed that the use of its value does not have.
            data = data.rstrip(b"\r\n")
            if len(data) >= MIN_LENGTH:
                for form in _forms(data):
                    self._names.setdefault(form, name)
        # The longest first: a value may be the beginning of another one.
        forms = sorted(self._names, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, forms))) if forms else None

    def text(self, text: str) -> str:
        """Give the text without any declared value; the same object when none is declared."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: f"[redacted:{self._names[found[0]]}]", text)

    def value(self, value: _Json) -> _Json:
        """Give a JSON value whose strings and keys hold no declared value.

        The same object when none is declared.
        """
        if self._pattern is None:
            return value
        return cast("_Json", self._walk(value))

    def _walk(self, value: object) -> object:
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {
                    self.text(name) if isinstance(name, str) else name: self._walk(item)
                    for name, item in value.items()
                }
            case list() | tuple():
                return [self._walk(item) for item in value]
            case _:
                return value


def _forms(data: bytes) -> Iterator[str]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        pass
    else:
        yield text
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
    for encoded in (quote(data, safe=""), quote_plus(data), quote(data)):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)
    for shift in range(3):
        yield from _base64_core(data, shift)


def _base64_core(data: bytes, shift: int) -> Iterator[str]:
    """Give the characters that a value makes certain, wherever it stands in longer data."""
    first = -(-shift * 8 // 6)
    last = (shift + len(data)) * 8 // 6
    padded = b"\0" * shift + data
    yield base64.b64encode(padded).decode()[first:last]
    yield base64.urlsafe_b64encode(padded).decode()[first:last]
