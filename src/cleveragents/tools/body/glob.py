"""Turns the patterns of .gitignore and of ``search_files`` into regular expressions."""

from __future__ import annotations

import re
from typing import Final

MAX_ALTERNATIVES: Final = 64
_SPECIAL: Final = "\\[]^-&~|"
"""What means something in a class of a regular expression."""
_NAMED_CLASSES: Final = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": " \\t",
    "digit": "0-9",
    "lower": "a-z",
    "punct": r"!-/:-@\[-`{-~",
    "space": " \\t-\\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
_BRACES: Final = re.compile(r"\{([^{}]*)\}")


def translate(pattern: str) -> str:
    """Give the regular expression of one pattern; for ``fullmatch`` on a path.

    ``*`` and ``?`` stay within a name, ``**`` as a whole component spans any
    number of directories, ``[a-z]`` and ``[!a-z]`` are classes, a backslash
    takes the next character as it is.

    Raises:
        re.error: A class is not closed, or has an unknown name.

    Source:
        gitignore(5), "PATTERN FORMAT".

    >>> bool(re.fullmatch(translate("src/**/*.py"), "src/a/b/c.py"))
    True
    >>> bool(re.fullmatch(translate("*.py"), "a/b.py"))
    False
    """
    out: list[str] = []
    at, end = 0, len(pattern)
    while at < end:
        starts_component = at == 0 or pattern[at - 1] == "/"
        if starts_component and pattern.startswith("**/", at):
            out.append("(?:.*/)?")
            at += 3
        elif starts_component and pattern[at:] == "**":
            out.append(".+")
            at += 2
        elif pattern[at] == "*":
            out.append("[^/]*")
            while at < end and pattern[at] == "*":
                at += 1
        elif pattern[at] == "?":
            out.append("[^/]")
            at += 1
        elif pattern[at] == "[":
            at = _class(pattern, at, out)
        else:
            if pattern[at] == "\\" and at + 1 < end:
                at += 1
            out.append(re.escape(pattern[at]))
            at += 1
    return "(?s:" + "".join(out) + ")"


def _class(pattern: str, at: int, out: list[str]) -> int:
    """Translate a bracket expression and give the place after it.

    Raises:
        re.error: It is not closed, or names an unknown class.
    """
    at += 1
    is_negated = pattern[at : at + 1] in {"!", "^"}
    at += is_negated
    items: list[str] = []
    # A bracket that comes first in the class belongs to it.
    while pattern[at : at + 1] != "]" or not items:
        if pattern.startswith("[:", at):
            name, found, _ = pattern[at + 2 :].partition(":]")
            if not found or name not in _NAMED_CLASSES:
                raise re.error("a class in brackets has no such name")
            items.append(_NAMED_CLASSES[name])
            at += len(name) + 4
            continue
        low, at = _member(pattern, at)
        if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in {"", "]"}:
            high, at = _member(pattern, at + 1)
            items.append(f"{low}-{high}" if _ord(low) <= _ord(high) else low)
        else:
            items.append(low)
    out.append(f"(?!/)[{'^' if is_negated else ''}{''.join(items)}]")
    return at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    """Give one character of a class, escaped, and the place after it."""
    if pattern[at : at + 1] == "\\":
        at += 1
    if at >= len(pattern):
        raise re.error("a class in brackets is not closed")
    character = pattern[at]
    return ("\\" + character if character in _SPECIAL else character), at + 1


def _ord(member: str) -> int:
    return ord(member[-1])


def expand_braces(pattern: str) -> list[str]:
    """Spell out ``{a,b}``; past ``MAX_ALTERNATIVES`` braces are left as they are.

    >>> expand_braces("*.{ts,tsx}")
    ['*.ts', '*.tsx']
    """
    done: list[str] = []
    waiting = [pattern]
    while waiting and len(waiting) + len(done) <= MAX_ALTERNATIVES:
        current = waiting.pop(0)
        found = _BRACES.search(current)
        if found is None:
            done.append(current)
            continue
        before, after = current[: found.start()], current[found.end() :]
        waiting.extend(before + choice + after for choice in found[1].split(","))
    return done + waiting


def compile_glob(pattern: str) -> re.Pattern[str]:
    """Compile the ``glob`` of ``search_files``: without a slash it is about names at any depth.

    Raises:
        re.error: As ``translate``.
    """
    choices = []
    for choice in expand_braces(pattern):
        anchored = choice.removeprefix("/")
        choices.append(translate(anchored if "/" in choice else "**/" + anchored))
    return re.compile("|".join(choices))
