"""What does a gateway offer, and over which mounts do its tools act?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.assembly.gateway_place import command_definition
from cleveragents.assembly.order import check_workspace
from cleveragents.assembly.server_room import live_servers, read_definitions
from cleveragents.boundary.cell_spec import CellSpec, OwnToolFile, WorkspaceMount
from cleveragents.boundary.leave_out import LeaveOutRules
from cleveragents.boundary.live_directory import looked_through, named_directory
from cleveragents.errors import ConfigurationError
from cleveragents.gateway.live_servers import LiveServers, MountWatch
from cleveragents.policy.cell_right import cell_rights, reachable_hosts
from cleveragents.policy.profile import SafetyProfile
from cleveragents.policy.scope import compile_scope
from cleveragents.runtime.plan_cell import DIGEST_FILES
from cleveragents.runtime.server_port import ServerPorts
from cleveragents.runtime.tool_registry import ToolRegistry
from cleveragents.terms.tool import Effect
from cleveragents.tools.catalog import PREPARED_TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cleveragents.assembly.gateway_command import ServeRequest
    from cleveragents.assembly.house import House
    from cleveragents.boundary.cell_spec import LiveMount
    from cleveragents.config.credential_source import CredentialSource
    from cleveragents.config.mcp_server_file import ServerDefinition
    from cleveragents.plans.charter import Charter
    from cleveragents.runtime.cell_proxy import CellNetwork
    from cleveragents.runtime.tool_server import ToolServers
    from cleveragents.terms.tool import ToolSpec

READ_ONLY: Final = "mounted-read-only"
"""The profile in force where nobody may write to the directories, whatever others admit."""
NOT_OFFERED: Final = frozenset({"spawn_subplan"})
"""A client is no plan that could hand on what it was handed."""
_CHANGES: Final = frozenset({Effect.WRITE, Effect.DELETE})


class GatewayOffer:
    """The tools of one gateway, built in and of other servers, over the operator's directories.

    Args:
        house: The parts.
        request: What was typed.
        say: Tells the operator one line.

    Raises:
        ConfigurationError: A directory cannot be served.
    """

    def __init__(self, house: House, request: ServeRequest, say: Callable[[str], None]) -> None:
        self._house = house
        self._request = request
        self._say = say
        self._rules = LeaveOutRules()
        self._profiles: tuple[SafetyProfile, ...] = ()
        self._watch = MountWatch()
        self._ports = ServerPorts()
        self._written: dict[str, bool] = {}
        # Named once: a cell may write where a name leads through.
        self._named = tuple(
            named_directory(_checked(directory, house), is_writable=False)
            for directory in request.directories or (Path(),)
        )
        self.root = self._named[0].directory
        """The first directory: the workspace of the tools."""
        self.registry = ToolRegistry(())
        """Every tool that there is, whether or not it is admitted."""
        self.servers: ToolServers | None = None
        """Those of other servers; whoever asked for them ends them."""

    def narrowed(
        self,
        registry: ToolRegistry,
        profiles: Sequence[SafetyProfile],
        sources: Mapping[str, CredentialSource],
        shown: tuple[str, ...],
    ) -> tuple[ToolRegistry, tuple[SafetyProfile, ...]]:
        """Give the tools, and what binds them beside the profiles; see ``make_charter``.

        Raises:
            ConfigurationError: A server does not start, or a name is taken.
        """
        self._rules = LeaveOutRules(shown=shown)
        self._profiles = tuple(profiles)
        specs = [
            _at_home(spec, self.root)
            for spec in registry.specs.values()
            if spec.name not in NOT_OFFERED
        ]
        specs += self._ask_servers(sources)
        self.registry = ToolRegistry(specs)
        denied = [spec.name for spec in specs if self._cannot_write(spec)]
        if not denied or not cell_rights(profiles, None).write:
            return self.registry, ()
        return self.registry, (_read_only(denied, profiles),)

    def bind(self, charter: Charter) -> Charter:
        """Have the cells made by a charter's profiles; gives it with what the servers offer."""
        self._profiles = charter.profiles
        if self.servers is None:
            return charter
        warnings = (*charter.warnings, *self.servers.warnings)
        return replace(charter, servers=self.servers.learn(), warnings=warnings)

    def admitted(self, charter: Charter) -> list[ToolSpec]:
        """The tools that some call can be admitted of; arguments are decided at each call."""
        scope = compile_scope(
            profiles=charter.profiles,
            grant=charter.grant,
            in_subplan=False,
            tools=self.registry.specs,
            plan_id=charter.plan_id,
        )
        return [
            spec
            for name, spec in self.registry.specs.items()
            if (rule := scope.rules.get(name)) is not None and rule.allowed is not None
        ]

    def live_servers(self, network: CellNetwork | None) -> LiveServers | None:
        """The servers, as the door uses them; from now on they reach what the plan's cells may."""
        self._ports.reach(network)
        return None if self.servers is None else LiveServers(self.servers, self._watch)

    @property
    def is_written(self) -> bool:
        """Say whether the built-in tools may write."""
        return self._request.is_writable and self._admits_writing

    @property
    def is_writable(self) -> bool:
        """Say whether some tool may write."""
        return self.is_written or (self._admits_writing and any(self._written.values()))

    def directories(self) -> tuple[LiveMount, ...]:
        """The directories, as the built-in tools see them; what is hidden is not looked for."""
        return self._mounts(is_writable=self.is_written)

    def tool_cell(self) -> CellSpec:
        """What a cell of the built-in tools is made of now."""
        specs = self.registry.specs.values()
        return replace(
            self._cell(is_writable=self.is_written),
            own_tools=tuple(
                OwnToolFile(name=s.name, path=Path(s.source), digest=s.source_digest)
                for s in specs
                if s.origin == "own"
            ),
            tools=(
                DIGEST_FILES,
                *(s.name for s in specs if s.place == "cell" and s.origin == "builtin"),
            ),
        )

    def _server_cell(self, definition: ServerDefinition) -> CellSpec:
        spec = self._cell(is_writable=definition.is_writable and self._admits_writing)
        self._watch.note(spec.live)
        return self._ports.fitted(spec, definition)

    def _cell(self, *, is_writable: bool) -> CellSpec:
        rights = cell_rights(self._profiles, None)
        # Anew for each cell: files that look secret come and go.
        mounts = tuple(
            looked_through(mount, self._rules) for mount in self._mounts(is_writable=is_writable)
        )
        return CellSpec(
            workspace=WorkspaceMount("live", tree=self.root),
            read=rights.read,
            write=rights.write if is_writable else (),
            limits=self._house.limits(),
            live=mounts,
        )

    @property
    def _admits_writing(self) -> bool:
        return bool(cell_rights(self._profiles, None).write)

    def _mounts(self, *, is_writable: bool) -> tuple[LiveMount, ...]:
        return tuple(replace(mount, is_writable=is_writable) for mount in self._named)

    def _ask_servers(self, sources: Mapping[str, CredentialSource]) -> tuple[ToolSpec, ...]:
        definitions = self._definitions()
        if not definitions:
            return ()
        self._written = {one.name: one.is_writable for one in definitions}
        self.servers, unreached = live_servers(
            self._house,
            definitions,
            spec_of=self._server_cell,
            profiles=self._profiles,
            sources=sources,
            root=str(self.root),
            serve=self._ports.serve,
        )
        for text in unreached:
            self._say(text)
        return self.servers.specs()

    def _definitions(self) -> tuple[ServerDefinition, ...]:
        request = self._request
        if request.config is not None:
            return read_definitions([request.config])
        if not request.command:
            return ()
        return (
            command_definition(
                request.command, is_trusted=request.is_trusted, is_writable=request.is_writable
            ),
        )

    def _cannot_write(self, spec: ToolSpec) -> bool:
        """Say whether a tool is made to change files and has only a read-only mount."""
        if spec.place != "cell" or not spec.effects & _CHANGES:
            return False
        if spec.origin == "mcp":
            # Of which nobody knows what it does, it may be one that only reads.
            return not self._written[spec.source] and Effect.EXECUTE not in spec.effects
        return spec.name in PREPARED_TOOLS and not self._request.is_writable


def _checked(directory: Path, house: House) -> Path:
    """A directory that nothing of ours lies in, and that lies in nothing of ours."""
    real = check_workspace(directory, house.home)
    cells, home = house.cell_root.resolve(), house.home.resolve()
    if cells.is_relative_to(real) or real.is_relative_to(cells) or real.is_relative_to(home):
        raise ConfigurationError(
            problem=f"{directory} holds, or lies in, what cleveragents keeps for itself",
            where="--workspace",
            hint=f"{home} and {cells} are not served",
        )
    return directory


def _at_home(spec: ToolSpec, root: Path) -> ToolSpec:
    """A tool to which the first directory's own path is the workspace."""
    if any(one.kind == "file" for one in spec.resources):
        return replace(spec, root=str(root))
    return spec


def _read_only(denied: Sequence[str], profiles: Sequence[SafetyProfile]) -> SafetyProfile:
    return SafetyProfile(
        name=READ_ONLY,
        denied_tools=tuple(denied),
        # Those that the others admit: left out, it would be any public one, and no other.
        hosts=reachable_hosts(profiles).entries,
        description="The operator named directories, and did not say --rw, or rw of a server.",
    )
