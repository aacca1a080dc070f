"""How does a plan run? Safety profile, budget, approvals, subplans, credentials, own tools.

Who may widen (design, section 11): a profile reached only by a path in a plan
file may tighten; what would widen in it counts only when an operator named it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from cleveragents.config.budget import limits_of
from cleveragents.config.credential_source import CredentialSource, credential_sources
from cleveragents.config.profile_reference import (
    ProfileReference,
    profile_reference,
    read_profiles,
)
from cleveragents.config.reader import Reader
from cleveragents.config.step_reader import MERGE_STRATEGIES
from cleveragents.config.yaml_file import load_file
from cleveragents.errors import ConfigurationError
from cleveragents.policy import path_rule
from cleveragents.policy.suggestion import hint_for
from cleveragents.terms.cost import NO_LIMITS, Limits
from cleveragents.terms.tool import TOOL_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cleveragents.policy.profile import SafetyProfile

__all__ = [
    "AutomationProfile",
    "CredentialSource",
    "ProfileReference",
    "SubplanRules",
    "load_automation_profile",
    "parse_automation_profile",
    "unknown_automation_profile",
]

KEYS: Final = (
    "name",
    "description",
    "safety_profile",
    "delegates",
    "budget",
    "subplans",
    "apply",
    "approvals",
    "safety_profiles",
    "credentials",
    "tools",
    "mcp_servers",
    "workspace",
)
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
NAME_HINT: Final = "letters, digits, '.', '_' and '-', at most 64, not ending like a file"
MAX_PARALLEL: Final = 64
MAX_DEPTH: Final = 16
_FILE_ENDINGS: Final = (".yaml", ".yml")

Apply = Literal["ask", "auto"]
APPLY: Final[Mapping[str, Apply]] = {"ask": "ask", "auto": "auto"}


@dataclass(frozen=True, slots=True)
class SubplanRules:
    """How children run; ``None`` and empty leave it to the other profiles and the settings."""

    max_parallel: int | None = None
    max_depth: int | None = None
    merge_strategy: str = ""


@dataclass(frozen=True, slots=True)
class AutomationProfile:
    """One file, read and checked."""

    name: str
    description: str = ""
    safety_profile: ProfileReference | None = None
    """``None``: it names none."""
    delegates: ProfileReference | None = None
    """The ceiling of subplans; ``None``: their parent's."""
    budget: Limits = NO_LIMITS
    subplans: SubplanRules = SubplanRules()
    apply: Apply | None = None
    """``None``: it does not say."""
    approvals: tuple[str, ...] = ()
    """Tools that wait for a person."""
    safety_profiles: tuple[SafetyProfile, ...] = ()
    """Profiles defined here."""
    credentials: Mapping[str, CredentialSource] = field(default_factory=dict)
    tools: tuple[Path, ...] = ()
    """Files of own tools, absolute."""
    mcp_servers: tuple[Path, ...] = ()
    """Files of MCP servers, absolute."""
    included: tuple[str, ...] = ()
    """Left-out paths of the workspace that are shown read-only."""
    is_trusted: bool = False
    ignored: tuple[str, ...] = ()
    """What did not count because nobody trusted named the profile."""


def load_automation_profile(
    path: Path, *, is_trusted: bool, base: Path | None = None
) -> AutomationProfile:
    """Read an automation profile.

    Args:
        path: The file.
        is_trusted: An operator named it: by settings, by a name of the
            library, or by option. Otherwise what would widen does not count.
        base: Directory that relative paths in it start from; left out, the
            one of the file.

    Raises:
        ConfigurationError: It cannot be read or understood; says where.
    """
    profile = _profile(load_file(path).reader, base or path.absolute().parent)
    return replace(profile, is_trusted=True) if is_trusted else _untrusted(profile)


def parse_automation_profile(raw: object, *, name: str, base: Path) -> AutomationProfile:
    """Read an automation profile that is a mapping already; nobody trusts it yet.

    Args:
        raw: As a file would hold it.
        name: What errors call it.
        base: Directory that relative paths in it start from.

    Raises:
        ConfigurationError: It cannot be understood.
    """
    return _profile(Reader(raw, name), base)


