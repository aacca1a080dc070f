"""Every part of the product, made when it is first asked for and put together here."""

from __future__ import annotations

import os
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from cleveragents.assembly import server_room
from cleveragents.assembly.clock import new_id, now_ms, timestamp
from cleveragents.assembly.credential_opening import open_credentials
from cleveragents.assembly.network_room import open_edge, open_fetch
from cleveragents.boundary.apply import DirectoryApply
from cleveragents.boundary.cell_spec import CellLimits
from cleveragents.boundary.git import Git
from cleveragents.boundary.launcher import BubblewrapLauncher
from cleveragents.boundary.tree import TreeStore
from cleveragents.boundary.unconfined import UnconfinedLauncher
from cleveragents.boundary.workspace import Workspaces
from cleveragents.config.library import Library
from cleveragents.config.settings import Settings, home_directory, load_settings
from cleveragents.errors import ConfigurationError, IsolationUnavailableError, RecordError
from cleveragents.plans.apply import ApplyDesk
from cleveragents.plans.conflict_book import ConflictBook
from cleveragents.plans.decision_book import DecisionBook
from cleveragents.plans.means import Means
from cleveragents.plans.proposal_book import ProposalBook
from cleveragents.plans.watch import Watch
from cleveragents.record import plan_row
from cleveragents.record.account import AccountBook
from cleveragents.record.approval import ApprovalBook
from cleveragents.record.log import RecordLog
from cleveragents.record.owner import OwnerDesk
from cleveragents.record.plan_table import PlanTable
from cleveragents.record.redaction import Redactor
from cleveragents.record.store import Store
from cleveragents.runtime.approval import ApprovalDesk
from cleveragents.runtime.call_recorder import CallRecorder
from cleveragents.runtime.cost_tracker import CostTracker
from cleveragents.runtime.model_desk import ModelDesk
from cleveragents.runtime.network_broker import NetworkBroker
from cleveragents.runtime.refusal_desk import RefusalDesk
from cleveragents.runtime.tool_registry import ToolRegistry
from cleveragents.runtime.tool_runtime import ToolRuntime
from cleveragents.terms.interaction import ProgressEvent
from cleveragents.tools.catalog import BUILT_IN
from cleveragents.tools.own_tool import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cleveragents.assembly.model_room import ModelRoom
    from cleveragents.boundary.cell import CellLauncher
    from cleveragents.boundary.cell_spec import LiveMount
    from cleveragents.boundary.live_owner import LiveFooting
    from cleveragents.config.credential_source import CredentialSource
    from cleveragents.plans.charter import Charter
    from cleveragents.terms.interaction import Interaction
    from cleveragents.terms.tool import ToolSpec

ROOT_CELLS = Path("/var/lib/cleveragents/cell")
"""Where root keeps what cells see: passable by the uid that cells run as."""
OFF_UNSAFE = "off-unsafe"


