r"""Which command lines do ``Bash(...)`` rules admit? Regular expressions over one simple command.

``run_command`` hands its string to ``sh``. A rule of the source is matched
against each part of a compound command; a regular expression cannot take one
apart, so a condition that is made here admits a single simple command only:
words, each bare or quoted as a whole, one space between them. No ``;``, ``&``,
``|``, ``$``, backquote, backslash, redirection, glob, ``~``, ``#``, brace,
line feed, leading assignment: nothing by which a second command could come in.

Source:
    Claude Code, "Configure permissions", Bash; IEEE 1003.1, Shell Command Language.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cleveragents.config.permission_path import escaped

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_COMMAND_CHARS: Final = 10_000
"""Longer ones always prompt in the source."""
_WORD: Final = (
    r"(?:[A-Za-z0-9_@%+=:,./-]+"
    r"|'[^'\x00-\x1f\x7f]*'"
    r'|"[^"$`\\!\x00-\x1f\x7f]*")'
)
SIMPLE: Final = rf"^[A-Za-z0-9_./+-][A-Za-z0-9_@%+:,./-]*(?: {_WORD})*$"
"""One simple command; its first word is bare and assigns nothing."""
_SIMPLE: Final = re.compile(SIMPLE)

# What the source takes off before it matches ("timeout 5 rm x" is "rm x"), and what it always
# asks about: neither can be told by a pattern over the line.
_WRAPPERS: Final = ("builtin", "command", "nice", "noglob", "nohup", "stdbuf", "time", "timeout")
_ALWAYS_ASKED: Final = ("flock", "ionice", "setsid", "watch", "xargs")
NEVER_FIRST: Final = tuple(sorted((*_WRAPPERS, *_ALWAYS_ASKED)))
FILE_PROGRAMS: Final = (
    *("awk", "bat", "cat", "chmod", "chown", "cmp", "comm", "cp", "csplit", "cut", "dd", "diff"),
    *("du", "ed", "egrep", "ex", "fgrep", "file", "find", "fold", "gawk", "grep", "gunzip"),
    *("gzip", "head", "install", "less", "link", "ln", "ls", "md5sum", "mkdir", "more", "mv"),
    *("nano", "nl", "od", "open", "paste", "readlink", "rg", "rm", "rmdir", "rsync", "sed"),
    *("sha1sum", "sha256sum", "shred", "shuf", "sort", "split", "stat", "strings", "tac", "tail"),
    *("tar", "tee", "touch", "tree", "truncate", "uniq", "unlink", "unzip", "vi", "view", "vim"),
    *("wc", "xxd", "zcat", "zip"),
)
"""Programs whose arguments the source may compare with its rules on paths."""
_RUNNERS: Final = (
    *(".", "bash", "bunx", "busybox", "chroot", "csh", "dash", "doas", "env", "eval", "exec"),
    *("fish", "ksh", "node", "npx", "parallel", "perl", "pwsh", "python", "python2", "python3"),
    *("ruby", "script", "sh", "source", "ssh", "su", "sudo", "tcsh", "trap", "uvx", "zsh"),
)
"""Programs that run what their arguments say."""


def is_simple(command: str) -> bool:
    """Say whether a command line is one that a condition can admit.

    >>> is_simple("npm run 'test unit'"), is_simple("npm test; rm x"), is_simple("A=1 npm")
    (True, False, False)
    """
    return _SIMPLE.fullmatch(command) is not None


def first_word(pattern: str) -> str:
    """The program that a rule's pattern begins with, without its directory; empty: any."""
    word = _plain(pattern).partition(" ")[0]
    return "" if "*" in word else word.rpartition("/")[2]


def allow_pattern(specifier: str) -> str | None:
    """What an allow rule admits, as a regular expression; ``None`` when no simple command.

    >>> allow_pattern("npm run test:*")
    '^npm run test(?: .*)?$'
    >>> allow_pattern("git * main"), allow_pattern("make && rm x") is None
    ('^git .* main$', True)
    """
    pattern = _plain(specifier)
    if not is_simple(pattern.replace("*", "x")):
        return None
    return f"^{_tailed(pattern, _starred)}$"


def deny_pattern(specifier: str) -> str:
    """What a rule that forbids matches, as a regular expression over simple commands.

    Each word may be quoted as a whole: the shell takes the quotes off, and the
    rule is not to be passed by them.

    >>> re.search(deny_pattern("git push *"), "git 'push' origin") is not None
    True
    """
    return f"^{_tailed(' '.join(_plain(specifier).split()), _quotable)}$"


def command_schema(
    allowed: tuple[tuple[str, str], ...],
    denied: tuple[tuple[str, str], ...],
    *,
    is_any_allowed: bool,
    guards_files: bool,
) -> dict[str, object]:
    """Give the condition on ``run_command``.

    Args:
        allowed: Pattern and rule of each allow rule.
        denied: Pattern and rule of each rule that forbids.
        is_any_allowed: Every command is allowed but for ``denied``.
        guards_files: Some paths may not be read or written: no program that
            the source would compare with them is admitted.
    """
    admitted = _described(allowed)
    if is_any_allowed:
        admitted.append({"not": {"pattern": _first(_RUNNERS)}, "description": "Bash"})
    refused = _described(
        (
            (_first(NEVER_FIRST), "starts another command"),
            (_FIND_RUNS, "find that runs or deletes"),
            (_OUTSIDE, "a program that reads or writes files, with a path outside"),
            *denied,
        )
    )
    if guards_files:
        refused += _described(((_first(FILE_PROGRAMS), "reads or writes files by name"),))
    return {
        "properties": {
            "command": {
                "type": "string",
                "maxLength": MAX_COMMAND_CHARS,
                "pattern": SIMPLE,
                "anyOf": admitted,
                "not": {"anyOf": refused},
            }
        },
        "required": ["command"],
    }


def _described(patterns: tuple[tuple[str, str], ...]) -> list[dict[str, object]]:
    return [{"pattern": pattern, "description": what} for pattern, what in patterns]


def _first(programs: tuple[str, ...]) -> str:
    return f"^(?:[^ ]*/)?(?:{'|'.join(map(escaped, programs))})(?: .*)?$"


_FIND_RUNS: Final = (
    r"""^(?:[^ ]*/)?find .*["' ]-(?:exec|execdir|ok|okdir|delete|fls|fprint|fprint0|fprintf)"""
    r"""(?:["' ].*)?$"""
)


_OUTSIDE: Final = (
    f"""{_first(FILE_PROGRAMS).removesuffix("(?: .*)?$")}(?: .*)?(?:[ "'=:]/|[.][.])"""
)


def _plain(specifier: str) -> str:
    """The old spelling of a prefix, ``npm run:*``, in the new one."""
    return specifier[:-2] + " *" if specifier.endswith(":*") else specifier


def _tailed(pattern: str, translate: Callable[[str], str]) -> str:
    """Translate; a last word ``*`` also stands for nothing at all."""
    if pattern.endswith(" *"):
        return f"{translate(pattern[:-2])}(?: .*)?"
    return translate(pattern)


def _starred(text: str) -> str:
    return ".*".join(map(escaped, text.split("*")))


def _quotable(text: str) -> str:
    return " ".join(f"""["']?{_starred(word)}["']?""" for word in text.split(" "))
