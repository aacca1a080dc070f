"""Which tools, under which conditions, do understood permission rules leave?

The profile that is made lists what it admits; whatever no rule reaches is not
on the list. Where one rule that forbids takes a part out of what another
allows, and a profile cannot say so, the whole of it is left out.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cleveragents.config import permission_command as command
from cleveragents.config.permission_meaning import (
    EDIT,
    EDITORS,
    FETCH,
    READ_FILE,
    READERS,
    RUN,
    SPAWN,
    WRITE,
    mcp_matches,
)
from cleveragents.policy.host_rule import ANY
from cleveragents.policy.profile import SafetyProfile
from cleveragents.terms.tool import ALL_EFFECTS, TOOL_NAME, Effect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cleveragents.config.permission_meaning import Area, Meaning

NEVER: Final[Mapping[str, object]] = {"not": {}, "description": "never"}
_PROTECTED_DIRECTORIES: Final = (
    r"^(?:[^/]+/)*\.(?:git|claude|vscode|idea|husky|cargo|devcontainer|yarn|mvn)(?:/.*)?$"
)
_PROTECTED_FILES: Final = (
    r"^(?:[^/]+/)*\.(?:bashrc|bash_profile|bash_login|bash_aliases|bash_logout|zshrc|zprofile"
    r"|zshenv|zlogin|zlogout|profile|envrc|gitconfig|gitmodules|mcp\.json|claude\.json|npmrc"
    r"|yarnrc|yarnrc\.yml|pnp\.c?js|pnp\.loader\.mjs|bazelrc|bazelversion"
    r"|pre-commit-config\.yaml|lefthook\.yml|ripgreprc|pryrc)$"
)
PROTECTED: Final = (_PROTECTED_DIRECTORIES, _PROTECTED_FILES)
"""What the source asks about before it is edited, whatever a rule allows."""
_READ: Final = frozenset({Effect.READ})
_EFFECTS: Final[Mapping[str, frozenset[Effect]]] = {
    **dict.fromkeys(READERS, _READ),
    **dict.fromkeys(EDITORS, _READ | {Effect.WRITE}),
    RUN: ALL_EFFECTS - {Effect.SPAWN},
    FETCH: frozenset({Effect.READ, Effect.NETWORK}),
    SPAWN: frozenset({Effect.SPAWN}),
}
"""What a ceiling must hold for each tool; of one that is not named here, everything."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a profile is going to hold."""

    tools: dict[str, None] = field(default_factory=dict)
    where: dict[str, Mapping[str, object]] = field(default_factory=dict)
    hosts: tuple[str, ...] | None = None
    dropped: dict[str, str] = field(default_factory=dict)
    """Allow rules that a rule that forbids took out, and why."""

    def profile(self, name: str, description: str) -> SafetyProfile:
        """Make the profile.

        Raises:
            ConfigurationError: The name cannot be one.
        """
        effects = [_EFFECTS.get(tool, ALL_EFFECTS) for tool in self.tools]
        return SafetyProfile(
            name=name,
            description=description,
            allowed_tools=tuple(self.tools),
            effects=frozenset().union(*effects),
            hosts=self.hosts,
            where=self.where,
        )


@dataclass(frozen=True, slots=True)
class _Rules:
    allowed: tuple[Meaning, ...]
    refusing: tuple[Meaning, ...]
    guards: tuple[Meaning, ...]
    """Asked for elsewhere: what a command could do past the question is refused."""

    def allows(self, area: Area) -> list[Meaning]:
        return [one for one in self.allowed if one.area == area]

    def refuses(self, area: Area) -> list[Meaning]:
        return [one for one in self.refusing if one.area == area]

    def gone(self, area: Area) -> frozenset[str]:
        """The tools that are refused whatever they are called with."""
        return frozenset(tool for one in self.refuses(area) if one.is_whole for tool in one.tools)


def compose(
    allowed: Iterable[Meaning],
    refusing: Iterable[Meaning],
    *,
    guards: Iterable[Meaning],
    mode: str,
) -> Draft:
    """Put the rules of every area together.

    Args:
        allowed: Rules that admit.
        refusing: Rules that forbid; they win.
        guards: Rules on paths whose calls wait for a person: no command may
            read or write behind their back.
        mode: The source's mode: ``acceptEdits`` and ``plan`` matter.
    """
    rules = _Rules(tuple(allowed), tuple(refusing), tuple(guards))
    found = Draft()
    _read(rules, found)
    if mode != "plan":
        _edit(rules, found, is_whole=mode == "acceptEdits")
        _run(rules, found)
        if rules.allows("spawn") and not rules.refuses("spawn"):
            found.tools[SPAWN] = None
        _mcp(rules, found)
    else:
        for one in rules.allowed:
            if one.area in ("edit", "command", "spawn", "mcp"):
                found.dropped[one.rule.text] = "the mode 'plan' only reads"
    hosts = _fetch(rules, found)
    return Draft(found.tools, found.where, hosts, found.dropped)


