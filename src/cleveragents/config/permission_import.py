"""From a Claude Code settings file to a safety profile, never a wider one.

The profile admits no call that the source would deny, and none that it would
not allow without asking. What the source asks about is refused by the profile;
it stands in the automation profile, whose own safety profile admits it and
whose ``approvals`` let it wait for a person.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from cleveragents.config import permission_draft as draft
from cleveragents.config.permission_meaning import (
    EDITORS,
    FETCH,
    READERS,
    RUN,
    SPAWN,
    mcp_matches,
    meanings_of,
)
from cleveragents.policy.profile import to_mapping
from cleveragents.terms.tool import TOOL_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cleveragents.config.permission_draft import Draft
    from cleveragents.config.permission_meaning import Meaning
    from cleveragents.config.permission_path import Frame
    from cleveragents.config.permission_rule import PermissionRule, PermissionSettings, RuleList
    from cleveragents.policy.profile import SafetyProfile

_ASKING: Final = "-asking"
_MAX_NAME: Final = 64
_MODES: Final[Mapping[str, tuple[str, bool, str]]] = {
    "default": ("reading the workspace is admitted, the rest by rule", True, ""),
    "manual": ("reading the workspace is admitted, the rest by rule", True, ""),
    "acceptEdits": ("write_file, edit_file are admitted; no command is", True, ""),
    "plan": ("only reading and fetching are admitted", True, ""),
    "dontAsk": ("what the source asks about is refused", True, ""),
    "auto": ("as default", False, "what its classifier lets through is not known here"),
    "bypassPermissions": (
        "as default",
        False,
        "an import never admits everything; --safety-profile unrestricted does",
    ),
}


@dataclass(frozen=True, slots=True)
class ImportedRule:
    """What became of one line of the settings."""

    rule: str
    list: str
    """``deny``, ``ask``, ``allow``, or the key of a setting that is no rule."""
    became: str
    kept: bool
    reason: str = ""

    def to_mapping(self) -> dict[str, object]:
        """Plain JSON."""
        return {
            "rule": self.rule,
            "list": self.list,
            "became": self.became,
            "kept": self.kept,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class ImportedPermissions:
    """The outcome of an import."""

    profile: SafetyProfile
    asking: SafetyProfile
    """That of the automation profile: with what the source asks about."""
    automation: Mapping[str, object]
    """As an automation profile's file holds it."""
    rules: tuple[ImportedRule, ...]
    notes: tuple[str, ...]


def import_permissions(
    settings: PermissionSettings, frame: Frame, *, name: str
) -> ImportedPermissions:
    """Turn permissions into a profile for one workspace.

    Args:
        settings: The rules.
        frame: Workspace, home and settings file, where paths start from.
        name: Name of both profiles.

    Raises:
        ConfigurationError: A rule that denies or asks cannot be kept, or the
            name is none.
    """
    denied, asked, allowed = (
        _meanings(settings, which, frame) for which in ("deny", "ask", "allow")
    )
    mode = settings.mode if _MODES[settings.mode][1] else "default"
    strict = draft.compose(allowed, (*denied, *asked), guards=(), mode=mode)
    described = f"imported from Claude Code permissions for {frame.root}"
    profile = strict.profile(name, described)
    approvals: tuple[str, ...] = ()
    asking = profile
    if asked and mode != "dontAsk":
        approvable = tuple(one for one in asked if _approvals((one,)))
        others = tuple(one for one in asked if one not in approvable)
        asking = draft.compose(
            (*allowed, *_as_allowed(approvable, frame)),
            (*denied, *others),
            guards=approvable,
            mode=mode,
        ).profile(f"{name[: _MAX_NAME - len(_ASKING)]}{_ASKING}", described)
        admitted = asking.allowed_tools or ()
        approvals = tuple(one for one in _approvals(approvable) if one in admitted)
    automation: dict[str, object] = {"name": name, "safety_profile": to_mapping(asking)}
    if approvals:
        automation["approvals"] = list(approvals)
    return ImportedPermissions(
        profile=profile,
        asking=asking,
        automation=automation,
        rules=(
            *_told(denied, strict),
            *_told(asked, strict, approvals=approvals),
            *_told(allowed, strict),
            *(
                ImportedRule(text, "allow", "nothing", kept=False, reason=why)
                for text, why in settings.unreadable
            ),
            *_settings_told(settings),
        ),
        notes=settings.notes,
    )


