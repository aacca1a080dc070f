"""One value with its place: asked for a type, it gives it, or says what is wrong and where.

Past the files that use it nobody checks again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from cleveragents.config.amount import parse_usd, usd_text
from cleveragents.config.place import Keys, key_path
from cleveragents.errors import ConfigurationError
from cleveragents.policy.shape import json_mapping
from cleveragents.policy.spelling import shown
from cleveragents.policy.suggestion import hint_for

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable
    from pathlib import Path

T = TypeVar("T")


class LineFinder(Protocol):
    """A document that knows its lines."""

    def line_of(self, keys: Keys) -> int:
        """The line, from 1, of the value at a key path."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A value that somebody wrote."""

    value: object
    name: str = ""
    """The file as a person named it, or what else the value came from."""
    path: str = ""
    """Key path of the value that ``keys`` start from."""
    keys: Keys = ()
    lines: LineFinder | None = None
    """Left out where nobody knows lines."""

    @property
    def where(self) -> str:
        """``plan.yaml:7: steps[2].tool``."""
        inner = key_path(self.keys)
        path = f"{self.path}.{inner}" if self.path and inner else self.path or inner
        if not self.name:
            return path
        line = f":{self.lines.line_of(self.keys)}" if self.lines is not None else ""
        return f"{self.name}{line}: {path}" if path else f"{self.name}{line}"

    def error(self, problem: str, hint: str = "") -> ConfigurationError:
        """One sentence about this value, with its place."""
        return ConfigurationError(problem=problem, where=self.where, hint=hint)

    def at(self, *keys: str | int, value: object = None) -> Reader:
        """A place further inside, with the value that stands there."""
        # Not `dataclasses.replace`, which is several times dearer: a plan has many values.
        return Reader(value, self.name, self.path, self.keys + keys, self.lines)

    def entries(self) -> dict[str, Reader]:
        """Every entry of a mapping.

        Raises:
            ConfigurationError: It is no mapping, or a key is not a string.
        """
        if not isinstance(self.value, Mapping):
            raise self._other("a mapping")
        for key in self.value:
            if not isinstance(key, str):
                raise self.error(f"the key {shown(key)} is not a string")
        return {key: self.at(key, value=item) for key, item in self.value.items()}

    def mapping(self, known: Iterable[str], *, required: Iterable[str] = ()) -> dict[str, Reader]:
        """The entries of a mapping whose keys are all known and have a value.

        A key without a value (``read:``) is an error: it never means
        "everything", and never "nothing".

        Raises:
            ConfigurationError: It is no mapping, or a key is unknown, empty
                or missing.
        """
        names = tuple(known)
        found = self.entries()
        for key, reader in found.items():
            if key not in names:
                raise reader.error(f"unknown key, {hint_for(key, names)}")
            if reader.value is None:
                raise reader.error("the key has no value", "leave the key out")
        for key in required:
            if key not in found:
                raise self.error(f"the key {key!r} is missing")
        return found

    def items(self) -> tuple[Reader, ...]:
        """Every item of a list.

        Raises:
            ConfigurationError: It is no list.
        """
        if not isinstance(self.value, list | tuple):
            raise self._other("a list")
        return tuple(self.at(index, value=item) for index, item in enumerate(self.value))

    def text(self) -> str:
        """A string that is not empty.

        Raises:
            ConfigurationError: It is none.
        """
        if not isinstance(self.value, str):
            hint = "put it in quotes" if isinstance(self.value, bool | int | float) else ""
            raise self._other("a string", hint)
        if not self.value:
            raise self.error("is empty")
        return self.value

    def file(self, base: Path) -> Path:
        """The path of a file of the host; ``~`` is a home.

        Args:
            base: Directory that a relative path starts from.

        Raises:
            ConfigurationError: It cannot be a path.
        """
        text = self.text()
        if not text.isprintable():
            raise self.error(f"{shown(text)} cannot be the path of a file")
        # pathlib's own expansion raises for an unknown user, whose ~ is a plain name here.
        return base / os.path.expanduser(text)  # noqa: PTH111

    def word(self, form: re.Pattern[str], what: str, hint: str) -> str:
        """A string of a given form.

        Args:
            form: What the whole string must match.
            what: What it is to be, such as ``the id of a step``.
            hint: The form in words.

        Raises:
            ConfigurationError: It has another form.
        """
        text = self.text()
        if not form.fullmatch(text):
            raise self.error(f"{shown(text)} cannot be {what}", hint)
        return text

    def texts(self) -> tuple[str, ...]:
        """A list of strings, none of them empty.

        Raises:
            ConfigurationError: It is none.
        """
        return tuple(item.text() for item in self.items())

    def integer(self, minimum: int, maximum: int) -> int:
        """A whole number within bounds.

        Raises:
            ConfigurationError: It is none, or out of bounds.
        """
        # A truth value is an int to Python, and a number to nobody else.
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self._other("a whole number")
        if not minimum <= self.value <= maximum:
            raise self.error(f"{shown(self.value)} is not between {minimum} and {maximum}")
        return self.value

    def microusd(self) -> int:
        """US dollars with at most six decimals, in millionths.

        Raises:
            ConfigurationError: It is no amount.
        """
        text = usd_text(self.value)
        if text is None:
            raise self._other("an amount of dollars", "write it like 2.50")
        return parse_usd(text, where=self.where)

    def truth(self) -> bool:
        """``true`` or ``false``.

        Raises:
            ConfigurationError: It is neither.
        """
        if not isinstance(self.value, bool):
            raise self._other("true or false")
        return self.value

    def choice(self, options: Mapping[str, T]) -> T:
        """One of a few words, as the value it stands for.

        Raises:
            ConfigurationError: It is another word.
        """
        text = self.text()
        if text not in options:
            raise self.error(f"{shown(text)} is not one of {', '.join(options)}")
        return options[text]

    def json(self) -> object:
        """Anything that JSON has, copied.

        Raises:
            ConfigurationError: It holds something else, or nests too deep.
        """
        top = "value"
        try:
            return json_mapping({top: self.value}, where="")[top]
        except ConfigurationError as error:
            where = self.where + error.where.removeprefix(top)
            raise ConfigurationError(problem=error.problem, where=where) from error

    def checked(self, check: Callable[..., T]) -> T:
        """What a function of ``policy`` reads out of the value.

        Raises:
            ConfigurationError: The function says so, with this place.
        """
        prefix = self.prefix
        try:
            return check(self.value, where=prefix)
        except ConfigurationError as error:
            if error.where != prefix:
                raise
            # The value itself is meant: the colon that was to lead to a key goes.
            raise self.error(error.problem, error.hint) from error

    @property
    def prefix(self) -> str:
        """``where``, in the form that ``policy`` extends by a key of its own."""
        has_path = bool(self.keys or self.path)
        return self.where if has_path or not self.name else f"{self.where}:"

    def _other(self, wanted: str, hint: str = "") -> ConfigurationError:
        return self.error(f"expected {wanted}, found {_kind(self.value)}", hint)


def _kind(value: object) -> str:
    match value:
        case bool():
            # The word as it stands in the file, not as Python spells it.
            return str(value).lower()
        case int() | float():
            return f"the number {shown(value)}"
        case str():
            return f"the text {shown(value)}"
    kinds = ((type(None), "nothing"), (list | tuple, "a list"), (Mapping, "a mapping"))
    return next((words for kind, words in kinds if isinstance(value, kind)), "something else")
