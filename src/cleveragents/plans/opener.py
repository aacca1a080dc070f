"""From a charter, fresh or read back, to a plan that can act."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cleveragents.boundary.cell_spec import CellSpec, OwnToolFile
from cleveragents.config.plan_file import plan_from_stored, subplan_from_stored
from cleveragents.plans.running_plan import RunningPlan
from cleveragents.plans.served_plan import check_may_resume, served_of
from cleveragents.policy.cell_right import cell_rights
from cleveragents.policy.connection import connecting_tools
from cleveragents.policy.path_rule import PathRules
from cleveragents.policy.profile import profile_digest
from cleveragents.policy.scope import compile_scope
from cleveragents.policy.subplan_context import SubplanSecurityContext
from cleveragents.record.entry import Entry
from cleveragents.runtime.call_context import CallContext
from cleveragents.runtime.cell_proxy import CellNetwork
from cleveragents.runtime.journal import Journal
from cleveragents.runtime.plan_cell import DIGEST_FILES, PlanCell
from cleveragents.runtime.server_port import ServerPorts
from cleveragents.terms.interaction import ProgressEvent
from cleveragents.terms.plan import ActorDefinition, PlanDefinition
from cleveragents.terms.tool import Effect

if TYPE_CHECKING:
    from collections.abc import Callable

    from cleveragents.boundary.workspace_slot import Slot
    from cleveragents.config.mcp_server import ServerDefinition
    from cleveragents.plans.charter import Charter
    from cleveragents.plans.means import Means
    from cleveragents.plans.running_plan import Served
    from cleveragents.policy.cell_right import CellRights
    from cleveragents.policy.connection import Caller
    from cleveragents.policy.grant import Grant
    from cleveragents.runtime.call_context import Servers, Spawner
    from cleveragents.runtime.tool_registry import ToolRegistry
    from cleveragents.terms.connection import Connection, Traffic
    from cleveragents.terms.plan import SubplanDefinition
    from cleveragents.terms.tool import ToolSpec


ATTEMPT: Final = "program_attempt"
"""Marks the note of each start of a program actor."""


class PlanOpener:
    """Builds workspace, cell and call context out of what the charter says.

    Nothing here consults settings or the environment: a resumed plan gets what
    it had (law 2).
    """

    def __init__(self, means: Means) -> None:
        self._means = means

    def open(
        self,
        charter: Charter,
        *,
        spawner: Spawner,
        is_fresh: bool,
        served: Served | None = None,
        prepared: PlanCell | None = None,
    ) -> RunningPlan:
        """Make a charter able to act.

        Args:
            charter: The plan.
            spawner: Who makes its subplans.
            is_fresh: The plan was started just now: its record is empty.
            served: What a gateway brings along, in place of a workspace.
            prepared: Its hands, which were made ready before it.

        Raises:
            RecordError: A gateway's plan cannot go on without its client.
        """
        tools = served.tools if served else self._means.tools_of(charter)
        definition = _definition(charter, is_served=served is not None)
        is_program = definition.actor.kind == "program"
        attempt = self._attempt(charter) if is_program else 1
        if served:
            cell = served.hands
        elif prepared:
            cell = prepared
        else:
            facts = {"is_fresh": is_fresh, "is_program": is_program}
            cell = self._cell(charter, tools, attempt=attempt, **facts)
        scope = compile_scope(
            profiles=charter.profiles,
            grant=charter.grant,
            in_subplan=bool(charter.parent_id),
            tools=tools.specs,
            plan_id=charter.plan_id,
        )
        context = CallContext(
            plan_id=charter.plan_id,
            root_id=charter.root_id,
            tools=tools,
            scope=scope,
            hands=cell,
            journal=Journal(self._means.log, charter.plan_id, is_fresh=is_fresh),
            hosts=scope.bounds.hosts,
            spawner=spawner,
            credentials=charter.grant.credentials,
            endpoints=frozenset((*charter.mind.endpoints, *charter.mind.fallbacks)),
            approvals=frozenset(charter.conduct.approvals),
            accounts=charter.accounts,
            security=_security(charter),
            is_live=served is not None and served.is_writable,
        )
        network = self._network(charter, context)
        if network is not None:
            cell.reach(network)
        servers = (
            served.servers(network) if served else self._servers(charter, context, cell, network)
        )
        context = replace(context, servers=servers)
        return RunningPlan(
            charter=charter,
            definition=definition,
            context=context,
            cell=cell,
            attempt=attempt,
            served=served,
        )

    def _cell(
        self,
        charter: Charter,
        tools: ToolRegistry,
        *,
        is_fresh: bool,
        is_program: bool,
        attempt: int,
    ) -> PlanCell:
        rights = cell_rights(charter.profiles, charter.grant)
        return PlanCell(
            launcher=self._means.launcher,
            workspaces=self._means.workspaces,
            slot=self._slot(charter, is_fresh=is_fresh, is_program=is_program, attempt=attempt),
            spec_of=lambda current: self._cell_spec(charter, rights, current, tools),
        )

    def _network(self, charter: Charter, context: CallContext) -> CellNetwork | None:
        """Who answers at the port of this plan's cells; ``None``: they have none."""
        effects = cell_rights(charter.profiles, charter.grant).effects
        if Effect.NETWORK not in effects or not context.hosts.entries:
            return None
        door, interaction = self._means.door, self._means.interaction

        def connect(
            connection: Connection, caller: Caller, carry: Callable[[], Traffic]
        ) -> Traffic:
            return door.connect(connection, caller, context, effects=effects, carry=carry)

        def tell(text: str) -> None:
            interaction.progress(ProgressEvent(plan_id=charter.plan_id, kind="denied", text=text))

        return CellNetwork(
            open_edge=self._means.open_edge,
            connect=connect,
            hosts=context.hosts,
            tools=connecting_tools(context.scope),
            watched=frozenset(s.name for s in context.tools.specs.values() if s.origin == "own"),
            tell=tell,
        )

    def _servers(
        self, charter: Charter, context: CallContext, cell: PlanCell, network: CellNetwork | None
    ) -> Servers | None:
        if not charter.servers:
            return None
        ports = ServerPorts(network)

        def spec_of(definition: ServerDefinition) -> CellSpec:
            # The user's own path too: configurations name it.
            spec = replace(cell.spec(), own_tools=(), tools=(), alias=charter.workspace)
            return ports.fitted(spec, definition)

        servers = self._means.servers_of(
            charter, spec_of=spec_of, hosts=context.hosts, guard=cell.guard, serve=ports.serve
        )
        cell.attend(servers)
        return servers

    def _attempt(self, charter: Charter) -> int:
        """Count the starts of a program in the record: one that was cut off begins anew."""
        log = self._means.log
        notes = log.entries(plan_id=charter.plan_id, kind="note")
        attempt = 1 + sum(ATTEMPT in note.body for note in notes)
        log.append(
            Entry(
                kind="note",
                root_id=charter.root_id,
                plan_id=charter.plan_id,
                body={ATTEMPT: attempt},
            )
        )
        return attempt

    def _slot(self, charter: Charter, *, is_fresh: bool, is_program: bool, attempt: int) -> Slot:
        # A subplan's workspace was forked from its parent's when it was spawned; a program
        # that was cut off starts again from its base tree.
        if (charter.parent_id or not is_fresh) and attempt == 1:
            kept = self._means.workspaces.find(charter.plan_id)
            if kept is not None:
                return kept
        return self._means.workspaces.create(
            charter.plan_id,
            charter.base_tree,
            overlay=charter.isolation.has_overlay
            and not works_in_copy(charter, is_program=is_program),
        )

    def _cell_spec(
        self, charter: Charter, rights: CellRights, slot: Slot, tools: ToolRegistry
    ) -> CellSpec:
        included = _included(charter, rights)
        return CellSpec(
            # A read-only mount has no place to hang included paths on.
            workspace=slot.mount(read_only=not rights.write and not included),
            read=rights.read,
            write=rights.write,
            included=included,
            own_tools=tuple(
                OwnToolFile(name=spec.name, path=Path(spec.source), digest=spec.source_digest)
                for spec in tools.specs.values()
                if spec.origin == "own"
            ),
            limits=self._means.limits,
            tools=(
                DIGEST_FILES,
                *(spec.name for spec in tools.specs.values() if _is_body(spec)),
            ),
        )