def _meanings(settings: PermissionSettings, which: RuleList, frame: Frame) -> tuple[Meaning, ...]:
    return tuple(one for rule in settings.of(which) for one in meanings_of(rule, frame))


def _as_allowed(asked: Iterable[Meaning], frame: Frame) -> Iterable[Meaning]:
    """What a person may say yes to, in its narrow reading."""
    rules = dict.fromkeys(one.rule for one in asked)
    return [one for rule in rules for one in meanings_of(replace(rule, list="allow"), frame)]


def _approvals(asked: Iterable[Meaning]) -> tuple[str, ...]:
    """The tools of rules that ask; approvals are by tool, so their other calls wait too."""
    found: dict[str, None] = {}
    for one in asked:
        match one.area:
            case "read":
                # The source's rules on reading hold for edits, too.
                found |= dict.fromkeys((*READERS, *EDITORS))
            case "edit":
                found |= dict.fromkeys(EDITORS)
            case "command":
                found[RUN] = None
            case "fetch":
                found[FETCH] = None
            case "spawn":
                found[SPAWN] = None
            case "mcp" if TOOL_NAME.fullmatch(one.mcp) and "__" in one.mcp:
                found[one.mcp] = None
            case _:
                pass
    return tuple(found)


def _told(
    meanings: tuple[Meaning, ...], strict: Draft, approvals: tuple[str, ...] = ()
) -> Iterable[ImportedRule]:
    """One line for each rule, whatever number of areas it speaks of."""
    by_rule: dict[PermissionRule, list[Meaning]] = {}
    for one in meanings:
        by_rule.setdefault(one.rule, []).append(one)
    for rule, found in by_rule.items():
        reasons = list(dict.fromkeys(one.reason for one in found if one.reason))
        dropped = strict.dropped.get(rule.text, "") if rule.list == "allow" else ""
        if rule.list == "allow":
            became = "nothing" if dropped else found[0].became
        else:
            became = "; ".join(dict.fromkeys(_refusal(one, strict) for one in found))
        waiting = [name for name in _approvals(found) if name in approvals]
        if rule.list == "ask" and waiting:
            became += f"; in the automation profile: approvals {', '.join(waiting)}"
        yield ImportedRule(
            rule=rule.text,
            list=rule.list,
            became=became,
            kept=found[0].is_kept and not dropped,
            reason="; ".join([*([dropped] if dropped else []), *reasons]),
        )


def _refusal(one: Meaning, strict: Draft) -> str:  # noqa: PLR0911  # one sentence for each kind
    """What a rule that denies or asks became in the profile."""
    paths = " or ".join(one.paths)
    names = [name for name in strict.where if one.mcp and mcp_matches(name, one.mcp)]
    if one.area == "mcp":
        return f"{', '.join(names) or one.mcp} not admitted"
    if one.is_whole:
        return f"{', '.join(sorted(one.tools))} not admitted"
    if one.command:
        return f"run_command refuses a command that matches {one.command}"
    if one.host:
        return f"hosts without {one.host}"
    if one.area is None:
        return "(nothing to refuse)"
    if not paths:
        return "programs that read or write files by name are not admitted"
    if one.area == "edit":
        return (
            f"write_file, edit_file refuse a path that matches {paths}; programs that write files"
            " by name are not admitted"
        )
    return (
        f"read_file, write_file, edit_file refuse a path that matches {paths}; list_directory,"
        " search_files and programs that read files by name are not admitted"
    )


def _settings_told(settings: PermissionSettings) -> Iterable[ImportedRule]:
    became, is_kept, reason = _MODES[settings.mode]
    yield ImportedRule(f"defaultMode: {settings.mode}", "defaultMode", became, is_kept, reason)
    for directory in settings.directories:
        yield ImportedRule(
            directory,
            "additionalDirectories",
            "nothing",
            kept=False,
            reason="a plan sees its own workspace only",
        )
