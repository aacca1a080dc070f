"""Which MCP servers does an operator name? Reads ``servers.json`` in the form users already have.

``mcpServers`` with ``command``/``args``/``env``/``cwd`` or ``url``/``headers``,
as other clients write it, and a few keys of our own. The file belongs to an
operator: who reaches it only through a plan file cannot name it (design,
section 11, "Who may widen").
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from cleveragents.config.mcp_server import (
    SERVERS,
    STARTUP_TIMEOUT_S,
    ServerDefinition,
    ToolRule,
)
from cleveragents.config.reader import Reader
from cleveragents.config.yaml_file import decode, read_bytes
from cleveragents.errors import ConfigurationError
from cleveragents.policy.argument import CREDENTIAL_TEMPLATE, HANDLE
from cleveragents.policy.host_rule import normalise_entry, parse_url
from cleveragents.terms.digest import digest_bytes
from cleveragents.terms.tool import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["ServerDefinition", "ToolRule", "plain_name", "read_server_file"]

MAX_TIMEOUT_S: Final = 86_400
MAX_SERVERS: Final = 64
MAX_PARALLEL: Final = 64
MAX_MEMORY_MB: Final = 1 << 20
SERVER_NAME: Final = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*", re.ASCII)
"""No double and no outer ``_``: ``a__b`` then reads in one way only."""
_MAX_NAME: Final = 32
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
_STDIO_KEYS: Final = ("command", "args", "env", "cwd", "runtime", "rw", "memory_mb")
_HTTP_KEYS: Final = ("url", "headers")
_BOTH: Final = (
    "type", "transport", "trusted", "effects", "tools", "hosts", "startup_timeout_s", "timeout_s",
    "parallel", "disabled",
)  # fmt: skip
_FOREIGN: Final = ("alwaysAllow", "autoApprove", "description", "icon", "timeout")
"""Keys of other clients that say nothing here; named in a warning, never obeyed."""
_TYPES: Final[Mapping[str, Literal["stdio", "http"]]] = {
    "stdio": "stdio",
    "http": "http",
    "streamable-http": "http",
    "streamableHttp": "http",
}
_EFFECTS: Final = {effect.value: effect for effect in Effect if effect is not Effect.SPAWN}
_KINDS: Final = ("file", "file:read", "file:write", "file:delete", "host", "credential")


def read_server_file(path: Path) -> tuple[ServerDefinition, ...]:
    """Read a file of MCP servers.

    Args:
        path: JSON with the key ``mcpServers``; other keys at the top belong to
            other programs and are not looked at.

    Returns:
        The servers in the file's order, without those that are ``disabled``.

    Raises:
        ConfigurationError: It cannot be read or understood; says where.
    """
    path = path.absolute()
    data = read_bytes(path)
    name = str(path)
    raw = _parse(decode(data, name), name)
    top = Reader(raw, name).entries()
    if SERVERS not in top:
        raise ConfigurationError(
            problem=f"the key {SERVERS!r} is missing",
            where=name,
            hint=f'write {{"{SERVERS}": {{"NAME": {{"command": "...", "args": [...]}}}}}}',
        )
    listed = top[SERVERS].entries()
    if len(listed) > MAX_SERVERS:
        raise top[SERVERS].error(f"holds more than {MAX_SERVERS} servers")
    found: dict[str, ServerDefinition] = {}
    for written, reader in listed.items():
        definition = _server(written, reader, path.parent, name, digest_bytes(data))
        if definition is None:
            continue
        if definition.name in found:
            raise reader.error(f"another server is named {definition.name!r} too")
        found[definition.name] = definition
    return tuple(found.values())


def plain_name(raw: str) -> str:
    """Bring a name to the alphabet of tools; what cannot be, stays recognisable.

    >>> plain_name("My-Server"), plain_name("a.b/c d")
    ('my_server', 'a_b_c_d')
    """
    return re.sub(r"[-./ ]", "_", raw).lower() if raw.isascii() else raw


def _parse(text: str, name: str) -> object:
    try:
        # Not the YAML reader: JSON may be indented with tabs.
        return json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, name))
    except (ValueError, RecursionError) as error:
        where = f"{name}:{error.lineno}" if isinstance(error, json.JSONDecodeError) else name
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "it nests too deep"
        raise ConfigurationError(problem=f"is not JSON: {reason}", where=where) from error


def _unique(pairs: list[tuple[str, object]], name: str) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ConfigurationError(problem=f"the key {twice[:64]!r} stands twice", where=name)
    return found


def _server(
    written: str, reader: Reader, base: Path, file: str, digest: str
) -> ServerDefinition | None:
    name = plain_name(written)
    if not SERVER_NAME.fullmatch(name) or len(name) > _MAX_NAME:
        raise reader.error(
            f"{written[:64]!r} cannot be the name of a server",
            f"letters, digits and single '_' or '-', at most {_MAX_NAME}",
        )
    found = reader.mapping((*_STDIO_KEYS, *_HTTP_KEYS, *_BOTH, *_FOREIGN))
    if "disabled" in found and found["disabled"].truth():
        return None
    kind = _kind(reader, found)
    for key in _HTTP_KEYS if kind == "stdio" else _STDIO_KEYS:
        if key in found:
            raise found[key].error(f"a server of type {kind!r} has no {key!r}")
    definition = ServerDefinition(
        name=name,
        kind=kind,
        is_trusted=found["trusted"].truth() if "trusted" in found else False,
        effects=_effects(found["effects"]) if "effects" in found else None,
        tools=_tools(found["tools"]) if "tools" in found else {},
        hosts=_hosts(found["hosts"]) if "hosts" in found else (),
        startup_timeout_s=_seconds(found, "startup_timeout_s") or STARTUP_TIMEOUT_S,
        timeout_s=_seconds(found, "timeout_s"),
        parallel=found["parallel"].integer(1, MAX_PARALLEL) if "parallel" in found else 1,
        file=file,
        file_digest=digest,
        ignored=tuple(key for key in _FOREIGN if key in found),
    )
    return _stdio(definition, found, base) if kind == "stdio" else _http(definition, found)


def _kind(reader: Reader, found: Mapping[str, Reader]) -> Literal["stdio", "http"]:
    if ("command" in found) == ("url" in found):
        raise reader.error("a server has either 'command' or 'url'")
    said = found.get("type") or found.get("transport")
    kind: Literal["stdio", "http"] = "stdio" if "command" in found else "http"
    if said is None:
        return kind
    if said.value == "sse":
        raise said.error(
            "the older transport 'sse' is not spoken", "most servers offer 'http' beside it"
        )
    if said.choice(_TYPES) != kind:
        raise said.error(
            f"does not fit to a server with {'command' if kind == 'stdio' else 'url'!r}"
        )
    return kind


def _stdio(
    definition: ServerDefinition, found: Mapping[str, Reader], base: Path
) -> ServerDefinition:
    environment = found["env"].entries() if "env" in found else {}
    for variable, reader in environment.items():
        if not _VARIABLE.fullmatch(variable):
            raise reader.error("cannot be the name of a variable")
    return replace(
        definition,
        command=_plain_text(found["command"]),
        arguments=tuple(_plain_text(item, may_be_empty=True) for item in found["args"].items())
        if "args" in found
        else (),
        environment={name: _template(item) for name, item in environment.items()},
        directory=str(found["cwd"].file(base)) if "cwd" in found else "",
        runtime=tuple(str(item.file(base)) for item in found["runtime"].items())
        if "runtime" in found
        else (),
        is_writable=found["rw"].truth() if "rw" in found else False,
        memory_mb=found["memory_mb"].integer(64, MAX_MEMORY_MB) if "memory_mb" in found else None,
    )


def _http(definition: ServerDefinition, found: Mapping[str, Reader]) -> ServerDefinition:
    reader = found["url"]
    text = _plain_text(reader)
    try:
        url = parse_url(text)
    except ValueError as error:
        raise reader.error(str(error)) from error
    headers = found["headers"].entries() if "headers" in found else {}
    for header, item in headers.items():
        if not _HEADER.fullmatch(header):
            raise item.error("cannot be the name of a header")
    return replace(
        definition,
        url=str(url),
        headers={name: _template(item) for name, item in headers.items()},
    )


def _plain_text(reader: Reader, *, may_be_empty: bool = False) -> str:
    text = "" if may_be_empty and reader.value == "" else reader.text()
    if "\0" in text:
        raise reader.error("holds a NUL")
    _refuse_expansion(reader, text)
    if CREDENTIAL_TEMPLATE.search(text):
        raise reader.error(
            "a credential cannot stand here: other users of the machine see command lines",
            "name it in 'env' or 'headers'",
        )
    return text


def _template(reader: Reader) -> str:
    """A value of ``env`` or ``headers``, with credentials by their handles."""
    text = "" if reader.value == "" else reader.text()
    if any(character in text for character in "\0\r\n"):
        raise reader.error("holds a control character")
    for handle in CREDENTIAL_TEMPLATE.findall(text):
        if not HANDLE.fullmatch(handle):
            raise reader.error(f"{handle[:64]!r} is no credential's name")
    _refuse_expansion(reader, text)
    return text


def _refuse_expansion(reader: Reader, text: str) -> None:
    # What another client fills in from its environment would come here as it stands.
    if re.search(r"\$\{(?!credential:)", text):
        raise reader.error(
            "variables are not expanded here",
            "declare a credential and write ${credential:NAME}, or write the value",
        )


def _effects(reader: Reader) -> frozenset[Effect]:
    return frozenset(item.choice(_EFFECTS) for item in reader.items())


def _tools(reader: Reader) -> dict[str, ToolRule]:
    return {name: _tool(item) for name, item in reader.entries().items()}


def _tool(reader: Reader) -> ToolRule:
    found = reader.mapping(("effects", "resources", "cost_usd"))
    resources = found["resources"].entries() if "resources" in found else {}
    kinds = {kind: kind for kind in _KINDS}
    return ToolRule(
        effects=_effects(found["effects"]) if "effects" in found else None,
        resources={name: item.choice(kinds) for name, item in resources.items()},
        cost_microusd=found["cost_usd"].microusd() if "cost_usd" in found else 0,
    )


def _hosts(reader: Reader) -> tuple[str, ...]:
    return tuple(item.checked(normalise_entry) for item in reader.items())


def _seconds(found: Mapping[str, Reader], key: str) -> float | None:
    return found[key].integer(1, MAX_TIMEOUT_S) if key in found else None
