"""How is each setting read? One function for each, from what was written to its typed value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.config import model_setting
from cleveragents.config.automation_profile import (
    APPLY,
    MAX_DEPTH,
    MAX_PARALLEL,
    is_path,
    read_tool_names,
)
from cleveragents.config.budget import limits_of
from cleveragents.config.credential_source import credential_sources
from cleveragents.config.profile_reference import read_profiles
from cleveragents.terms.cost import Limits

if TYPE_CHECKING:
    from typing import Any

    from cleveragents.config.reader import Reader

    SettingReader = Callable[[Reader, Path], Any]

TEXTS: Final = frozenset(
    {
        "database_url",
        "automation_profile",
        "cell_root",
        "model",
        "model_base_url",
        "model_credential",
    }
)
"""Settings whose variable is taken as it is."""
_SCHEMES: Final = ("sqlite:///", "postgresql://", "postgres://")
_MAX_MB: Final = 1 << 20
_MAX_PROCESSES: Final = 1 << 15
_MAX_SECONDS: Final = 86_400
_MAX_OUTPUT_TOKENS: Final = 1 << 20
_MAX_CONTEXT_TOKENS: Final = 100_000_000
_MAX_TURNS: Final = 100_000


def _database_url(reader: Reader, base: Path) -> str:
    del base
    url = reader.text()
    if not url.startswith(_SCHEMES):
        # A URL may hold a password: it is not shown.
        raise reader.error(
            "is no database that can be used",
            "write sqlite:///absolute/path or postgresql://user@host/name",
        )
    return url


def _names(reader: Reader, base: Path) -> tuple[str, ...]:
    """One name, several with commas between, or a list."""
    del base
    if not isinstance(reader.value, str):
        return tuple(dict.fromkeys(reader.texts()))
    names = tuple(name.strip() for name in reader.value.split(","))
    if not all(names):
        raise reader.error("a name is empty", "write one, or several with commas between")
    return tuple(dict.fromkeys(names))


def _files(reader: Reader, base: Path) -> tuple[str, ...]:
    """One path, or a list."""
    items = (reader,) if isinstance(reader.value, str) else reader.items()
    return tuple(dict.fromkeys(str(item.file(base)) for item in items))


def _approvals(reader: Reader, base: Path) -> tuple[str, ...]:
    names = _names(reader, base)
    return read_tool_names(reader.at(value=list(names)))


def _automation_profile(reader: Reader, base: Path) -> str:
    reference = reader.text()
    return str(reader.file(base)) if is_path(reference) else reference


def _absolute(reader: Reader, base: Path) -> str:
    path = reader.file(Path())
    del base
    if not path.is_absolute():
        raise reader.error("is no absolute path")
    return str(path)


def _budget(reader: Reader, base: Path) -> Limits:
    del base
    if isinstance(reader.value, Mapping):
        return limits_of(reader)
    # A bare amount is dollars: what a budget is about for most people.
    return Limits(cost_microusd=reader.microusd())


def _number(minimum: int, maximum: int) -> SettingReader:
    def read(reader: Reader, base: Path) -> int:
        del base
        return reader.integer(minimum, maximum)

    return read


READERS: Final[Mapping[str, SettingReader]] = {
    "database_url": _database_url,
    "safety_profile": _names,
    "automation_profile": _automation_profile,
    "safety_profiles": lambda reader, _: read_profiles(reader),
    "credentials": credential_sources,
    "budget_per_plan": _budget,
    "budget_per_day": _budget,
    "approvals": _approvals,
    "apply": lambda reader, _: reader.choice(APPLY),
    "max_parallel": _number(1, MAX_PARALLEL),
    "max_depth": _number(0, MAX_DEPTH),
    "memory_mb": _number(64, _MAX_MB),
    "processes": _number(8, _MAX_PROCESSES),
    "workspace_mb": _number(1, _MAX_MB),
    "timeout_s": _number(1, _MAX_SECONDS),
    "cell_root": _absolute,
    "model": model_setting.model_name,
    "model_base_url": model_setting.base_url,
    "model_credential": model_setting.credential,
    "fallback_models": model_setting.fallback_models,
    "prices": model_setting.prices,
    "rate_limits": model_setting.rate_limits,
    "max_output_tokens": _number(16, _MAX_OUTPUT_TOKENS),
    "context_tokens": _number(1_000, _MAX_CONTEXT_TOKENS),
    "max_turns": _number(1, _MAX_TURNS),
    "max_refusals_in_a_row": _number(1, _MAX_TURNS),
    "model_timeout_s": _number(1, _MAX_SECONDS),
    "mcp_servers": _files,
}
"""By the setting's name; handed the value and what relative paths start from."""
