"""What does one permission rule mean in terms of the tools that exist here?

A rule that allows never gets a wider meaning than the source gives it; a rule
that denies or asks never a narrower one.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from cleveragents.config import permission_command as command
from cleveragents.config.permission_path import UnreadablePatternError, path_patterns
from cleveragents.config.permission_rule import MCP
from cleveragents.errors import ConfigurationError
from cleveragents.policy import host_rule
from cleveragents.terms.tool import TOOL_NAME

if TYPE_CHECKING:
    from cleveragents.config.permission_path import Frame
    from cleveragents.config.permission_rule import PermissionRule

Area = Literal["read", "edit", "command", "fetch", "spawn", "mcp"]

READ_FILE, LIST, SEARCH = "read_file", "list_directory", "search_files"
WRITE, EDIT = "write_file", "edit_file"
RUN, FETCH, SPAWN = "run_command", "fetch_url", "spawn_subplan"
READERS: Final = (READ_FILE, LIST, SEARCH)
EDITORS: Final = (WRITE, EDIT)
_NOTEBOOKS: Final = r"^.*\.ipynb$"
_HERE: Final[dict[str, tuple[Area, frozenset[str]]]] = {
    "Read": ("read", frozenset((*READERS, *EDITORS))),
    "NotebookRead": ("read", frozenset()),
    "Glob": ("read", frozenset((LIST,))),
    "LS": ("read", frozenset((LIST,))),
    "Grep": ("read", frozenset((SEARCH,))),
    "Edit": ("edit", frozenset(EDITORS)),
    "Write": ("edit", frozenset((WRITE,))),
    "MultiEdit": ("edit", frozenset((EDIT,))),
    "NotebookEdit": ("edit", frozenset()),
    "Bash": ("command", frozenset((RUN,))),
    "WebFetch": ("fetch", frozenset((FETCH,))),
    "Agent": ("spawn", frozenset((SPAWN,))),
    "Task": ("spawn", frozenset((SPAWN,))),
}
"""Tools of the source by their area here, and the tools that a rule without parentheses names."""
_PARAMETER: Final = re.compile(
    r"(command|description|timeout|run_in_background|dangerouslyDisableSandbox):(?!\*$)(.+)"
)
_FOLD: Final = re.compile(r"[^a-z0-9_]")


@dataclass(frozen=True, slots=True)
class Meaning:
    """One rule, understood."""

    rule: PermissionRule
    area: Area | None = None
    """``None``: nothing here does what the rule speaks of."""
    is_whole: bool = False
    """Every use of ``tools``, or of every tool of an MCP server."""
    tools: frozenset[str] = field(default_factory=frozenset)
    paths: tuple[str, ...] = ()
    command: str = ""
    host: str = ""
    """As a ``hosts`` entry; of a rule that forbids, the pattern as written."""
    mcp: str = ""
    """Glob over ``server__tool``."""
    became: str = ""
    reason: str = ""
    is_kept: bool = True

    def lost(self, reason: str) -> Meaning:
        """The same allow rule, not kept."""
        return Meaning(rule=self.rule, became="nothing", reason=reason, is_kept=False)


def meanings_of(rule: PermissionRule, frame: Frame) -> tuple[Meaning, ...]:
    """Understand a rule; a rule that forbids may speak of several areas.

    Raises:
        ConfigurationError: It forbids or asks, and cannot be kept.
    """
    if rule.list == "allow":
        return (_allowing(rule, frame),)
    if rule.is_mcp:
        return (Meaning(rule, "mcp", is_whole=True, mcp=_folded(rule.tool[len(MCP) :])),)
    found = [
        _forbidding(rule, name, area, tools, frame)
        for name, (area, tools) in _HERE.items()
        if fnmatch.fnmatchcase(name, rule.tool)
    ]
    if "*" in rule.tool and _may_be_mcp(rule.tool):
        found.append(Meaning(rule, "mcp", is_whole=True, mcp="*"))
    return tuple(found) or (Meaning(rule, reason="no tool here does that: it is never admitted"),)


def mcp_matches(pattern: str, denied: str) -> bool:
    """Say whether a rule that forbids may match something that an allowed name or pattern names.

    >>> mcp_matches("git__push", "git"), mcp_matches("git__*", "git__push")
    (True, True)
    >>> mcp_matches("git__push", "github")
    False
    """
    # 'mcp__git' forbids the whole server.
    return _overlap(pattern, denied if "__" in denied or "*" in denied else f"{denied}__*")


def _overlap(one: str, other: str) -> bool:
    if "*" not in one:
        return fnmatch.fnmatchcase(one, other)
    heads = (one.partition("*")[0], re.split(r"[*?\[]", other)[0])
    return heads[0].startswith(heads[1]) or heads[1].startswith(heads[0])


def _may_be_mcp(pattern: str) -> bool:
    head = pattern.partition("*")[0]
    return MCP.startswith(head) or head.startswith(MCP)


def _folded(name: str) -> str:
    """A name as a tool here could be called: what is forbidden is so under every spelling."""
    return "".join(c if c in "*?" else _FOLD.sub("_", c) for c in name.lower())


# -- rules that deny or ask ---------------------------------------------------------


def _forbidding(
    rule: PermissionRule, name: str, area: Area, tools: frozenset[str], frame: Frame
) -> Meaning:
    if area in ("read", "edit"):
        return _forbidding_path(rule, name, area, tools, frame)
    if not rule.specifier:
        return Meaning(rule, area, is_whole=True, tools=tools)
    if area == "command":
        return _forbidding_command(rule)
    if area == "fetch" and rule.specifier.startswith("domain:"):
        host = rule.specifier.removeprefix("domain:").lower().rstrip(".")
        return Meaning(rule, area, host=host)
    reason = "what stands in its parentheses cannot be told apart here: all of it is refused"
    return Meaning(rule, area, is_whole=True, tools=tools, reason=reason)


def _forbidding_path(
    rule: PermissionRule, name: str, area: Area, tools: frozenset[str], frame: Frame
) -> Meaning:
    if not rule.specifier:
        if name.startswith("Notebook"):
            return Meaning(rule, area, paths=(_NOTEBOOKS,))
        return Meaning(rule, area, is_whole=True, tools=tools)
    try:
        paths = path_patterns(rule.specifier, frame, forbids=True)
    except UnreadablePatternError as error:
        raise rule.lost(str(error)) from error
    reason = "" if paths else "outside of the workspace: no tool that names paths reaches it"
    return Meaning(rule, area, paths=paths, reason=reason)


def _forbidding_command(rule: PermissionRule) -> Meaning:
    parameter = _PARAMETER.fullmatch(rule.specifier)
    if parameter is None:
        return Meaning(rule, "command", command=command.deny_pattern(rule.specifier))
    match parameter[1], parameter[2]:
        case "command", pattern:
            # The source ignores it; what was meant is plain.
            return Meaning(rule, "command", command=command.deny_pattern(pattern))
        case "run_in_background", "true":
            return Meaning(rule, reason="no command runs in the background here")
    reason = f"{parameter[1]} is no argument here: every command is refused"
    return Meaning(rule, "command", is_whole=True, tools=frozenset((RUN,)), reason=reason)


# -- rules that allow ---------------------------------------------------------------


def _allowing(rule: PermissionRule, frame: Frame) -> Meaning:
    if rule.is_mcp:
        return _allowing_mcp(rule)
    found = _HERE.get(rule.tool)
    if found is None:
        return Meaning(rule).lost("no tool here does that")
    area, tools = found
    if area == "read":
        reason = "reading the workspace is admitted anyway"
        return Meaning(rule, area, became="(nothing to add)", reason=reason)
    if area == "edit":
        return _allowing_edit(rule, tools, frame)
    if area == "spawn":
        whole = Meaning(rule, area, is_whole=True, tools=tools, became=SPAWN)
        unlike = "kinds of agents cannot be told apart here"
        return whole.lost(unlike) if rule.specifier else whole
    return _allowing_command(rule) if area == "command" else _allowing_fetch(rule)


def _allowing_edit(rule: PermissionRule, tools: frozenset[str], frame: Frame) -> Meaning:
    names = ", ".join(one for one in EDITORS if one in tools)
    if not tools:
        return Meaning(rule).lost("no tool here edits notebooks")
    if not rule.specifier:
        return Meaning(rule, "edit", is_whole=True, tools=tools, became=names)
    if rule.tool != "Edit":
        return Meaning(rule).lost(
            f"the source does not consult paths of {rule.tool}; write Edit({rule.specifier})"
        )
    try:
        paths = path_patterns(rule.specifier, frame, forbids=False)
    except UnreadablePatternError as error:
        return Meaning(rule).lost(str(error))
    if not paths:
        return Meaning(rule).lost("outside of the workspace: no plan reaches it")
    became = f"{names} where path matches {' or '.join(paths)}"
    return Meaning(rule, "edit", tools=tools, paths=paths, became=became)


def _allowing_command(rule: PermissionRule) -> Meaning:
    if not rule.specifier:
        return Meaning(rule, "command", is_whole=True, tools=frozenset((RUN,)), became=RUN)
    if _PARAMETER.fullmatch(rule.specifier):
        return Meaning(rule).lost("the source takes parameters in rules that forbid only")
    pattern = command.allow_pattern(rule.specifier)
    if pattern is None:
        return Meaning(rule).lost("it is no single simple command; only such are admitted")
    word = command.first_word(rule.specifier)
    if word in command.NEVER_FIRST:
        return Meaning(rule).lost(f"{word} starts another command, which the source looks at")
    became = f"{RUN} where command matches {pattern}, and is one simple command"
    return Meaning(rule, "command", command=pattern, became=became)


def _allowing_fetch(rule: PermissionRule) -> Meaning:
    domain = rule.specifier.removeprefix("domain:").lower().rstrip(".")
    if rule.specifier and (domain == rule.specifier or not domain):
        return Meaning(rule).lost("it is not of the form domain:HOST")
    try:
        host = host_rule.normalise_entry(domain or host_rule.ANY)
    except ConfigurationError as error:
        return Meaning(rule).lost(error.problem)
    return Meaning(rule, "fetch", host=host, became=f"{FETCH} with host {host}")


def _allowing_mcp(rule: PermissionRule) -> Meaning:
    name = rule.tool[len(MCP) :]
    if rule.specifier:
        return Meaning(rule).lost("the source skips an MCP rule with parentheses")
    if "__" not in name:
        name += "__*"
    plain = name.removesuffix("*")
    if not TOOL_NAME.fullmatch(plain) or plain.startswith("__"):
        return Meaning(rule).lost("no tool here can have that name (a-z, 0-9 and '_')")
    return Meaning(rule, "mcp", is_whole=name.endswith("*"), mcp=name, became=name)
