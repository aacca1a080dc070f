"""Finds lines by a regular expression, within a time that no pattern can stretch."""

from __future__ import annotations

import os
import re
import stat
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cleveragents.terms.excerpt import json_bytes, shown_name
from cleveragents.tools.body import argument
from cleveragents.tools.body.beneath import (
    DIRECTORY_FLAGS,
    READ_FLAGS,
    open_beneath,
    read_all,
    reason_of,
)
from cleveragents.tools.body.glob import compile_glob
from cleveragents.tools.body.ignore import IgnoreRules, read_rules
from cleveragents.tools.body.line_range import PROBE_BYTES
from cleveragents.tools.body.time_limit import TimeIsUp, TimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TIME_LIMIT_S: Final = 20.0
MAX_MATCHES: Final = 1_000
MAX_MATCHES_JSON_BYTES: Final = 800_000
MAX_LINE_CHARS: Final = 500
MAX_FILE_BYTES: Final = 16 << 20
MAX_PATTERN_CHARS: Final = 1_000
MAX_DEPTH: Final = 128
_NEVER_SEARCHED: Final = ".git"


@dataclass(slots=True)
class _Search:
    pattern: re.Pattern[str]
    glob: re.Pattern[str] | None
    limit: TimeLimit
    matches: list[dict[str, object]] = field(default_factory=list)
    room: int = MAX_MATCHES_JSON_BYTES
    files: int = 0
    skipped: int = 0
    is_full: bool = False

    def add(self, path: str, line: int, text: str) -> bool:
        """Keep a match; False when there is no room for it."""
        if len(text) > MAX_LINE_CHARS:
            text = text[:MAX_LINE_CHARS] + " [cut]"
        match: dict[str, object] = {"path": shown_name(path), "line": line, "text": text}
        self.room -= json_bytes(match) + 1
        if self.room < 0 or len(self.matches) == MAX_MATCHES:
            self.is_full = True
            return False
        self.matches.append(match)
        return True


def search_files(root_fd: int, arguments: Mapping[str, object]) -> dict[str, object]:
    """Search a directory, or one file, for lines that match.

    Links are not followed. A directory or file that is named as ``path`` is
    searched even when a .gitignore names it.

    Returns:
        ``matches`` of ``path``, ``line`` (from 1) and ``text``; ``truncated``;
        ``files``, the number of files searched; ``skipped``, of those that
        were too large or could not be read; ``note``.

    Raises:
        ToolFailedError: The pattern is malformed or takes too long, or the
            path cannot be searched.
    """
    tool = "search_files"
    path = argument.path(arguments, "path", tool=tool, absent=".")
    raw_pattern = argument.text(arguments, "pattern", tool=tool)
    raw_glob = argument.text(arguments, "glob", tool=tool) if arguments.get("glob") else ""
    if max(len(raw_pattern), len(raw_glob)) > MAX_PATTERN_CHARS:
        argument.fail(tool, f"a pattern is longer than {MAX_PATTERN_CHARS} characters")
    try:
        with TimeLimit(TIME_LIMIT_S) as limit:
            with limit.interruptible():
                pattern = _compile(raw_pattern, "pattern")
                glob = _compile(raw_glob, "glob", compiler=compile_glob) if raw_glob else None
            search = _Search(pattern, glob, limit)
            _start(search, root_fd, path)
    except TimeIsUp:
        argument.fail(
            tool,
            f"the search took longer than {TIME_LIMIT_S:g} s; simplify the pattern (nested"
            " repetition backtracks) or narrow 'path' or 'glob'",
        )
    except OSError as error:
        argument.fail(tool, reason_of(error, path))
    note = f"cut after {len(search.matches)} matches; narrow the search" if search.is_full else ""
    return {
        "matches": search.matches,
        "truncated": search.is_full,
        "files": search.files,
        "skipped": search.skipped,
        "note": note,
    }


def _compile(
    raw: str, what: str, *, compiler: Callable[[str], re.Pattern[str]] = re.compile
) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            # What the pattern means today is what it means here.
            warnings.simplefilter("ignore")
            return compiler(raw)
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        argument.fail("search_files", f"{what!r} is malformed: {error or 'too large'}")


def _start(search: _Search, root_fd: int, path: str) -> None:
    fd = open_beneath(root_fd, path, READ_FLAGS)
    try:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            rules = _rules_above(root_fd, path)
            _walk(search, fd, "" if path == "." else path + "/", rules, depth=0)
        elif stat.S_ISREG(status.st_mode):
            _search_file(search, path, read_all(fd, size=status.st_size))
        else:
            argument.fail("search_files", f"{path!r} is neither file nor directory")
    finally:
        os.close(fd)


def _rules_above(root_fd: int, path: str) -> IgnoreRules:
    """Collect the rules of the directories above the one that is searched."""
    rules = IgnoreRules()
    parts = [] if path == "." else path.split("/")
    for depth in range(len(parts)):
        above = "/".join(parts[:depth])
        fd = open_beneath(root_fd, above or ".", DIRECTORY_FLAGS)
        try:
            rules = read_rules(fd, above + "/" if above else "", rules)
        finally:
            os.close(fd)
    return rules


def _walk(search: _Search, fd: int, prefix: str, rules: IgnoreRules, *, depth: int) -> None:
    search.limit.check()
    rules = read_rules(fd, prefix, rules)
    with os.scandir(fd) as found:
        entries = sorted(
            (entry.name, entry.is_dir(follow_symlinks=False))
            for entry in found
            if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)
        )
    for name, is_directory in entries:
        if search.is_full:
            return
        path = prefix + name
        if name == _NEVER_SEARCHED or (
            not is_directory and search.glob is not None and not _glob_admits(search, path)
        ):
            continue
        with search.limit.interruptible():
            is_ignored = rules.ignores(path, is_directory=is_directory)
        if not is_ignored:
            _visit(search, fd, path, rules, is_directory=is_directory, depth=depth)


def _glob_admits(search: _Search, path: str) -> bool:
    with search.limit.interruptible():
        return search.glob is None or search.glob.fullmatch(path) is not None


def _visit(
    search: _Search, fd: int, path: str, rules: IgnoreRules, *, is_directory: bool, depth: int
) -> None:
    name = path.rpartition("/")[2]
    flags = (DIRECTORY_FLAGS if is_directory else READ_FLAGS) | os.O_NOFOLLOW
    try:
        below = os.open(name, flags, dir_fd=fd)
    except OSError:
        search.skipped += 1
        return
    try:
        status = os.fstat(below)
        if is_directory and depth < MAX_DEPTH:
            _walk(search, below, path + "/", rules, depth=depth + 1)
        elif is_directory or status.st_size > MAX_FILE_BYTES or not stat.S_ISREG(status.st_mode):
            search.skipped += 1
        else:
            _search_file(search, path, read_all(below, size=status.st_size))
    finally:
        os.close(below)


def _search_file(search: _Search, path: str, data: bytes) -> None:
    if b"\0" in data[:PROBE_BYTES]:
        return
    search.files += 1
    find = search.pattern.search
    with search.limit.interruptible():
        for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), start=1):
            text = line.removesuffix("\r")
            if find(text) is not None and not search.add(path, number, text):
                return


IMMEDIATE: Final[Mapping[str, Callable[[int, Mapping[str, object]], dict[str, object]]]] = {
    "search_files": search_files,
}
