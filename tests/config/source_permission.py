"""What Claude Code's permission rules mean, written a second time and in another way.

The import turns rules into regular expressions and lists. Here a call is
judged by the rules themselves: a command is taken apart, a pattern is walked
segment by segment. Where the source's documentation leaves something open,
the stricter reading is taken, since the import is never to be wider.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT, HOME = "/work/project", "/home/me"
FILE_COMMANDS = ("cat", "head", "tail", "sed", "tee", "grep", "find")
WRAPPERS = ("timeout", "time", "nice", "nohup", "stdbuf", "command", "builtin", "xargs")
ALWAYS_ASKED = ("watch", "setsid", "ionice", "flock")
PROTECTED = (".git", ".claude", ".vscode", ".idea", ".husky")


@dataclass(frozen=True)
class Call:
    """One call as the source would see it."""

    tool: str
    value: str


def verdict(permissions: Mapping[str, Any], call: Call) -> str:  # noqa: PLR0911  # one for each stage
    """``deny``, ``ask`` or ``allow``; what prompts without a rule is ``prompt``."""
    if any(_matches(rule, call, forbids=True) for rule in permissions.get("deny", ())):
        return "deny"
    mode = permissions.get("defaultMode", "default")
    if any(_matches(rule, call, forbids=True) for rule in permissions.get("ask", ())):
        return "deny" if mode == "dontAsk" else "ask"
    if call.tool in ("Read", "Grep", "Glob"):
        return "allow" if _inside(call.value) else "prompt"
    if mode == "plan" and call.tool != "WebFetch":
        return "prompt"
    if call.tool in ("Edit", "Write"):
        if any(part in PROTECTED for part in call.value.split("/")):
            return "prompt"
        if mode == "acceptEdits" and _inside(call.value):
            return "allow"
    if call.tool == "Bash":
        return "allow" if _all_allowed(permissions.get("allow", ()), call.value) else "prompt"
    allowed = any(_matches(rule, call, forbids=False) for rule in permissions.get("allow", ()))
    return "allow" if allowed else "prompt"


def _matches(rule: str, call: Call, *, forbids: bool) -> bool:  # noqa: PLR0911  # one for each tool
    tool, _, rest = rule.partition("(")
    specifier = rest[:-1]
    if specifier in ("*", ":*"):
        specifier = ""
    if tool.startswith("mcp__"):
        name = tool[5:]
        if call.tool != "mcp":
            return False
        return fnmatch.fnmatchcase(call.value, name if "__" in name else f"{name}__*")
    if call.tool == "mcp":
        return forbids and tool == "*"
    if forbids and tool == "*":
        return True
    if call.tool == "Bash":
        if tool == "Bash":
            return _command_matches(specifier, call.value, forbids=forbids)
        # The file commands that the source knows are held against rules on paths.
        return forbids and tool in ("Read", "Edit") and _names_path(specifier, call.value)
    if call.tool == "WebFetch":
        return tool == "WebFetch" and _host_matches(specifier, call.value)
    if call.tool in ("Read", "Grep", "Glob"):
        names = {"Read", call.tool}
        return tool in names and _path_matches(specifier, call.value, forbids=forbids)
    if call.tool in ("Edit", "Write"):
        if tool == call.tool and not specifier:
            return True
        names = {"Edit", "Read"} if forbids else {"Edit"}
        return tool in names and _path_matches(specifier, call.value, forbids=forbids)
    return tool in ("Task", "Agent") and call.tool == "Task"


# -- commands -------------------------------------------------------------------------


def parts_of(command: str) -> list[str] | None:
    """The simple commands of a line; ``None`` when it holds what cannot be looked into."""
    parts, current, quote = [], "", ""
    for character in command:
        if quote:
            quote = "" if character == quote else quote
            if quote == '"' and character in "$`\\":
                return None
            current += character
        elif character in "'\"":
            quote = character
            current += character
        elif character in "$`\\<>(){}~*?[#\r\0":
            return None
        elif character in ";&|\n":
            parts.append(current)
            current = ""
        else:
            current += character
    return None if quote else [part.strip() for part in (*parts, current) if part.strip()]


def _stripped(command: str) -> str:
    """Without leading assignments and wrappers."""
    words = command.split(" ")
    while words:
        if re.fullmatch(r"[A-Za-z_]\w*=\S*", words[0]):
            words = words[1:]
        elif words[0] in WRAPPERS:
            words = words[1:]
            while words and (words[0].startswith("-") or words[0].isdigit()):
                words = words[1:]
        else:
            break
    return " ".join(words)


def _command_matches(specifier: str, command: str, *, forbids: bool) -> bool:
    if not specifier:
        return True
    rough = re.split(r"[;&|\n]+", command)
    parts = [part.strip() for part in rough] if forbids else [command]
    shown = [one for part in parts for one in (part, _stripped(part), _unquoted(part))]
    return any(_glob(specifier, one) for one in shown)


def _unquoted(command: str) -> str:
    try:
        return " ".join(shlex.split(command))
    except ValueError:
        return command


def _glob(specifier: str, command: str) -> bool:
    if specifier.endswith(":*"):
        specifier = specifier[:-2] + " *"
    if specifier.endswith(" *") and command == specifier[:-2]:
        return True
    return fnmatch.fnmatchcase(command, specifier.replace("[", "[[]").replace("?", "[?]"))


def _all_allowed(rules: Sequence[str], command: str) -> bool:
    specifiers = [rule.partition("(")[2][:-1] for rule in rules if rule.partition("(")[0] == "Bash"]
    if any(one in ("", "*", ":*") for one in specifiers):
        return True
    parts = parts_of(command)
    if not parts or len(command) > 10_000:
        return False
    for part in parts:
        words = part.split(" ")
        if words[0] in ALWAYS_ASKED:
            return False
        if words[0] == "find" and any(w in ("-exec", "-delete") for w in words):
            return False
        if not any(_glob(one, part) for one in specifiers):
            return False
    return True


def _names_path(specifier: str, command: str) -> bool:
    for part in re.split(r"[;&|\n]+", command):
        words = _unquoted(_stripped(part.strip())).split(" ")
        if words[0] not in FILE_COMMANDS:
            continue
        if not specifier:
            return True
        for word in words[1:]:
            path = posixpath.normpath(posixpath.join(ROOT, word))
            if path.startswith(ROOT + "/"):
                path = path[len(ROOT) + 1 :]
            if _path_matches(specifier, path, forbids=True):
                return True
    return False


# -- hosts and paths --------------------------------------------------------------------


def _host_matches(specifier: str, host: str) -> bool:
    if not specifier:
        return True
    domain = specifier.removeprefix("domain:").lower()
    if domain.startswith("*."):
        return host.endswith(domain[1:])
    return domain in ("*", host)


def _inside(path: str) -> bool:
    return not path.startswith("/") and ".." not in path.split("/")


def _path_matches(specifier: str, path: str, *, forbids: bool) -> bool:
    if not specifier:
        return True
    absolute = path if path.startswith("/") else f"{ROOT}/{path}"
    if specifier.startswith("//"):
        return _walk(specifier[2:].split("/"), absolute[1:].split("/"))
    if specifier.startswith("~/"):
        return _walk((HOME + specifier[1:])[1:].split("/"), absolute[1:].split("/"))
    if path.startswith("/"):
        return False
    parts = path.split("/")
    if specifier.startswith("/"):
        return _walk(specifier[1:].split("/"), parts)
    plain = specifier.removeprefix("./")
    segments = plain.rstrip("/").split("/")
    is_bare = len(segments) == 1 and not plain.endswith("/")
    is_single = len([one for one in segments if one != "**"]) == 1
    if plain.endswith("/"):
        segments.append("**")
    floats = is_bare or (forbids and is_single)
    starts = range(len(parts)) if floats and segments[0] != "**" else range(1)
    return any(_walk(segments, parts[start:]) for start in starts)


def _walk(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Say whether a pattern matches a path, or a directory that it lies in."""
    if not pattern:
        return True
    if pattern[0] == "**":
        if len(pattern) == 1:
            return True
        return any(_walk(pattern[1:], parts[n:]) for n in range(len(parts)))
    if not parts or not fnmatch.fnmatchcase(parts[0], pattern[0]):
        return False
    return _walk(pattern[1:], parts[1:])
