"""Which paths does a ``.gitignore`` name?

Git's own rules, read from the text alone: git is never run in a directory
that somebody else fills. Each pattern becomes a regular expression that
cannot backtrack without end, because the text may be a guest's.

Source:
    gitignore(5) and git's ``wildmatch.c``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

MAX_IGNORE_BYTES: Final = 1 << 19
"""A longer file is read up to here: nobody writes one."""
_MAX_PATTERN_LENGTH: Final = 4096
_POSIX_CLASSES: Final = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "\\x21-\\x7e",
    "lower": "a-z",
    "print": "\\x20-\\x7e",
    "punct": "!-/:-@\\[-`{-~",
    "space": " \\t\\n\\r\\f\\v",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}
_ANY: Final = "[^/]"
_NAMED_CLASS: Final = re.compile(r"\[:([^\]]+):\]")
_LITERAL: Final = re.compile(r"[^*?\[\\]+")
_LEADING_STARS: Final = re.compile(r"\*\*+(?:/|\Z)")


class _NeverMatches(Exception):  # noqa: N818  # no error: git ignores such a pattern too
    """The pattern is broken, and matches nothing."""


@dataclass(frozen=True, slots=True)
class IgnorePattern:
    """One line: what it matches, and whether it ignores or keeps."""

    expression: re.Pattern[str]
    keeps: bool
    """Began with ``!``."""
    directories_only: bool
    by_name: bool
    """Matched with the last component at any depth, not with the path."""


@dataclass(frozen=True, slots=True)
class IgnoreFile:
    """One ``.gitignore``, prepared: one quick test for the many paths that it does not name."""

    patterns: tuple[IgnorePattern, ...]
    """The last line first: the first that matches decides."""
    quick_names: re.Pattern[str] | None
    quick_paths: re.Pattern[str] | None

    def verdict(self, path: str, name: str, *, is_directory: bool) -> bool | None:
        """Say whether the file ignores a path: yes, no (kept), or nothing.

        Args:
            path: Relative to the directory of the file.
            name: Its last component.
            is_directory: A real directory; a link to one is a file.
        """
        is_named = self.quick_names is not None and self.quick_names.fullmatch(name) is not None
        is_placed = self.quick_paths is not None and self.quick_paths.fullmatch(path) is not None
        if not is_named and not is_placed:
            return None
        for pattern in self.patterns:
            if pattern.directories_only and not is_directory:
                continue
            if pattern.expression.fullmatch(name if pattern.by_name else path):
                return not pattern.keeps
        return None


EMPTY: Final = IgnoreFile((), None, None)


@lru_cache(maxsize=1024)
def parse_ignore(text: str) -> IgnoreFile:
    """Read a ``.gitignore``; a line that git would not understand matches nothing."""
    patterns = []
    for line in text.removeprefix("\ufeff").split("\n"):
        pattern = _parse_line(line.removesuffix("\r"))
        if pattern is not None:
            patterns.append(pattern)
    patterns.reverse()
    return IgnoreFile(
        tuple(patterns),
        _any_of([p.expression.pattern for p in patterns if p.by_name]),
        _any_of([p.expression.pattern for p in patterns if not p.by_name]),
    )


def _any_of(expressions: list[str]) -> re.Pattern[str] | None:
    if not expressions:
        return None
    return re.compile("|".join(f"(?:{one})" for one in expressions), re.DOTALL)


def _parse_line(line: str) -> IgnorePattern | None:
    if line.startswith("#") or len(line) > _MAX_PATTERN_LENGTH:
        return None
    text = _without_trailing_spaces(line)
    keeps = text.startswith("!")
    text = text.removeprefix("!")
    directories_only = text.endswith("/")
    text = text.removesuffix("/")
    by_name = "/" not in text
    text = text.removeprefix("/")
    if not text:
        return None
    try:
        source = _component(text) if by_name else _path_expression(text)
        expression = re.compile(source, re.DOTALL)
    except (_NeverMatches, re.error):
        return None
    return IgnorePattern(expression, keeps, directories_only, by_name)


def _without_trailing_spaces(line: str) -> str:
    end = len(line)
    while end and line[end - 1] == " ":
        backslashes = 0
        while end - 2 - backslashes >= 0 and line[end - 2 - backslashes] == "\\":
            backslashes += 1
        if backslashes % 2:
            break
        end -= 1
    return line[:end]


def _path_expression(pattern: str) -> str:
    """Translate a pattern with slashes: components, and ``**`` for any number of them."""
    plain = _LITERAL.match(pattern)
    prefix = plain[0] if plain else ""
    if prefix and prefix[-1] != "/" and _LEADING_STARS.match(pattern, len(prefix)):
        # git compares the literal start by itself, and then sees `**` at the start of the rest.
        return re.escape(prefix) + _path_expression(pattern[len(prefix) :])
    groups: list[list[str]] = [[]]
    parts = _split_components(pattern)
    for part in parts:
        if len(part) > 1 and not part.strip("*"):
            groups.append([])
        else:
            groups[-1].append(_component(part))
    if len(groups) == 1:
        return "/".join(groups[0])
    return _join_groups(groups)


def _join_groups(groups: list[list[str]]) -> str:
    # Between two `**` the first place that fits is as good as any other, so the group is
    # atomic: without that a pattern of many `**` takes time without bound on a deep path.
    first, *middle, last = groups
    source = "".join(f"{part}/" for part in first)
    for group in middle:
        if group:
            source += rf"(?>(?:{_ANY}*/)*?{''.join(f'{part}/' for part in group)})"
    if not last:
        return source + ".*"
    return source + rf"(?:{_ANY}*/)*" + "/".join(last)


def _split_components(pattern: str) -> list[str]:
    """Split at slashes; one that a bracket holds does not count."""
    parts, start, at = [], 0, 0
    while at < len(pattern):
        character, follower = pattern[at], pattern[at + 1 : at + 2]
        if character == "/" or (character == "\\" and follower == "/"):
            parts.append(pattern[start:at])
            at = start = at + len("/" if character == "/" else "\\/")
        elif character == "[":
            _, at = _bracket(pattern, at + 1)
        else:
            at += 2 if character == "\\" else 1
    parts.append(pattern[start:])
    return parts


def _component(pattern: str) -> str:
    """Translate one component: stars do not cross a slash."""
    chunks = [""]
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            chunks.append("")
        elif character == "?":
            chunks[-1] += _ANY
        elif character == "[":
            source, at = _bracket(pattern, at)
            chunks[-1] += source
        elif character == "\\":
            if at >= len(pattern):
                raise _NeverMatches
            chunks[-1] += re.escape(pattern[at])
            at += 1
        else:
            chunks[-1] += re.escape(character)
    if len(chunks) == 1:
        return chunks[0]
    first, *middle, last = chunks
    # The same argument as for `**`: the leftmost place of a middle chunk is as good as any.
    atoms = "".join(f"(?>{_ANY}*?{chunk})" for chunk in middle if chunk)
    return f"{first}{atoms}{_ANY}*{last}"


def _bracket(pattern: str, at: int) -> tuple[str, int]:
    """Translate what follows a ``[``; give the expression and where it ended."""
    is_negated = pattern[at : at + 1] in ("!", "^")
    at += is_negated
    items: list[str] = []
    is_first = True
    while True:
        if at >= len(pattern):
            raise _NeverMatches
        if pattern[at] == "]" and not is_first:
            break
        is_first = False
        named = _NAMED_CLASS.match(pattern, at)
        if named is not None:
            if named[1] not in _POSIX_CLASSES:
                raise _NeverMatches
            items.append(_POSIX_CLASSES[named[1]])
            at = named.end()
            continue
        low, at = _bracket_character(pattern, at)
        if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in ("", "]"):
            high, at = _bracket_character(pattern, at + 1)
            # git compares the first character by itself before it sees that a range begins.
            items.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else re.escape(low))
            continue
        items.append(re.escape(low))
    inside = "".join(items)
    if not inside:
        return (_ANY if is_negated else "(?!)"), at + 1
    return f"(?!/)[{'^' if is_negated else ''}{inside}]", at + 1


def _bracket_character(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at] == "\\":
        at += 1
        if at >= len(pattern):
            raise _NeverMatches
    return pattern[at], at + 1
