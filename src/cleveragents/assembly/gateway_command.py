"""What `agents mcp serve` does: a plan whose calls come from somebody else's MCP client."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from cleveragents.assembly.allowance import Typed, joined
from cleveragents.assembly.clock import new_id
from cleveragents.assembly.gateway_offer import GatewayOffer
from cleveragents.assembly.gateway_place import read_http
from cleveragents.assembly.house import open_house
from cleveragents.assembly.order import founded, make_charter
from cleveragents.assembly.plan_command import RunRequest
from cleveragents.config.plan_file import LoadedPlan
from cleveragents.config.reader import Reader
from cleveragents.errors import ConfigurationError
from cleveragents.gateway.live_hands import LiveHands
from cleveragents.plans.lifecycle import PlanLifecycleService
from cleveragents.plans.running_plan import Served
from cleveragents.terms.plan import ActorDefinition, PlanDefinition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cleveragents.assembly.gateway_place import HttpRequest
    from cleveragents.assembly.house import House
    from cleveragents.gateway.http_front import HttpFront
    from cleveragents.gateway.service import Service, StdioFront
    from cleveragents.plans.charter import Charter
    from cleveragents.plans.means import Means
    from cleveragents.runtime.plan_cell import PlanCell
    from cleveragents.terms.interaction import Interaction

NAME: Final = "mcp serve"
"""What the plan is called."""


@dataclass(frozen=True, slots=True)
class ServeRequest:
    """`agents mcp serve`, as it was typed."""

    safety_profile: str
    directories: tuple[Path, ...]
    is_writable: bool = False
    automation_profile: str | None = None
    config: Path | None = None
    command: tuple[str, ...] = ()
    """One server, in place of ``config``."""
    is_trusted: bool = False
    """The annotations of that one's tools are believed."""
    limits: Typed = field(default_factory=Typed)
    session: str | None = None
    http: HttpRequest | None = None


@dataclass(frozen=True, slots=True)
class Streams:
    """Where a client on stdio is."""

    incoming: int
    outgoing: int


def serve(
    request: ServeRequest, interaction: Interaction, streams: Streams, say: Callable[[str], None]
) -> int:
    """Serve until the client leaves, a signal comes, or the plan is cancelled.

    Args:
        request: What was typed.
        interaction: Who is told what happens; nobody is asked.
        streams: The client's, without `--http`.
        say: Tells the operator one line.

    Returns:
        The exit code: 0, or that of what ended the plan.

    Raises:
        CleverAgentsError: Nothing started.
    """
    with _house() as house:
        return _Opening(house, request, streams, say).run(interaction)


