"""Which permission rules does a Claude Code settings file hold?

Reads ``permissions: {allow, deny, ask, defaultMode, ...}`` of a
``settings.json``. Nothing is guessed: a rule that forbids or asks and cannot be
read is an error, because leaving it out would admit what it forbids.

Source:
    Claude Code, "Configure permissions" (code.claude.com/docs/en/permissions),
    read in its version of autumn 2026.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from cleveragents.config.yaml_file import decode, read_bytes
from cleveragents.errors import ConfigurationError
from cleveragents.policy.spelling import shown
from cleveragents.policy.suggestion import closest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RuleList = Literal["deny", "ask", "allow"]
LISTS: Final[tuple[RuleList, ...]] = ("deny", "ask", "allow")
"""In the order in which the source reads them; the first list that matches decides."""
MCP: Final = "mcp__"
_RULE: Final = re.compile(r"(?P<tool>[A-Za-z0-9_*?.:@ -]+?)(?:\((?P<specifier>.*)\))?", re.DOTALL)
_PLAIN_KEYS: Final = ("defaultMode", "additionalDirectories", "disableBypassPermissionsMode")
_BESIDE: Final = ("hooks", "sandbox")
"""Settings beside the permissions that also decide what runs."""
MODES: Final = ("default", "manual", "acceptEdits", "plan", "auto", "dontAsk", "bypassPermissions")


@dataclass(frozen=True, slots=True)
class PermissionRule:
    """One rule as it was written."""

    list: RuleList
    text: str
    tool: str
    """``Bash``, ``Read``, ``mcp__github__get_issue``; may hold ``*`` in a list that forbids."""
    specifier: str
    """What stands in the parentheses; empty: every use of the tool."""
    where: str
    """File and key path, for errors."""

    @property
    def is_mcp(self) -> bool:
        """Say whether an MCP server's tools are meant."""
        return self.tool.startswith(MCP)

    def lost(self, why: str) -> ConfigurationError:
        """The error about a rule that forbids or asks and cannot be kept."""
        return ConfigurationError(
            problem=f"the {self.list} rule {shown(self.text)} cannot be kept: {why}",
            where=self.where,
            hint="write it another way, or take it out if nothing is to be forbidden",
        )


@dataclass(frozen=True, slots=True)
class PermissionSettings:
    """The permissions of one file."""

    rules: tuple[PermissionRule, ...]
    """Those that could be read; of ``deny`` and ``ask`` that is all of them."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """Allow rules that could not be read, and why."""
    mode: str = "default"
    directories: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """One sentence for each thing in the file that is not taken over."""

    def of(self, *lists: RuleList) -> tuple[PermissionRule, ...]:
        """The rules of some lists, in the file's order."""
        return tuple(rule for rule in self.rules if rule.list in lists)


def load_permissions(path: Path) -> PermissionSettings:
    """Read a settings file.

    Raises:
        ConfigurationError: It is no JSON object, a key stands there twice, or
            a rule that forbids or asks cannot be read; says where.
    """
    name = str(path)
    return parse_permissions(_json(decode(read_bytes(path), name), name), name=name)


def parse_permissions(raw: object, *, name: str) -> PermissionSettings:
    """Read settings that are parsed JSON already.

    Args:
        raw: As the file holds it.
        name: What errors call it.

    Raises:
        ConfigurationError: As ``load_permissions``.
    """
    settings = _mapping(raw, name)
    if "permissions" not in settings:
        raise ConfigurationError(
            problem="holds no permissions",
            where=name,
            hint="""expected {"permissions": {"allow": [...], "deny": [...], "ask": [...]}}""",
        )
    where = f"{name}: permissions"
    found = _mapping(settings["permissions"], where)
    notes = [f"{key}: not taken over; it may forbid more" for key in _BESIDE if key in settings]
    notes += _unknown_keys(found, where)
    rules: list[PermissionRule] = []
    unreadable: list[tuple[str, str]] = []
    for which in LISTS:
        for index, item in enumerate(_items(found.get(which, []), f"{where}.{which}")):
            rule = _rule(which, item, f"{where}.{which}[{index}]")
            if isinstance(rule, PermissionRule):
                rules.append(rule)
            else:
                unreadable.append((shown(item), rule))
    return PermissionSettings(
        rules=tuple(rules),
        unreadable=tuple(unreadable),
        mode=_mode(found, where),
        directories=_directories(found, where),
        notes=tuple(notes),
    )


def _rule(which: RuleList, item: object, where: str) -> PermissionRule | str:
    """Read one rule; for an allow rule that cannot be read, why."""
    problem = ""
    matched = _RULE.fullmatch(item) if isinstance(item, str) else None
    if matched is None:
        problem = "it is not of the form 'Tool' or 'Tool(specifier)'"
    elif matched["specifier"] is not None and not matched["specifier"].strip():
        problem = "its parentheses are empty"
    elif "\0" in matched[0]:
        problem = "it holds a NUL"
    if matched is None or problem:
        if which == "allow":
            return problem
        raise PermissionRule(which, str(item), "", "", where).lost(problem)
    # 'Bash(*)' is another spelling of 'Bash'.
    specifier = matched["specifier"] or ""
    return PermissionRule(
        list=which,
        text=matched[0],
        tool=matched["tool"].strip(),
        specifier="" if specifier.strip() in {"*", ":*"} else specifier,
        where=where,
    )


def _unknown_keys(found: dict[str, object], where: str) -> Iterable[str]:
    for key, value in found.items():
        if key in LISTS or key in _PLAIN_KEYS:
            continue
        meant = closest(key, (*LISTS, *_PLAIN_KEYS), likeness=0.6)
        if meant or isinstance(value, list):
            # A misspelt 'deny' would forbid nothing, in silence.
            raise ConfigurationError(
                problem=f"unknown key {shown(key)}",
                where=where,
                hint=f"did you mean {meant!r}?" if meant else f"known lists: {', '.join(LISTS)}",
            )
        yield f"permissions.{key}: not taken over"


def _mode(found: dict[str, object], where: str) -> str:
    mode = found.get("defaultMode", "default")
    if mode not in MODES:
        raise ConfigurationError(
            problem=f"unknown mode {shown(mode)}",
            where=f"{where}.defaultMode",
            hint=f"known: {', '.join(MODES)}",
        )
    return str(mode)


def _directories(found: dict[str, object], where: str) -> tuple[str, ...]:
    listed = _items(found.get("additionalDirectories", []), f"{where}.additionalDirectories")
    return tuple(item if isinstance(item, str) else shown(item) for item in listed)


def _json(text: str, name: str) -> object:
    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        mapping = dict(found)
        if len(mapping) != len(found):
            names = [key for key, _ in found]
            twice = next(key for key in names if names.count(key) > 1)
            # The second would win, and the rules of the first would be gone.
            raise ConfigurationError(problem=f"the key {shown(twice)} stands twice", where=name)
        return mapping

    try:
        value: object = json.loads(text, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(problem=f"is no JSON: {error}", where=name) from error
    return value


def _mapping(raw: object, where: str) -> dict[str, object]:
    if not isinstance(raw, dict):
        raise ConfigurationError(problem="expected a JSON object", where=where)
    return raw


def _items(raw: object, where: str) -> list[object]:
    if not isinstance(raw, list):
        raise ConfigurationError(problem="expected a list", where=where)
    return raw
