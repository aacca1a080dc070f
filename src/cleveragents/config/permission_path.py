"""Which paths of a workspace does a ``Read(...)`` or ``Edit(...)`` rule match?

The source's patterns are those of ``.gitignore`` with four ways to start:
``//abs``, ``~/home``, ``/from-the-settings-file`` and ``from-the-directory``.
Here they become regular expressions over normalised paths of one workspace.
Where a pattern can be read in two ways, a rule that forbids gets the wider
reading and a rule that allows the narrower one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

ANY_DEPTH: Final = "**"
EVERYTHING: Final = "^.*$"
_SPECIAL: Final = re.compile(r"([.^$*+?()\[\]{}|\\])")
_WILD: Final = re.compile(r"[*?\[{\\]")

_GROUP: Final = re.compile(r"\*+|\[[!^]?[^\]\[/][^\]\[/]*\]|\{[^{}/]*\}|.", re.DOTALL)
"""Stars, a plain class, plain braces, or one character."""


class UnreadablePatternError(ValueError):
    """A pattern that cannot be read in a way that is safe."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a settings file's patterns start from; absolute POSIX paths."""

    root: str
    """The workspace: the directory that the source was started in."""
    source: str
    """What a single leading slash stands for."""
    home: str


def path_patterns(specifier: str, frame: Frame, *, forbids: bool) -> tuple[str, ...]:
    r"""Give regular expressions that match what a rule's specifier matches in the workspace.

    Args:
        specifier: What stands in the rule's parentheses.
        frame: Where patterns start from.
        forbids: The rule denies or asks: never match less than the source.
            Otherwise never match more.

    Returns:
        Anchored patterns; none when no path of the workspace can match.

    Raises:
        UnreadablePatternError: It is a negation, climbs out of a wildcard, or may mean less.

    >>> frame = Frame(root="/w", source="/w", home="/h")
    >>> path_patterns("/src/**", frame, forbids=False)
    ('^src/.+$',)
    >>> path_patterns(".env", frame, forbids=True)
    ('^(?:[^/]+/)*\\.env(?:/.*)?$',)
    >>> path_patterns("//etc/**", frame, forbids=True)
    ()
    """
    if specifier.startswith("!"):
        msg = "it is a negated pattern"
        raise UnreadablePatternError(msg)
    if not forbids and not specifier.strip("/.~"):
        msg = "it names a directory and not what is in it: end it in /**"
        raise UnreadablePatternError(msg)
    ways = _relative(specifier, frame, forbids=forbids)
    return tuple(dict.fromkeys(_regex(segments, forbids=forbids) for segments in ways))


def _relative(specifier: str, frame: Frame, *, forbids: bool) -> list[list[str]]:
    """The pattern as segments below the workspace, in every way that it can lie there."""
    if specifier.startswith("//"):
        return _below(specifier[1:], frame.root, forbids=forbids)
    if specifier == "~" or specifier.startswith("~/"):
        return _below(frame.home + specifier[1:], frame.root, forbids=forbids)
    if specifier.startswith("/"):
        return _below(frame.source.rstrip("/") + specifier, frame.root, forbids=forbids)
    plain = specifier
    while plain.startswith("./"):
        plain = plain[2:].lstrip("/")
    if plain in ("", "."):
        return [[ANY_DEPTH]]
    if ".." in plain.split("/"):
        return _below(f"{frame.root}/{plain}", frame.root, forbids=forbids)
    segments = _split(plain)
    # A bare name matches at any depth; "src/**" and "*.md" do so in a rule that forbids.
    is_name = len(segments) == 1 and (forbids or not _WILD.search(segments[0]))
    is_single = forbids and sum(one != ANY_DEPTH for one in segments) == 1
    if is_name or is_single:
        segments = [ANY_DEPTH, *segments]
    return [_collapsed(segments)]


def _split(text: str) -> list[str]:
    segments = [one for one in text.split("/") if one not in ("", ".")]
    return _collapsed([*segments, ANY_DEPTH] if text.endswith("/") else segments)


def _collapsed(segments: list[str]) -> list[str]:
    """One ``**`` in place of several in a row."""
    pairs = zip(segments, [*segments[1:], ""], strict=True)
    return [one for one, after in pairs if not one == after == ANY_DEPTH]


def _below(pattern: str, root: str, *, forbids: bool) -> list[list[str]]:
    """Lead an absolute pattern down to the workspace; what is left of it matches in there."""
    segments = _resolved(_split(pattern))
    states = _closure({0}, segments)
    for part in [one for one in root.split("/") if one]:
        following = set()
        for state in states:
            if state == len(segments):
                # A directory above the workspace matches, and so does all that it holds.
                return [[ANY_DEPTH]]
            if segments[state] == ANY_DEPTH:
                following.add(state)
            elif re.fullmatch(_glob(segments[state], forbids=forbids), part):
                following.add(state + 1)
        states = _closure(following, segments)
    if len(segments) in states:
        return [[ANY_DEPTH]]
    return [segments[state:] for state in sorted(states)]


def _closure(states: set[int], segments: list[str]) -> set[int]:
    """Add what is reached when ``**`` stands for nothing."""
    found = set(states)
    for state in sorted(states):
        after = state
        while after < len(segments) - 1 and segments[after] == ANY_DEPTH:
            after += 1
            found.add(after)
    return found


def _resolved(segments: list[str]) -> list[str]:
    found: list[str] = []
    for segment in segments:
        if segment != "..":
            found.append(segment)
        elif found and _WILD.search(found[-1]):
            msg = "it climbs out of a directory that is a wildcard"
            raise UnreadablePatternError(msg)
        elif found:
            found.pop()
    return found


def _regex(segments: list[str], *, forbids: bool) -> str:
    last = len(segments) - 1
    text = ""
    for index, segment in enumerate(segments):
        if segment == ANY_DEPTH and index < last:
            text += "(?:[^/]+/)*"
        elif segment == ANY_DEPTH and index == 0:
            return EVERYTHING
        elif segment == ANY_DEPTH:
            # The directory itself is what a rule that forbids means too.
            return f"^{text[:-1]}(?:/.*)?$" if forbids else f"^{text}.+$"
        else:
            text += _glob(segment, forbids=forbids) + ("/" if index < last else "")
    return f"^{text}(?:/.*)?$" if forbids else f"^{text}$"


def _glob(segment: str, *, forbids: bool) -> str:
    """One segment as a regular expression."""
    text = ""
    for group in _GROUP.findall(segment):
        if group[0] == "*":
            text += ".*" if forbids and len(group) > 1 else "[^/]*"
        elif group == "?":
            text += "[^/]"
        elif group[0] not in "[{\\":
            text += escaped(group)
        elif forbids and len(group) == 1:
            # What is not closed, or escapes: whatever it and the rest could mean.
            return text + "[^/]*"
        elif forbids:
            text += "[^/]" if group[0] == "[" else "[^/]*"
        else:
            msg = "it holds a class, braces or an escape"
            raise UnreadablePatternError(msg)
    return text


def escaped(text: str) -> str:
    r"""A literal text as a regular expression; fewer escapes than Python's, which Rust refuses.

    >>> escaped("a.b c")
    'a\\.b c'
    """
    return _SPECIAL.sub(r"\\\1", text)