def _read(rules: _Rules, found: Draft) -> None:
    gone = rules.gone("read")
    hidden = _paths(rules.refuses("read"))
    # A listing and a search show what is in a directory, whatever their path says.
    names = (READ_FILE,) if hidden else READERS
    for tool in names:
        if tool not in gone:
            found.tools[tool] = None
    if hidden and READ_FILE in found.tools:
        found.where[READ_FILE] = _path_schema((), hidden)


def _edit(rules: _Rules, found: Draft, *, is_whole: bool) -> None:
    gone = rules.gone("edit") | rules.gone("read")
    refused = _paths([*rules.refuses("read"), *rules.refuses("edit")])
    refused += tuple((pattern, "asked about before every edit") for pattern in PROTECTED)
    for tool in (WRITE, EDIT):
        allowing = [one for one in rules.allows("edit") if tool in one.tools]
        if tool in gone or not (allowing or is_whole):
            continue
        is_any = is_whole or any(one.is_whole for one in allowing)
        found.tools[tool] = None
        found.where[tool] = _path_schema(() if is_any else _paths(allowing), refused)


def _path_schema(
    allowed: tuple[tuple[str, str], ...], refused: tuple[tuple[str, str], ...]
) -> dict[str, object]:
    path: dict[str, object] = {"not": {"anyOf": _alternatives(refused)}}
    if allowed:
        path["anyOf"] = _alternatives(allowed)
    return {"properties": {"path": path}, "required": ["path"]}


def _alternatives(patterns: tuple[tuple[str, str], ...]) -> list[dict[str, object]]:
    return [{"pattern": pattern, "description": rule} for pattern, rule in patterns]


def _paths(meanings: Iterable[Meaning]) -> tuple[tuple[str, str], ...]:
    return tuple((pattern, one.rule.text) for one in meanings for pattern in one.paths)


def _run(rules: _Rules, found: Draft) -> None:
    allowing = rules.allows("command")
    if not allowing or RUN in rules.gone("command"):
        return
    denied = tuple((one.command, one.rule.text) for one in rules.refuses("command"))
    on_paths = [*rules.refuses("read"), *rules.refuses("edit"), *rules.guards]
    # Also a rule on a path outside: the line of a command may name any.
    guards_files = any(one.area in ("read", "edit") for one in on_paths)
    is_any = any(one.is_whole for one in allowing)
    if not (is_any and not denied and not guards_files):
        found.where[RUN] = command.command_schema(
            tuple((one.command, one.rule.text) for one in allowing if one.command),
            denied,
            is_any_allowed=is_any,
            guards_files=guards_files,
        )
    found.tools[RUN] = None
    for one in allowing:
        if guards_files and command.first_word(one.rule.specifier) in command.FILE_PROGRAMS:
            found.dropped[one.rule.text] = "such a program could pass by a rule on paths"


def _fetch(rules: _Rules, found: Draft) -> tuple[str, ...] | None:
    refusing = rules.refuses("fetch")
    hosts = []
    for one in rules.allows("fetch"):
        by = next((no for no in refusing if no.is_whole or _same_host(one.host, no.host)), None)
        if by is None:
            hosts.append(one.host)
        else:
            found.dropped[one.rule.text] = f"{by.rule.text} takes a part out of it, or all"
    if hosts:
        found.tools[FETCH] = None
        return None if ANY in hosts else tuple(dict.fromkeys(hosts))
    # Commands go through the same list of hosts.
    return () if any(no.host for no in refusing) else None


def _same_host(allowed: str, refused: str) -> bool:
    """Say whether an allowed entry may hold a host that is refused."""
    if ANY not in allowed:
        return fnmatch.fnmatchcase(allowed, refused)
    return ANY in refused or allowed == ANY or refused.endswith(allowed[1:])


def _mcp(rules: _Rules, found: Draft) -> None:
    for one in rules.allows("mcp"):
        exact = []
        for no in rules.refuses("mcp"):
            if not mcp_matches(one.mcp, no.mcp):
                continue
            if one.is_whole and TOOL_NAME.fullmatch(no.mcp) and "__" in no.mcp:
                exact.append(no.mcp)
                continue
            found.dropped[one.rule.text] = f"{no.rule.text} takes a part out of it, or all"
            break
        else:
            found.tools[one.mcp] = None
            for name in exact:
                found.where[name] = NEVER
