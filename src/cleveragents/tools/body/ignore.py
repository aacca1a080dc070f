"""What .gitignore files leave out of a search."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

from cleveragents.tools.body.glob import translate

FILE_NAME: Final = ".gitignore"
MAX_IGNORE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Rule:
    expression: re.Pattern[str]
    is_negated: bool
    directories_only: bool
    by_name: bool
    """Compared with the last name only; otherwise with the path from the file's place."""


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules in force in one directory: its own file's, then its parents'."""

    prefix: str = ""
    """Of the directory that the file lies in, with a trailing slash; empty for the top."""
    rules: tuple[_Rule, ...] = ()
    above: IgnoreRules | None = None

    def below(self, prefix: str, text: str) -> IgnoreRules:
        """Add the rules of the file in a directory further down."""
        rules = tuple(rule for line in text.split("\n") if (rule := _parse(line)) is not None)
        return IgnoreRules(prefix, rules, self) if rules else self

    def ignores(self, path: str, *, is_directory: bool) -> bool:
        r"""Say whether a path is left out; its directories are taken to be not ignored.

        >>> rules = IgnoreRules().below("", "*.log\n!keep.log\nbuild/")
        >>> rules.ignores("a/x.log", is_directory=False)
        True
        >>> rules.ignores("a/keep.log", is_directory=False)
        False
        """
        scope: IgnoreRules | None = self
        name = path.rpartition("/")[2]
        while scope is not None:
            relative = path[len(scope.prefix) :]
            # The last rule of the nearest file decides.
            for rule in reversed(scope.rules):
                if rule.directories_only and not is_directory:
                    continue
                if rule.expression.fullmatch(name if rule.by_name else relative):
                    return not rule.is_negated
            scope = scope.above
        return False


def _parse(line: str) -> _Rule | None:
    line = line.removesuffix("\r")
    # Trailing blanks go, unless a backslash keeps one.
    stripped = line.rstrip(" ")
    if stripped.endswith("\\") and stripped != line:
        stripped += " "
    if not stripped or stripped.startswith("#"):
        return None
    is_negated = stripped.startswith("!")
    pattern = stripped[is_negated:]
    directories_only = pattern.endswith("/")
    pattern = pattern.rstrip("/")
    if not pattern:
        return None
    by_name = "/" not in pattern
    try:
        expression = re.compile(translate(pattern.removeprefix("/")))
    except re.error:
        # Git, too, lets a malformed class match nothing.
        return None
    return _Rule(expression, is_negated, directories_only, by_name)


def read_rules(directory_fd: int, prefix: str, above: IgnoreRules) -> IgnoreRules:
    """Add the rules of the .gitignore in an open directory, if there is one.

    A file that is a link, or cannot be read, counts as absent.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(FILE_NAME, flags, dir_fd=directory_fd)
    except OSError:
        return above
    try:
        raw = os.read(fd, MAX_IGNORE_BYTES)
    except OSError:
        return above
    finally:
        os.close(fd)
    return above.below(prefix, os.fsdecode(raw.removeprefix(b"\xef\xbb\xbf")))