class House:
    """One process's parts over one ``CLEVERAGENTS_HOME``.

    Args:
        environ: The environment that settings and credentials are read from.
        isolation: ``""`` for the wall, ``off-unsafe`` for none.
    """

    def __init__(self, environ: Mapping[str, str], *, isolation: str = "") -> None:
        self._environ = environ
        self._isolation = isolation
        self.budget_warnings: list[str] = []
        """What was said about limits while plans ran."""
        self.home: Path = home_directory(environ)
        _make_private(self.home)

    @cached_property
    def settings(self) -> Settings:
        """Settings of environment and ``config.toml``."""
        return load_settings(self._environ, home=self.home)

    @cached_property
    def library(self) -> Library:
        """What the operator added by name."""
        return Library(self.home)

    @cached_property
    def _store(self) -> Store:
        return Store.open(self.settings.database_url or f"sqlite:///{self.home}/cleveragents.db")

    def store(self) -> Store:
        """The database."""
        return self._store

    @cached_property
    def _log(self) -> RecordLog:
        return RecordLog(self._store, heads_dir=self.home / "heads", now=timestamp)

    def log(self) -> RecordLog:
        """The record."""
        return self._log

    @property
    def cell_root(self) -> Path:
        """Where base trees, workspaces and the guest's runtime are."""
        if self.settings.cell_root:
            return Path(self.settings.cell_root)
        return ROOT_CELLS if os.geteuid() == 0 else self.home / "cell"

    @cached_property
    def _launcher(self) -> BubblewrapLauncher | UnconfinedLauncher:
        if self._isolation == OFF_UNSAFE:
            return UnconfinedLauncher()
        return BubblewrapLauncher(self.cell_root)

    def launcher(self) -> CellLauncher:
        """Who starts cells."""
        return self._launcher

    @cached_property
    def trees(self) -> TreeStore:
        """Snapshots and base trees."""
        owner = self._launcher.owner
        git = Git.open(self.home / "trees.git")
        store = TreeStore(git, self.cell_root, owner)
        store.prepare()
        return store

    @cached_property
    def workspaces(self) -> Workspaces:
        """Every plan's workspace."""
        return Workspaces(self.trees)

    @cached_property
    def _models(self) -> ModelRoom:
        from cleveragents.assembly.model_room import ModelRoom  # noqa: PLC0415

        return ModelRoom(self.settings, now_ms=now_ms)

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment that settings and credentials are read from."""
        return self._environ

    def registry(
        self, own_tools: Iterable[Path] = (), of_servers: Iterable[ToolSpec] = ()
    ) -> ToolRegistry:
        """The built-in tools, those added by name, those of the given files and of MCP servers.

        Raises:
            ConfigurationError: A file cannot be read, or a name is taken.
        """
        files = dict.fromkeys([*self.library.tool_files(), *own_tools])
        own = [spec for file in files for spec in describe(file)]
        return ToolRegistry([*BUILT_IN.values(), *own, *of_servers])

    def tools_of(self, charter: Charter) -> ToolRegistry:
        """The tools that a charter names: built-in, own ones by their files, MCP servers'."""
        own = [spec for file in charter.tools for spec in describe(Path(file))]
        for spec in own:
            if spec.source_digest != charter.tools[spec.source]:
                raise RecordError(
                    problem=f"the tool file {spec.source} has changed since the plan started",
                    hint="put it back as it was, or start a new plan",
                )
        of_servers = server_room.specs_of_charter(charter) if charter.servers else ()
        return ToolRegistry([*BUILT_IN.values(), *own, *of_servers])

    def limits(self) -> CellLimits:
        """What one cell may use up, from the settings."""
        settings = self.settings
        return CellLimits(
            memory_bytes=settings.memory_mb << 20,
            processes=settings.processes,
            workspace_bytes=settings.workspace_mb << 20,
        )

    def live_footing(self, mounts: Sequence[LiveMount]) -> LiveFooting:
        """Say how the operator's directories are mounted live in cells, and as whom.

        Raises:
            ConfigurationError: One is to be written to, and nobody could.
            IsolationUnavailableError: There is no wall to mount them behind.
        """
        if isinstance(self._launcher, UnconfinedLauncher):
            raise IsolationUnavailableError(
                problem="live directories are mounted behind the wall only",
                fix="leave --isolation out",
            )
        return self._launcher.live_footing(mounts)

    def require_isolation(self) -> None:
        """Build the wall once and look from inside.

        Raises:
            IsolationUnavailableError: It does not stand; nothing may run.
        """
        report = self._launcher.isolation
        if self._isolation != OFF_UNSAFE and not report.verified:
            raise IsolationUnavailableError(
                problem="; ".join(report.problems) or "isolation could not be verified",
                fix="; ".join(dict.fromkeys(report.fixes)) or "'agents doctor' shows every layer",
            )

    def means(
        self, interaction: Interaction, sources: Mapping[str, CredentialSource] | None = None
    ) -> Means:
        """Everything that a plan's life is made of.

        Args:
            interaction: Who is asked and told.
            sources: The credentials that the plan's charter declares.
        """
        credentials = open_credentials(sources or {}, self._environ)
        log, store = self._log, self._store
        accounts = AccountBook(store)
        redactor = Redactor({name: c.value for name, c in credentials.items()})
        tracker = CostTracker(
            accounts, store=store, today=self.today, per_day=self.settings.budget_per_day
        )

        def warn(plan_id: str, text: str) -> None:
            interaction.progress(ProgressEvent(plan_id=plan_id, kind="budget", text=text))
            self.budget_warnings.append(text)

        recorder = CallRecorder(store=store, log=log, tracker=tracker, redactor=redactor, warn=warn)
        door = ToolRuntime(
            recorder=recorder,
            refusals=RefusalDesk(recorder, redactor),
            desk=ApprovalDesk(ApprovalBook(log), interaction, who=person(self._environ)),
            broker=NetworkBroker(open_fetch, credentials),
            models=ModelDesk(lambda: self._models, book=accounts, credentials=credentials),
            redactor=redactor,
            now_ms=now_ms,
            call_timeout_s=self.settings.timeout_s,
        )
        git = self.trees.git
        decisions = DecisionBook(log, redactor, lock=store.lock)
        return Means(
            store=store,
            log=log,
            rows=PlanTable(store, log),
            owners=OwnerDesk(store, locks_dir=self.home / "locks", now=timestamp),
            accounts=accounts,
            git=git,
            trees=self.trees,
            workspaces=self.workspaces,
            proposals=ProposalBook(log, self.workspaces),
            conflicts=ConflictBook(log, git, decisions),
            decisions=decisions,
            launcher=self._launcher,
            limits=self.limits(),
            door=door,
            open_edge=open_edge,
            watch=Watch(
                is_cancelled=lambda root: plan_row.get(store, root).cancel_requested,
                now_ms=now_ms,
            ),
            interaction=interaction,
            tools_of=self.tools_of,
            servers_of=partial(server_room.servers_of, self, credentials),
            new_id=new_id,
            timestamp=timestamp,
        )

    def today(self) -> str:
        """The day whose account is charged, in UTC."""
        return timestamp()[:10]

    def apply_desk(self, means: Means) -> ApplyDesk:
        """Who applies finished plans."""
        return ApplyDesk(
            means, DirectoryApply(means.git, self.home / "apply"), who=person(self._environ)
        )

    def close(self) -> None:
        """End what was started and close what was opened."""
        opened = self.__dict__
        if "_models" in opened:
            self._models.close()
        if "_launcher" in opened:
            self._launcher.close()
        if "_log" in opened:
            self._log.close()
        if "_store" in opened:
            self._store.close()


def person(environ: Mapping[str, str]) -> str:
    """Who answers at this terminal, for the record."""
    return environ.get("SUDO_USER") or environ.get("USER") or f"uid {os.getuid()}"


def open_house(environ: Mapping[str, str], *, isolation: str = "") -> House:
    """Make a house over the home that the environment names.

    Raises:
        ConfigurationError: The home cannot be made, or an option is unknown.
    """
    if isolation not in ("", OFF_UNSAFE):
        raise ConfigurationError(
            problem=f"--isolation {isolation!r} is unknown", hint=f"known: {OFF_UNSAFE}"
        )
    return House(environ, isolation=isolation)


def _make_private(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            problem=f"the home {home} cannot be made: {error.strerror}",
            hint="CLEVERAGENTS_HOME names another place",
        ) from error
