"""Where does a gateway listen, with which token, and before which server that was typed?"""

from __future__ import annotations

import ipaddress
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.config.mcp_server_file import ServerDefinition, plain_name
from cleveragents.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

SHORTEST_TOKEN: Final = 16
LONGEST_TOKEN: Final = 4096
LOOPBACK: Final = "127.0.0.1"
_TOKEN: Final = re.compile(r"[!-~]+", re.ASCII)
_NAME: Final = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?", re.ASCII)
_MAX_PORT: Final = 65_535
_RUNNERS: Final = frozenset({"npx", "uvx", "node", "python", "python3", "bunx", "deno"})
"""Programs whose first argument says what is run."""
_VERSION: Final = re.compile(r"(?<=.)@.*$|\.(?:py|js|mjs|ts)$")
_MAX_NAME: Final = 32


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`--http` and what belongs to it, as it was typed."""

    address: str
    """``PORT`` or ``HOST:PORT``."""
    token_file: Path | None = None
    token_variable: str | None = None
    names: tuple[str, ...] = ()
    """``--allow-host``: by what other names clients reach it."""


@dataclass(frozen=True, slots=True)
class HttpAddress:
    """Where, for whom, and with which token."""

    host: str
    port: int
    token: str
    names: tuple[str, ...]


def read_http(request: HttpRequest, environ: Mapping[str, str]) -> HttpAddress:
    """Read what was typed.

    Raises:
        ConfigurationError: An address or name cannot be understood, there is
            no good token, or it would listen to everybody without being told.
    """
    host, port = _address(request.address)
    for name in request.names:
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                problem=f"{name!r} is no host name", where="--allow-host", hint="HOST or HOST:PORT"
            )
    if not _is_loopback(host) and not request.names:
        raise ConfigurationError(
            problem=f"{host} is not loopback, and nobody says by which name clients come",
            where="--http",
            hint=f"listen on {LOOPBACK}, or add --allow-host NAME",
        )
    return HttpAddress(host, port, _token(request, environ), request.names)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else LOOPBACK
    if not (port.isascii() and port.isdigit() and int(port) <= _MAX_PORT) or not host:
        raise ConfigurationError(
            problem=f"{text!r} is no place to listen at",
            where="--http",
            hint="PORT, or HOST:PORT; 0 is any free port",
        )
    if host == "localhost":
        host = LOOPBACK
    try:
        ipaddress.ip_address(host)
    except ValueError as error:
        raise ConfigurationError(
            problem=f"{host!r} is no address of this machine",
            where="--http",
            hint=f"write it in numbers, such as {LOOPBACK}",
        ) from error
    return host, int(port)


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback


def _token(request: HttpRequest, environ: Mapping[str, str]) -> str:
    if (request.token_file is None) == (request.token_variable is None):
        raise ConfigurationError(
            problem="clients over HTTP have to show a token",
            where="--http",
            hint="give either --token-file FILE or --token-env VARIABLE",
        )
    if request.token_file is not None:
        where, token = "--token-file", _from_file(request.token_file)
    else:
        where, token = "--token-env", environ.get(request.token_variable or "", "").strip()
    if not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN or not _TOKEN.fullmatch(token):
        raise ConfigurationError(
            problem=f"there is no token of {SHORTEST_TOKEN} or more plain characters",
            where=where,
            hint="python3 -c 'import secrets; print(secrets.token_urlsafe(32))' makes one",
        )
    return token


def _from_file(path: Path) -> str:
    try:
        facts = path.stat()
        if stat.S_IMODE(facts.st_mode) & 0o077:
            raise ConfigurationError(
                problem=f"others can read {path}", where="--token-file", hint=f"chmod 600 {path}"
            )
        return path.read_bytes()[: LONGEST_TOKEN + 1].decode("ascii", "replace").strip()
    except OSError as error:
        raise ConfigurationError(
            problem=f"{path} cannot be read: {error.strerror}", where="--token-file"
        ) from error


def command_definition(
    command: tuple[str, ...], *, is_trusted: bool, is_writable: bool
) -> ServerDefinition:
    """Make a server of a command line.

    Args:
        command: The program and its arguments.
        is_trusted: Its tools' annotations are believed.
        is_writable: It may write to the directories.

    Raises:
        ConfigurationError: It cannot be named.

    >>> line = ("npx", "-y", "@modelcontextprotocol/server-filesystem@1.0", ".")
    >>> command_definition(line, is_trusted=False, is_writable=False).name
    'server_filesystem'
    """
    words = [word for word in command[1:] if not word.startswith("-")]
    named = words[0] if Path(command[0]).name in _RUNNERS and words else command[0]
    name = plain_name(_VERSION.sub("", named.rstrip("/").rpartition("/")[2]))
    name = re.sub(r"[^a-z0-9]+", "_", name).strip("_")[:_MAX_NAME].rstrip("_")
    if not name:
        raise ConfigurationError(
            problem=f"{command[0]!r} gives no name for its tools", where="COMMAND"
        )
    return ServerDefinition(
        name=name,
        kind="stdio",
        command=command[0],
        arguments=command[1:],
        is_trusted=is_trusted,
        is_writable=is_writable,
        file="COMMAND",
    )
