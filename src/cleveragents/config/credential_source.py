"""Where does the host find a secret, and whom may it be sent to? Never the secret itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from cleveragents.policy import host_rule
from cleveragents.policy.argument import HANDLE

if TYPE_CHECKING:
    from pathlib import Path

    from cleveragents.config.reader import Reader

_KEYS: Final = ("env", "file", "hosts")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class CredentialSource:
    """One declared credential."""

    kind: Literal["env", "file"]
    place: str
    """Name of an environment variable, or a path."""
    hosts: tuple[str, ...] = ()
    """Where ``send_request`` may send it; none listed: nowhere."""


def credential_sources(reader: Reader, base: Path) -> dict[str, CredentialSource]:
    """Read ``credentials: {NAME: {env: VAR, hosts: [...]}}``.

    Args:
        reader: The mapping.
        base: Directory that relative paths start from.

    Raises:
        ConfigurationError: A name, a source or a host cannot be understood.
    """
    return {name: _source(name, item, base) for name, item in reader.entries().items()}


def _source(name: str, reader: Reader, base: Path) -> CredentialSource:
    if not HANDLE.fullmatch(name):
        raise reader.error(
            "cannot be the name of a credential", "letters, digits and '_', at most 64"
        )
    found = reader.mapping(_KEYS)
    if ("env" in found) == ("file" in found):
        raise reader.error("a credential has either 'env' or 'file'")
    hosts: tuple[str, ...] = ()
    if "hosts" in found:
        hosts = tuple(item.checked(host_rule.normalise_entry) for item in found["hosts"].items())
    if "env" in found:
        variable = found["env"].word(
            _VARIABLE, "the name of an environment variable", "letters, digits and '_'"
        )
        return CredentialSource("env", variable, hosts)
    return CredentialSource("file", str(found["file"].file(base)), hosts)