def _definition(charter: Charter, *, is_served: bool) -> PlanDefinition | SubplanDefinition:
    if charter.parent_id:
        return subplan_from_stored(charter.definition)
    if not served_of(charter):
        return plan_from_stored(charter.definition)
    if not is_served:
        check_may_resume(charter)
    return PlanDefinition(name=charter.name, actor=ActorDefinition(kind="gateway"))


def works_in_copy(charter: Charter, *, is_program: bool) -> bool:
    """Say whether a plan works in a private copy of its base tree rather than over layers.

    The kernel forbids two overlays over one upper layer, which a plan's own
    cell and the cells of its MCP servers would be.
    """
    if is_program and merges_live(charter.grant):
        return True
    beside = {t.name for s in charter.servers if s.kind == "stdio" for t in s.tools}
    rights = cell_rights(charter.profiles, charter.grant)
    return bool(beside & charter.grant.tools) and bool(rights.write or charter.conduct.included)


def merges_live(grant: Grant) -> bool:
    """Say whether children may come back while a program runs.

    Nobody may change a mounted overlay, so such a program works in a private copy.
    """
    return "spawn_subplan" in grant.tools and grant.depth_left > 0


def _included(charter: Charter, rights: CellRights) -> tuple[tuple[str, str], ...]:
    """Left-out paths of the user's directory that this plan may read; nothing else of the host."""
    readable = PathRules.of_normal(rights.read)
    return tuple(
        (str(Path(charter.workspace) / path), path)
        for path in charter.conduct.included
        if readable.covers(path)
    )


def _is_body(spec: ToolSpec) -> bool:
    return spec.place == "cell" and spec.origin == "builtin"


def _security(charter: Charter) -> SubplanSecurityContext | None:
    if not charter.parent_id:
        return None
    return SubplanSecurityContext(
        subplan_id=charter.plan_id,
        parent_id=charter.parent_id,
        root_id=charter.root_id,
        depth=charter.depth,
        grant=charter.grant,
        profile_digests=tuple(profile_digest(p) for p in charter.profiles),
        deadline=charter.grant.deadline,
    )
