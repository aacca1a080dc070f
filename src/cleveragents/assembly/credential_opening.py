"""Opens declared credentials in the host: the only place where their values are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.errors import ConfigurationError
from cleveragents.policy.host_rule import HostRules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.config.automation_profile import CredentialSource
    from cleveragents.tools.broker.credential import Credential


def open_credentials(
    sources: Mapping[str, CredentialSource], environ: Mapping[str, str]
) -> dict[str, Credential]:
    """Read the value of every declared credential that has one.

    One whose variable is not set has no value: a plan that uses it fails there.

    Raises:
        ConfigurationError: A file cannot be read.
    """
    if not sources:
        return {}
    # Its neighbours load an HTTP client: plans without credentials start without it.
    from cleveragents.tools.broker.credential import Credential  # noqa: PLC0415

    found: dict[str, Credential] = {}
    for name, source in sources.items():
        value = environ.get(source.place) if source.kind == "env" else _from_file(name, source)
        if value:
            found[name] = Credential(
                value=value, hosts=HostRules.parse(source.hosts, where=f"credentials.{name}")
            )
    return found


def _from_file(name: str, source: CredentialSource) -> str:
    try:
        return Path(source.place).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        # The place is the operator's own; the content is never in an error.
        raise ConfigurationError(
            problem=f"the file of credential {name!r} cannot be read", where=source.place
        ) from error
