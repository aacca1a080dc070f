"""Takes declared credential values out of whatever is about to be kept or shown.

By value, not by place: a secret that a tool prints is found too. Also as
Base64, in each of the three alignments that it can have inside longer data,
URL-encoded, in the escapes that writers of JSON and HTML choose, and as one
line. Anything else that a program does to a value (encryption, reversal, one character at a
time) is beyond this; the wall is that the value never enters a cell.
"""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeVar, cast
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator

    _Copy = list[object] | dict[object, object]

_Json = TypeVar("_Json")

MIN_LENGTH: Final = 8
"""Shorter values are left alone: they would blacken ordinary text."""

# What a JSON writer may escape or not; the marks of one group go together.
_ESCAPED: Final[Mapping[str, tuple[str, ...]]] = {
    "/": ("{mark}", "\\{mark}", "\\u{code:04x}"),
    "&": ("{mark}", "\\u{code:04x}"),
    "+": ("{mark}", "\\u{code:04x}"),
    "=": ("{mark}", "\\u{code:04x}"),
    "<>": ("{mark}", "\\u{code:04x}"),
    "'": ("{mark}", "\\u{code:04x}"),
}


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
        # Without recursion: how deep a value is may be a program's choice.
        whole: list[object] = [value]
        waiting: list[_Copy] = [whole]
        while waiting:
            copy = waiting.pop()
            if isinstance(copy, dict):
                for name, item in copy.items():
                    copy[name] = self._shallow(item, waiting)
            else:
                copy[:] = [self._shallow(item, waiting) for item in copy]
        return whole[0]

    def _shallow(self, value: object, waiting: list[_Copy]) -> object:
        """Redact a text; copy a container, whose items are then waited for."""
        copy: _Copy
        match value:
            case str():
                return self.text(value)
            case Mapping():
                copy = {
                    self.text(name) if isinstance(name, str) else name: item
                    for name, item in value.items()
                }
            case list() | tuple():
                copy = list(value)
            case _:
                return value
        waiting.append(copy)
        return copy


def _forms(data: bytes) -> Iterator[str]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        pass
    else:
        yield text
        # Sentences about a failure are one line, whatever their text was.
        line = " ".join(text.split())
        if len(line) >= MIN_LENGTH:
            yield line
        yield from _json_forms(text)
        yield from _html_forms(text)
    for encoded in (quote(data, safe=""), quote_plus(data), quote(data)):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)
    for shift in range(3):
        yield from _base64_core(data, shift)


def _json_forms(text: str) -> Iterator[str]:
    """Give the spellings in JSON: writers differ in what they escape beyond the necessary."""
    for is_ascii in (True, False):
        plain = json.dumps(text, ensure_ascii=is_ascii)[1:-1]
        groups = [group for group in _ESCAPED if any(mark in plain for mark in group)]
        for chosen in itertools.product(*(_ESCAPED[group] for group in groups)):
            form = plain
            for group, escape in zip(groups, chosen, strict=True):
                for mark in group:
                    form = form.replace(mark, escape.format(mark=mark, code=ord(mark)))
            yield form
            yield re.sub(r"\\u[0-9a-f]{4}", lambda found: "\\u" + found[0][2:].upper(), form)


def _html_forms(text: str) -> Iterator[str]:
    for has_quotes in (True, False):
        form = html.escape(text, quote=has_quotes)
        yield form
        yield form.replace("&#x27;", "&#39;").replace("&quot;", "&#34;")


def _base64_core(data: bytes, shift: int) -> Iterator[str]:
    """Give the characters that a value makes certain, wherever it stands in longer data."""
    first = -(-shift * 8 // 6)
    last = (shift + len(data)) * 8 // 6
    padded = b"\0" * shift + data
    yield base64.b64encode(padded).decode()[first:last]
    yield base64.urlsafe_b64encode(padded).decode()[first:last]
