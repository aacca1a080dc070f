"""MCP servers of a run: which files name them, what they offer, and who starts them.

Only an operator's files are read: of the settings, of a trusted automation
profile, or of the option.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.assembly.credential_opening import open_credentials
from cleveragents.boundary.cell_spec import CellSpec, WorkspaceMount
from cleveragents.boundary.leave_out import LeaveOutRules
from cleveragents.config.mcp_server_file import ServerDefinition, read_server_file
from cleveragents.errors import ConfigurationError, RecordError
from cleveragents.policy.cell_right import cell_rights, reachable_hosts
from cleveragents.policy.host_rule import host_of_url
from cleveragents.runtime.tool_server import Ground, ToolServers
from cleveragents.terms.tool import Effect
from cleveragents.tools.mcp_spec import specs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from cleveragents.assembly.house import House
    from cleveragents.config.credential_source import CredentialSource
    from cleveragents.plans.charter import Charter
    from cleveragents.policy.host_rule import HostRules
    from cleveragents.policy.profile import SafetyProfile
    from cleveragents.runtime.server_ground import ServerDesk
    from cleveragents.runtime.server_process import Serve
    from cleveragents.terms.tool import ToolSpec
    from cleveragents.tools.broker.credential import Credential
    from cleveragents.tools.mcp_spec import PinnedServer


@dataclass(frozen=True, slots=True)
class Offer:
    """What the servers of a run offer."""

    pinned: tuple[PinnedServer, ...] = ()
    specs: tuple[ToolSpec, ...] = ()
    warnings: tuple[str, ...] = ()


def read_definitions(files: Iterable[Path]) -> tuple[ServerDefinition, ...]:
    """Read several files of servers.

    Raises:
        ConfigurationError: One cannot be read, or two name the same server.
    """
    found: dict[str, ServerDefinition] = {}
    for file in dict.fromkeys(files):
        for definition in read_server_file(file):
            other = found.setdefault(definition.name, definition)
            if other is not definition:
                raise ConfigurationError(
                    problem=f"two MCP servers are named {definition.name!r}",
                    where=definition.file,
                    hint=f"the other one is in {other.file}",
                )
    return tuple(found.values())


def ask_servers(
    house: House,
    definitions: tuple[ServerDefinition, ...],
    *,
    workspace: Path,
    profiles: Iterable[SafetyProfile],
    shown: tuple[str, ...],
    sources: Mapping[str, CredentialSource],
) -> Offer:
    """Start each server once and read what it offers, before the plan is made.

    It sees what the plan may read, in a tree of its own, and can change nothing.

    Args:
        house: The parts.
        definitions: The servers.
        workspace: The user's directory.
        profiles: In force for the plan.
        shown: Secret or ignored files that an operator's profile names.
        sources: Declared credentials.

    Raises:
        ConfigurationError: A server is not found or does not start.
        IsolationUnavailableError: There is no wall for it.
    """
    if not definitions:
        return Offer()
    rules = tuple(profiles)
    rights, hosts = cell_rights(rules, None), reachable_hosts(rules)
    asked, unreached = _reachable(definitions, hosts, has_network=Effect.NETWORK in rights.effects)

    def spec_of(_: ServerDefinition) -> CellSpec:
        house.require_isolation()
        snapshot = house.trees.snapshot(workspace, LeaveOutRules(shown=shown))
        tree = house.trees.base_tree(snapshot.tree)
        return CellSpec(
            workspace=WorkspaceMount(kind="read_only", tree=tree),
            read=rights.read,
            write=(),
            limits=house.limits(),
            alias=str(workspace),
        )

    credentials = open_credentials(sources, house.environ)
    servers = ToolServers(
        asked,
        ground=_ground(house, credentials, hosts=hosts, root=str(workspace)),
        spec_of=spec_of,
    )
    try:
        specs = servers.specs()
        return Offer(servers.learn(), specs, (*unreached, *servers.warnings))
    finally:
        servers.close()


def live_servers(
    house: House,
    definitions: tuple[ServerDefinition, ...],
    *,
    spec_of: Callable[[ServerDefinition], CellSpec],
    profiles: Iterable[SafetyProfile],
    sources: Mapping[str, CredentialSource],
    root: str,
    serve: Serve,
) -> tuple[ToolServers, tuple[str, ...]]:
    """Give the servers of a gateway, none of them started yet, and what is to be told of them.

    Args:
        house: The parts.
        definitions: The servers.
        spec_of: Mounts and limits of a server's cell.
        profiles: In force.
        sources: Declared credentials.
        root: The path by which the first directory is the workspace.
        serve: Answers at the port of a server's cell.
    """
    rules = tuple(profiles)
    rights, hosts = cell_rights(rules, None), reachable_hosts(rules)
    asked, unreached = _reachable(definitions, hosts, has_network=Effect.NETWORK in rights.effects)
    credentials = open_credentials(sources, house.environ)
    ground = _ground(house, credentials, hosts=hosts, root=root)
    ground = replace(ground, serve=serve, is_whole=True)
    return ToolServers(asked, ground=ground, spec_of=spec_of), tuple(unreached)


def specs_of_charter(charter: Charter) -> tuple[ToolSpec, ...]:
    """Give the tools of the servers that a charter names.

    Raises:
        RecordError: A server's file has changed since the plan started.
    """
    definitions = _definitions_of(charter)
    found: list[ToolSpec] = []
    for pinned in charter.servers:
        found += specs_of(definitions[pinned.name], pinned, root=charter.workspace)
    return tuple(found)


def servers_of(
    house: House,
    credentials: Mapping[str, Credential],
    charter: Charter,
    *,
    spec_of: Callable[[ServerDefinition], CellSpec],
    hosts: HostRules,
    guard: AbstractContextManager[object],
    serve: Serve | None,
) -> ToolServers:
    """Give the servers of a plan, none of them started yet.

    Args:
        house: The parts.
        credentials: Every declared credential by its handle.
        charter: The plan.
        spec_of: Mounts and limits of a server's cell.
        hosts: What the plan may reach.
        guard: Held while a server's cell is started.
        serve: Answers at the port of a server's cell; ``None``: they have none.

    Raises:
        RecordError: A server's file has changed since the plan started.
    """
    granted = {n: c for n, c in credentials.items() if n in charter.grant.credentials}
    return ToolServers(
        _definitions_of(charter).values(),
        ground=replace(
            _ground(house, granted, hosts=hosts, root=charter.workspace, guard=guard), serve=serve
        ),
        spec_of=spec_of,
        pinned=charter.servers,
    )


def _definitions_of(charter: Charter) -> dict[str, ServerDefinition]:
    wanted = {pinned.name: pinned for pinned in charter.servers}
    found: dict[str, ServerDefinition] = {}
    for file in dict.fromkeys(pinned.file for pinned in charter.servers):
        try:
            definitions = read_server_file(Path(file))
        except ConfigurationError as error:
            raise _changed(file) from error
        for definition in definitions:
            pinned = wanted.get(definition.name)
            if pinned is not None and pinned.file == file:
                if definition.file_digest != pinned.file_digest:
                    raise _changed(file)
                found[definition.name] = definition
    return found


def _changed(file: str) -> RecordError:
    return RecordError(
        problem=f"the file of MCP servers {file} has changed since the plan started",
        hint="put it back as it was, or start a new plan",
    )


def _reachable(
    definitions: tuple[ServerDefinition, ...], hosts: HostRules, *, has_network: bool
) -> tuple[list[ServerDefinition], list[str]]:
    """Those that may be asked, and a sentence for each that may not."""
    asked, unreached = [], []
    for definition in definitions:
        host = host_of_url(definition.url) if definition.kind == "http" else ""
        if not host or (has_network and hosts.admits(host)):
            asked.append(definition)
        else:
            unreached.append(
                f"MCP server {definition.name!r} offers nothing: the safety profiles of this"
                f" plan do not admit the host {host!r}"
            )
    return asked, unreached


def _ground(
    house: House,
    credentials: Mapping[str, Credential],
    *,
    hosts: HostRules,
    root: str,
    guard: AbstractContextManager[object] | None = None,
) -> Ground:
    def open_desk() -> ServerDesk:
        try:
            # The protocol's library is dear to load, and comes with an extra.
            from cleveragents.tools.broker.mcp_desk import McpDesk  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                problem=f"MCP servers need the package {error.name!r}, which is not installed",
                hint="pip install 'cleveragents[mcp]'",
            ) from error
        return McpDesk(credentials)

    return Ground(
        launcher=house.launcher(),
        open_desk=open_desk,
        environ=house.environ,
        values={name: credential.value for name, credential in credentials.items()},
        hosts=hosts,
        call_timeout_s=house.settings.timeout_s,
        private=(house.home.resolve(), house.cell_root.resolve()),
        root=root,
        guard=guard or nullcontext(),
    )
