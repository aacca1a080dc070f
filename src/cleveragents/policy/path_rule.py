"""Which paths of the workspace do the ``read`` and ``write`` entries admit?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError
from cleveragents.terms.resource import is_outside, normalise_path

if TYPE_CHECKING:
    from collections.abc import Iterable

WHOLE: Final = "."
"""The entry that stands for the whole workspace."""

# Spelt as it is compared already: the common case need not be normalised again.
_PLAIN: Final = re.compile(r"(?:[A-Za-z0-9_-][\w.-]*/)*[A-Za-z0-9_-][\w.-]*/?", re.ASCII)
_PATTERN_CHARACTERS: Final = frozenset("*?")


def normalise_entry(raw: str, *, where: str = "") -> str:
    """Bring one entry to its one spelling: ``.``, ``dir/`` or ``file``.

    Raises:
        ConfigurationError: It is no string, holds a pattern or a control
            character, or leaves the workspace.

    >>> normalise_entry("./docs//"), normalise_entry("README.md"), normalise_entry("./")
    ('docs/', 'README.md', '.')
    """
    if not isinstance(raw, str):
        raise ConfigurationError(problem=f"{raw!r} is not a path", where=where)
    if _PLAIN.fullmatch(raw):
        return raw
    if _PATTERN_CHARACTERS.intersection(raw):
        raise ConfigurationError(
            problem=f"{raw!r} looks like a pattern",
            where=where,
            hint="name a file, a directory with a '/' at its end, or '.'",
        )
    try:
        path = normalise_path(raw)
    except ValueError as error:
        raise ConfigurationError(problem=str(error), where=where) from error
    if is_outside(path):
        raise ConfigurationError(
            problem=f"{raw!r} is outside the workspace",
            where=where,
            hint="paths are relative to the workspace",
        )
    if path == WHOLE:
        return WHOLE
    return path + "/" if raw.endswith(("/", "/.", "/..")) else path


@dataclass(frozen=True, slots=True)
class PathRules:
    """A set of paths, prepared for one comparison a call."""

    entries: tuple[str, ...]
    """Normalised: ``.``, ``dir/`` or ``file``."""
    with_directories: bool
    """Whether ``dir/`` admits ``dir`` itself: to list it, yes; to replace it, no."""
    is_whole: bool
    exact: frozenset[str]
    prefixes: tuple[str, ...]

    @classmethod
    def parse(
        cls, entries: Iterable[str], *, where: str = "", with_directories: bool = True
    ) -> PathRules:
        """Read entries as a person wrote them.

        Args:
            entries: None at all admits nothing.
            where: Key path for errors.
            with_directories: ``True`` for reading, ``False`` for writing.

        Raises:
            ConfigurationError: An entry cannot be one.
        """
        return cls.of_normal(
            tuple(normalise_entry(entry, where=where) for entry in entries),
            with_directories=with_directories,
        )

    @classmethod
    def of_normal(cls, entries: tuple[str, ...], *, with_directories: bool = True) -> PathRules:
        """Build from entries that ``normalise_entry`` has made."""
        directories = [entry for entry in entries if entry[-1] == "/"]
        exact = [entry for entry in entries if entry[-1] != "/" and entry != WHOLE]
        if with_directories:
            exact += [entry[:-1] for entry in directories]
        return cls(
            entries=entries,
            with_directories=with_directories,
            is_whole=WHOLE in entries,
            exact=frozenset(exact),
            prefixes=tuple(directories),
        )

    def admits(self, path: str) -> bool:
        """Say whether a normalised path is among them; one outside never is.

        >>> rules = PathRules.parse(["docs/", "README.md"])
        >>> rules.admits("docs/a.md"), rules.admits("docs"), rules.admits("docs2/a.md")
        (True, True, False)
        >>> PathRules.parse(["."]).admits("../x")
        False
        """
        if self.is_whole:
            return not is_outside(path)
        return path in self.exact or path.startswith(self.prefixes)

    def contains(self, other: PathRules) -> bool:
        """Say whether everything that the other admits is admitted here."""
        return all(self.covers(entry) for entry in other.entries)

    def covers(self, entry: str) -> bool:
        """Say whether everything that one normalised entry names is admitted here.

        >>> rules = PathRules.parse(["docs/"])
        >>> rules.covers("docs/api/"), rules.covers("."), rules.covers("doc")
        (True, False, False)
        """
        if self.is_whole:
            return True
        if entry[-1] == "/":
            return entry.startswith(self.prefixes)
        return entry != WHOLE and self.admits(entry)

    def meet(self, other: PathRules) -> PathRules:
        """The paths that both admit; both are for reading, or both for writing.

        >>> PathRules.parse(["docs/", "a"]).meet(PathRules.parse(["docs/api/", "b"])).entries
        ('docs/api/',)
        """
        both = [entry for entry in self.entries if other.covers(entry)]
        both += [entry for entry in other.entries if self.covers(entry)]
        # A directory and the file entry of the same name: each covers only part of the other.
        return PathRules.of_normal(
            tuple(dict.fromkeys(both)),
            with_directories=self.with_directories and other.with_directories,
        )


EVERYWHERE: Final = PathRules.of_normal((WHOLE,))