def unknown_automation_profile(name: str, known: tuple[str, ...]) -> ConfigurationError:
    """The error about a name that nobody added."""
    return ConfigurationError(
        problem=f"no automation profile is named {name!r}, and no file has that path",
        hint=hint_for(name, known),
    )


def is_path(reference: str) -> bool:
    """Say whether a reference means a file rather than a name of the library.

    >>> is_path("careful"), is_path("careful.yaml"), is_path("./careful")
    (False, True, True)
    """
    return "/" in reference or reference.endswith(_FILE_ENDINGS)


def read_tool_names(reader: Reader) -> tuple[str, ...]:
    """Read ``approvals``: exact names of tools.

    Raises:
        ConfigurationError: One has the form of no tool's name.
    """
    return tuple(
        item.word(TOOL_NAME, "the name of a tool", "exact names of a-z, 0-9 and '_'")
        for item in reader.items()
    )


def _profile(reader: Reader, base: Path) -> AutomationProfile:
    found = reader.mapping(KEYS, required=("name",))
    return AutomationProfile(
        name=_name(found["name"]),
        description=found["description"].text() if "description" in found else "",
        safety_profile=profile_reference(found["safety_profile"])
        if "safety_profile" in found
        else None,
        delegates=profile_reference(found["delegates"]) if "delegates" in found else None,
        budget=limits_of(found["budget"]) if "budget" in found else NO_LIMITS,
        subplans=_subplans(found["subplans"]) if "subplans" in found else SubplanRules(),
        apply=found["apply"].choice(APPLY) if "apply" in found else None,
        approvals=read_tool_names(found["approvals"]) if "approvals" in found else (),
        safety_profiles=(
            read_profiles(found["safety_profiles"]) if "safety_profiles" in found else ()
        ),
        credentials=(
            credential_sources(found["credentials"], base) if "credentials" in found else {}
        ),
        tools=_tools(found["tools"], base) if "tools" in found else (),
        mcp_servers=_tools(found["mcp_servers"], base) if "mcp_servers" in found else (),
        included=_included(found["workspace"]) if "workspace" in found else (),
    )


def _untrusted(profile: AutomationProfile) -> AutomationProfile:
    """Keep what tightens, and say what does not count."""
    widening = {
        "credentials": profile.credentials,
        "tools": profile.tools,
        "mcp_servers": profile.mcp_servers,
        "delegates": profile.delegates,
        "apply: auto": profile.apply == "auto",
        # It shows files that were left out because they may be secret.
        "workspace": profile.included,
    }
    return replace(
        profile,
        credentials={},
        tools=(),
        mcp_servers=(),
        delegates=None,
        apply=None if profile.apply == "auto" else profile.apply,
        included=(),
        is_trusted=False,
        ignored=tuple(key for key, value in widening.items() if value),
    )


def _name(reader: Reader) -> str:
    name = reader.word(NAME, "the name of an automation profile", NAME_HINT)
    if is_path(name):
        raise reader.error(f"{name!r} looks like a file", NAME_HINT)
    return name


def _subplans(reader: Reader) -> SubplanRules:
    found = reader.mapping(("max_parallel", "max_depth", "merge_strategy"))
    strategies = {name: name for name in MERGE_STRATEGIES}
    return SubplanRules(
        max_parallel=(
            found["max_parallel"].integer(1, MAX_PARALLEL) if "max_parallel" in found else None
        ),
        max_depth=found["max_depth"].integer(0, MAX_DEPTH) if "max_depth" in found else None,
        merge_strategy=(
            found["merge_strategy"].choice(strategies) if "merge_strategy" in found else ""
        ),
    )


def _tools(reader: Reader, base: Path) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(item.file(base) for item in reader.items()))


def _included(reader: Reader) -> tuple[str, ...]:
    listed = reader.mapping(("include",), required=("include",))["include"]
    found = []
    for item in listed.items():
        path = item.checked(path_rule.normalise_entry)
        if path == path_rule.WHOLE:
            raise item.error("the whole workspace cannot be included", "name paths below it")
        found.append(path)
    return tuple(dict.fromkeys(found))
