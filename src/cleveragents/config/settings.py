"""What does the operator say once, for every plan? ``config.toml``, and ``CLEVERAGENTS_*`` over it.

A key or variable that is not known is an error: a misspelt limit must not be
no limit. A safety profile of the environment adds to those of the file, so
that no environment loosens what the file says.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cleveragents.config.reader import Reader
from cleveragents.config.setting_value import READERS, TEXTS
from cleveragents.config.yaml_file import decode, load_text, read_bytes
from cleveragents.config.yaml_scalar import exact_float
from cleveragents.errors import ConfigurationError
from cleveragents.policy.spelling import shown
from cleveragents.policy.suggestion import hint_for
from cleveragents.terms.cost import NO_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.config.automation_profile import Apply
    from cleveragents.config.credential_source import CredentialSource
    from cleveragents.policy.profile import SafetyProfile
    from cleveragents.terms.model import ModelEndpoint
    from cleveragents.terms.model_limit import RateLimit, TokenPrice

PREFIX: Final = "CLEVERAGENTS_"
FILE_NAME: Final = "config.toml"
NOT_SETTINGS: Final = frozenset({"CLEVERAGENTS_HOME", "CLEVERAGENTS_CHANNEL"})
"""Variables of the prefix that say something else: where the home is, and a cell's channel."""
_ADDED: Final = ("safety_profile", "safety_profiles")
"""Lists to which the environment adds; every other value it replaces."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One operator's settings; every field is optional."""

    database_url: str = ""
    """``sqlite:///...`` or ``postgresql://...``; empty: SQLite in the home."""
    safety_profile: tuple[str, ...] = ()
    """Names; every one binds every plan and every subplan."""
    automation_profile: str = ""
    """Name or path; trusted. Empty: none."""
    safety_profiles: tuple[SafetyProfile, ...] = ()
    """Profiles defined here."""
    credentials: Mapping[str, CredentialSource] = field(default_factory=dict)
    budget_per_plan: Limits = NO_LIMITS
    budget_per_day: Limits = NO_LIMITS
    approvals: tuple[str, ...] = ()
    """Tools that wait for a person, in every plan."""
    apply: Apply | None = None
    """``None``: the automation profile says."""
    max_parallel: int | None = None
    """``None``: the automation profile says."""
    max_depth: int | None = None
    """``None``: the automation profile says."""
    memory_mb: int = 4096
    """Address space of each process in a cell."""
    processes: int = 512
    """Processes and threads of a cell."""
    workspace_mb: int = 2048
    """What a plan may add to its workspace."""
    timeout_s: int = 120
    """Time limit of a call that names none."""
    cell_root: str = ""
    """Where base trees and workspaces are; empty: the default place."""
    model: str = ""
    """Who thinks for a plan that names no model, ``provider:name``; empty: nobody."""
    model_base_url: str = ""
    """Where it is; empty: at its provider."""
    model_credential: str = ""
    """Handle of its key; empty: the provider's usual variable."""
    fallback_models: tuple[ModelEndpoint, ...] = ()
    """Asked in this order when a model is overloaded or out of order."""
    prices: Mapping[str, TokenPrice] = field(default_factory=dict)
    """By model; in place of those that are bundled."""
    rate_limits: Mapping[str, RateLimit] = field(default_factory=dict)
    """By provider."""
    max_output_tokens: int = 8_192
    """Of one answer; held, at the model's price, before it is asked."""
    context_tokens: int = 100_000
    """Above this a conversation's oldest results are put aside."""
    max_turns: int = 100
    """Requests of one plan to its model."""
    max_refusals_in_a_row: int = 5
    """After so many a plan with a model ends constrained."""
    model_timeout_s: int = 300
    """Time limit of one request to a model."""
    mcp_servers: tuple[str, ...] = ()
    """Files of MCP servers whose tools every plan may use."""


KEYS: Final = tuple(item.name for item in fields(Settings))


def home_directory(environ: Mapping[str, str]) -> Path:
    """Where everything is kept: ``CLEVERAGENTS_HOME``, else the platform's data directory.

    Raises:
        ConfigurationError: The variable holds no absolute path.
    """
    named = environ.get("CLEVERAGENTS_HOME", "")
    if not named:
        # Not needed where the variable is set.
        from platformdirs import user_data_path  # noqa: PLC0415

        return user_data_path("cleveragents", appauthor=False)
    path = Reader(named, "CLEVERAGENTS_HOME").file(Path())
    if not path.is_absolute():
        raise ConfigurationError(
            problem=f"{shown(named)} is no absolute path", where="CLEVERAGENTS_HOME"
        )
    return path


def load_settings(environ: Mapping[str, str], *, home: Path) -> Settings:
    """Read the settings of a home and an environment.

    Args:
        environ: Variables without the prefix are not looked at; an empty one
            counts as not set.
        home: Where ``config.toml`` may be; paths in it are relative to it.

    Raises:
        ConfigurationError: A key, a variable or a value is unknown or wrong;
            names it.
    """
    # Paths of the environment stay relative to the directory that the person is in.
    over = _values(_from_environment(environ), Path())
    values = _values(_from_file(home / FILE_NAME), home)
    for key in _ADDED:
        if key in values and key in over:
            over[key] = _added(key, values[key], over[key])
    if "credentials" in values and "credentials" in over:
        over["credentials"] = {**values["credentials"], **over["credentials"]}
    return Settings(**{**values, **over})


def _values(readers: Mapping[str, Reader], base: Path) -> dict[str, Any]:
    return {key: READERS[key](reader, base) for key, reader in readers.items()}


def _added(key: str, of_file: tuple[Any, ...], of_environment: tuple[Any, ...]) -> tuple[Any, ...]:
    if key == "safety_profile":
        return tuple(dict.fromkeys((*of_file, *of_environment)))
    names = {profile.name for profile in of_file}
    for profile in of_environment:
        if profile.name in names:
            raise ConfigurationError(
                problem=f"the safety profile {profile.name!r} is defined twice",
                where=PREFIX + key.upper(),
                hint=f"{FILE_NAME} defines it too",
            )
    return (*of_file, *of_environment)


def _from_file(path: Path) -> dict[str, Reader]:
    try:
        text = decode(read_bytes(path), str(path))
    except ConfigurationError as error:
        # No such file is no settings; one that cannot be read is an error.
        if isinstance(error.__cause__, FileNotFoundError):
            return {}
        raise
    try:
        raw = tomllib.loads(text, parse_float=exact_float)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(problem=f"is not TOML: {error}", where=str(path)) from error
    return Reader(raw, str(path)).mapping(KEYS)


def _from_environment(environ: Mapping[str, str]) -> dict[str, Reader]:
    known = {PREFIX + key.upper(): key for key in KEYS}
    found = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
            continue
        if variable not in known:
            raise ConfigurationError(
                problem=f"unknown setting, {hint_for(variable, known)}", where=variable
            )
        if text:
            key = known[variable]
            # What is no text is written as it would be in a YAML file: 4, {max_cost_usd: 2}.
            value = text if key in TEXTS else load_text(text, variable).value
            found[key] = Reader(value, variable)
    return found
