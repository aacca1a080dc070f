"""A page: what a person is shown, before it is known on what.

A view makes a page out of a command's data; ``render`` draws it with colours,
or in plain characters. The strings in a page may be anybody's: whoever draws
it neutralises every one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["", "good", "bad", "warn", "dim", "strong"]


@dataclass(frozen=True, slots=True)
class Field:
    """One labelled value."""

    label: str
    value: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Fields:
    """Labelled values below each other; those with an empty value are left out."""

    rows: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column names; drawn as labelled values where it does not fit."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    tones: tuple[Tone, ...] = ()
    """One for each row, or none at all."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A line above what belongs together."""

    text: str
    tone: Tone = "strong"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A sentence, wrapped to the width there is."""

    text: str
    tone: Tone = ""
    indent: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """Text that keeps its lines: a patch, a file."""

    text: str
    language: Literal["", "diff"] = ""


Block = Fields | Table | Heading | Paragraph | Source
Page = tuple[Block, ...]
