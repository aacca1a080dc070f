"""What does a safety profile say? The value, its four built-in forms and its mapping."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError, UnknownSafetyProfileError
from cleveragents.policy import host_rule, path_rule, shape
from cleveragents.policy.example import NO_EXAMPLES, Examples, examples_from, examples_to_mapping
from cleveragents.terms.digest import digest_value
from cleveragents.terms.tool import ALL_EFFECTS, Effect

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
KEYS: Final = (
    "name",
    "description",
    "allowed_tools",
    "denied_tools",
    "effects",
    "read",
    "write",
    "hosts",
    "where",
    "examples",
    "held_files",
)
"""Every key that a profile may have."""


@dataclass(frozen=True, slots=True)
class SafetyProfile:
    """A named set of restrictions; each of them only ever takes away.

    Lists are accepted for tuples, names of effects for effects; what cannot
    be understood is refused here, so that no half-read profile exists.

    Raises:
        ConfigurationError: A field cannot be understood; says which.

    Source:
        Issue 8983, ``allowed_tools: list[str] | None`` and ``denied_tools``.
    """

    name: str
    allowed_tools: tuple[str, ...] | None = None
    """Given, it decides alone by name and ``()`` admits nothing; ``None`` is
    the absence of a list, and only then ``denied_tools`` is read."""
    denied_tools: tuple[str, ...] = ()
    effects: frozenset[Effect] = ALL_EFFECTS
    """A ceiling above both lists."""
    read: tuple[str, ...] | None = None
    """Paths; ``None`` is the key left out: the whole workspace. ``()`` is nothing."""
    write: tuple[str, ...] | None = None
    """Paths; left out, it reaches as far as ``read``."""
    hosts: tuple[str, ...] | None = None
    """Left out: any public host, where the effects admit network."""
    where: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """A JSON Schema of the arguments, for each tool."""
    examples: Examples = NO_EXAMPLES
    held_files: tuple[str, ...] | None = None
    """Files held for review at apply; left out: the default list."""
    description: str = ""

    def __post_init__(self) -> None:
        where = f"safety profile {self.name!r}"
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                problem=f"{self.name!r} cannot be the name of a safety profile",
                hint="letters, digits, '.', '_' and '-', at most 64",
            )
        for name, value in _normal_fields(self, where).items():
            object.__setattr__(self, name, value)


def _normal_fields(profile: SafetyProfile, where: str) -> dict[str, object]:
    def at(key: str) -> str:
        return f"{where}: {key}"

    fields: dict[str, object] = {
        "denied_tools": shape.tool_names(profile.denied_tools, where=at("denied_tools")),
        "effects": shape.effects(profile.effects, where=at("effects")),
        "where": shape.schemas(profile.where, where=at("where")),
        "examples": examples_from(profile.examples, where=at("examples")),
        "description": shape.text(profile.description, where=at("description")),
    }
    if profile.allowed_tools is not None:
        fields["allowed_tools"] = shape.tool_names(profile.allowed_tools, where=at("allowed_tools"))
    for key in ("read", "write"):
        if (value := getattr(profile, key)) is not None:
            fields[key] = shape.entries(value, path_rule.normalise_entry, where=at(key))
    if profile.hosts is not None:
        fields["hosts"] = shape.entries(profile.hosts, host_rule.normalise_entry, where=at("hosts"))
    if profile.held_files is not None:
        fields["held_files"] = shape.strings(profile.held_files, where=at("held_files"))
    return fields


def profile_from_mapping(raw: Mapping[str, object], *, where: str) -> SafetyProfile:
    """Read a profile as a person wrote it.

    Args:
        raw: The mapping; an absent key is the field's default, and a key
            without a value (``read:``) is an error, never "everything".
        where: File and key path, for errors.

    Raises:
        ConfigurationError: A key is unknown or a value cannot be understood.
    """
    found = shape.check_keys(raw, KEYS, where=where)
    if "name" not in found:
        raise ConfigurationError(problem="a safety profile needs a name", where=where)
    for key, value in found.items():
        if value is None:
            raise ConfigurationError(
                problem="the key has no value",
                where=shape.join(where, key),
                hint="leave the key out, or write [] for nothing",
            )
    try:
        # The constructor checks every field again, by the same functions.
        return SafetyProfile(**found)  # type: ignore[arg-type]  # each was read by its own reader
    except ConfigurationError as error:
        raise ConfigurationError(
            problem=error.problem, where=_at(where, error.where), hint=error.hint
        ) from error


def _at(where: str, inner: str) -> str:
    if not where or not inner:
        return where or inner
    return shape.join(where, inner.partition(": ")[2])


def to_mapping(profile: SafetyProfile) -> dict[str, object]:
    """Plain JSON that ``profile_from_mapping`` reads back to an equal profile."""
    mapping: dict[str, object] = {"name": profile.name}
    if profile.description:
        mapping["description"] = profile.description
    for key in ("allowed_tools", "read", "write", "hosts", "held_files"):
        if (value := getattr(profile, key)) is not None:
            mapping[key] = list(value)
    if profile.denied_tools:
        mapping["denied_tools"] = list(profile.denied_tools)
    if profile.effects != ALL_EFFECTS:
        mapping["effects"] = sorted(effect.value for effect in profile.effects)
    if profile.where:
        mapping["where"] = {tool: dict(schema) for tool, schema in profile.where.items()}
    if profile.examples != NO_EXAMPLES:
        mapping["examples"] = examples_to_mapping(profile.examples)
    return mapping


def profile_digest(profile: SafetyProfile) -> str:
    """``sha256:...`` of the canonical mapping."""
    return digest_value(to_mapping(profile))


def overlap(profile: SafetyProfile) -> tuple[str, ...]:
    """The names on both lists, which are allowed: worth telling the operator.

    >>> overlap(SafetyProfile("p", allowed_tools=("a", "b"), denied_tools=("b",)))
    ('b',)
    """
    denied = frozenset(profile.denied_tools)
    return tuple(dict.fromkeys(name for name in profile.allowed_tools or () if name in denied))


def admits(allowed_tools: frozenset[str] | None, denied_tools: frozenset[str], tool: str) -> bool:
    """Say whether a profile admits a tool by name.

    When an allow-list is present it decides alone: a name on both lists is
    admitted, and an empty allow-list admits nothing. ``None`` means the
    profile has no allow-list; only then is the deny-list read.

    Args:
        allowed_tools: Exact tool names, or ``None`` for no allow-list.
        denied_tools: Exact tool names. Patterns were resolved when the plan
            started: ``read`` must never also admit ``read_and_delete``.
        tool: Exact name, as registered.

    Source:
        Issue 8983, "allow-list takes precedence over deny-list".

    >>> admits(frozenset({"read_file"}), frozenset({"read_file"}), "read_file")
    True
    >>> admits(frozenset(), frozenset(), "read_file")
    False
    >>> admits(None, frozenset({"write_file"}), "write_file")
    False
    """
    if allowed_tools is not None:
        return tool in allowed_tools
    return tool not in denied_tools


UNRESTRICTED: Final = SafetyProfile(
    "unrestricted", description="No restriction beyond the workspace and the cell."
)
BUILT_IN: Final[Mapping[str, SafetyProfile]] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            UNRESTRICTED,
            SafetyProfile(
                "read-only",
                effects=frozenset({Effect.READ, Effect.NETWORK, Effect.SPAWN}),
                description="No tool that writes, deletes or executes.",
            ),
            SafetyProfile(
                "no-network",
                effects=ALL_EFFECTS - {Effect.NETWORK},
                description="No HTTP and no external tool; commands run without network.",
            ),
            SafetyProfile(
                "sandboxed",
                effects=frozenset({Effect.READ, Effect.SPAWN}),
                description="Local read tools only.",
            ),
        )
    }
)
"""The four built-in profiles by name; ``unrestricted`` is the default."""


def find_profile(
    name: str, known: Mapping[str, SafetyProfile] = BUILT_IN, *, where: str = ""
) -> SafetyProfile:
    """The profile of exactly that name; nothing falls back.

    Raises:
        UnknownSafetyProfileError: There is none; tells those that there are.
    """
    found = known.get(name)
    if found is None:
        raise UnknownSafetyProfileError(name=name, known=tuple(known), where=where)
    return found