class _Opening:
    """One gateway, put together."""

    def __init__(
        self,
        house: House,
        request: ServeRequest,
        streams: Streams,
        say: Callable[[str], None],
    ) -> None:
        self._house = house
        self._request = request
        self._streams = streams
        self._say = say
        self._address = None if request.http is None else read_http(request.http, os.environ)
        self._offer = GatewayOffer(house, request, say)

    def run(self, interaction: Interaction) -> int:
        house, offer = self._house, self._offer
        house.require_isolation()
        try:
            charter = offer.bind(self._charter())
            found = house.live_footing(offer.directories())
            if found.problem:
                self._say(f"{found.problem}; directories are mounted as {found.way}")
            with _means(house, interaction, charter) as means:
                is_default = self._request.session is None
                charter = joined(house, means, charter, is_default=is_default)
                return self._serve(self._founded(charter, found.way), means)
        finally:
            if offer.servers is not None:
                offer.servers.close()

    def _charter(self) -> Charter:
        request, root = self._request, self._offer.root
        return make_charter(
            self._house,
            _loaded(),
            RunRequest(
                workspace=root,
                automation_profile=request.automation_profile,
                safety_profile=request.safety_profile,
                max_cost=request.limits.cost,
                max_tokens=request.limits.tokens,
                max_requests=request.limits.requests,
                max_tool_calls=request.limits.tool_calls,
                max_seconds=request.limits.seconds,
                session=request.session,
            ),
            plan_id=new_id(),
            workspace=root,
            narrowed=self._offer.narrowed,
        )

    def _founded(self, charter: Charter, way: str) -> Charter:
        """Give the charter with what the record keeps in the place of a plan file."""
        mounts = self._offer.directories()
        definition = {
            "name": NAME,
            "actor": {"kind": "gateway"},
            "directories": [str(mount.directory) for mount in mounts],
            "rw": self._offer.is_written,
            "mounted": way,
        }
        charter = founded(charter, "", self._house.launcher().isolation)
        return replace(charter, definition=definition)

    def _serve(self, charter: Charter, means: Means) -> int:
        offer = self._offer
        hands = LiveHands(
            launcher=self._house.launcher(),
            spec_of=offer.tool_cell,
            size=charter.conduct.max_parallel,
        )
        if offer.servers is not None:
            hands.attend(offer.servers)
        service = self._service(charter, means, hands)
        for text in charter.warnings:
            self._say(text)
        served = Served(
            offer.registry,
            # Of a workspace's hands a gateway's plan uses what the door and the watch use.
            cast("PlanCell", hands),
            service.act,
            is_writable=offer.is_writable,
            servers=offer.live_servers,
        )
        ending = PlanLifecycleService(means).serve_root(charter, served)
        if ending.error is not None:
            self._say(ending.error.message)
        return ending.exit_code

    def _service(self, charter: Charter, means: Means, hands: LiveHands) -> Service:
        # Dear, and wanted by this command alone; absent without its extra.
        try:
            from cleveragents.gateway.http_front import (  # noqa: PLC0415
                HttpFront,
                HttpPlace,
                address_of,
                listen,
            )
            from cleveragents.gateway.mcp_server import Gateway  # noqa: PLC0415
            from cleveragents.gateway.service import Service, StdioFront  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                problem=f"'agents mcp serve' needs the package {error.name!r}",
                hint="pip install 'cleveragents[mcp]'",
            ) from error
        plan_id = charter.plan_id
        gateway = Gateway(
            name="cleveragents",
            version=version("cleveragents"),
            instructions=_instructions(charter),
            tools=self._offer.admitted(charter),
        )
        place = None
        if (found := self._address) is not None:
            place = HttpPlace(found.host, found.port, found.token, found.names)
        listener = None if place is None else listen(place)

        def ready() -> None:
            where = "on stdio" if listener is None else f"at {address_of(listener)}"
            self._say(f"plan {plan_id} serves MCP {where}; 'agents plan status {plan_id}' shows it")

        def front() -> HttpFront | StdioFront:
            if place is None or listener is None:
                return StdioFront(gateway, self._streams.incoming, self._streams.outgoing)
            return HttpFront(gateway.server, place, listener)

        return Service(
            plan_id,
            gateway,
            hands,
            open_front=front,
            rule_of=lambda call_id: _rule(means, plan_id, call_id),
            on_ready=ready,
        )


def _loaded() -> LoadedPlan:
    """A plan that no file holds: its actor is whoever is connected."""
    definition = PlanDefinition(name=NAME, actor=ActorDefinition(kind="gateway"))
    raw = {"name": NAME, "actor": {"kind": "gateway"}}
    return LoadedPlan(definition=definition, raw=raw, base=Path.cwd(), reader=Reader(raw, NAME))


def _instructions(charter: Charter) -> str:
    return (
        f"Every call is decided by the safety profile {charter.profile_name!r}, recorded and"
        f" counted. What is refused says which rule refused it. This is plan {charter.plan_id}."
    )


def _rule(means: Means, plan_id: str, call_id: str) -> str:
    """Which rule refused a call, as it was recorded; empty when none did."""
    for entry in reversed(means.log.call_entries(plan_id, call_id)):
        if entry.kind == "violation":
            return str(means.log.resolve(entry.body).get("rule", ""))
    return ""


@contextmanager
def _house() -> Iterator[House]:
    house = open_house(os.environ)
    try:
        yield house
    finally:
        house.close()


@contextmanager
def _means(house: House, interaction: Interaction, charter: Charter) -> Iterator[Means]:
    means = house.means(interaction, charter.credentials)
    try:
        yield means
    finally:
        means.watch.close()
