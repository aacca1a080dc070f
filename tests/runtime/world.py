"""A door over a real store and record, with hands in memory."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cleveragents.policy.gate import compile_scope
from cleveragents.policy.host_rule import HostRules
from cleveragents.policy.profile import BUILT_IN, SafetyProfile
from cleveragents.policy.subplan_context import SubplanSecurityContext
from cleveragents.record.account import AccountBook
from cleveragents.record.approval import ApprovalBook
from cleveragents.record.log import RecordLog
from cleveragents.record.redaction import Redactor
from cleveragents.record.store import Store
from cleveragents.runtime.approval import ApprovalDesk
from cleveragents.runtime.call_context import CallContext
from cleveragents.runtime.call_recorder import CallRecorder
from cleveragents.runtime.cost_tracker import CostTracker
from cleveragents.runtime.journal import Journal
from cleveragents.runtime.model_desk import ModelDesk
from cleveragents.runtime.refusal_desk import RefusalDesk
from cleveragents.runtime.tool_registry import ToolRegistry
from cleveragents.runtime.tool_runtime import ToolRuntime
from cleveragents.terms.call import CallResult, ToolCall
from cleveragents.terms.interaction import Nobody
from cleveragents.tools.catalog import BUILT_IN as TOOLS
from features.doubles.in_memory_hands import InMemoryHands
from tests.runtime.models_double import ScriptedModels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cleveragents.policy.grant import Grant
    from cleveragents.record.entry import StoredEntry
    from cleveragents.terms.interaction import ApprovalQuestion, Interaction
    from cleveragents.terms.model import ModelEndpoint
    from cleveragents.tools.broker.credential import Credential

PLAN = "01PLAN"


class Person(Nobody):
    """Answers every question the same way, and remembers them."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer
        self.asked: list[ApprovalQuestion] = []

    def approve_call(self, question: ApprovalQuestion) -> bool | None:
        self.asked.append(question)
        return self.answer


@dataclass
class RecordingBroker:
    """A host's edge that sends nothing and says what it was asked."""

    sent: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    dies: bool = False

    def perform(
        self, tool: str, arguments: Mapping[str, object], context: CallContext, *, timeout_s: float
    ) -> Mapping[str, object]:
        self.sent.append((tool, arguments))
        if self.dies:
            self.dies = False
            raise KeyboardInterrupt
        return {"status": 200, "text": "hello"}


@dataclass
class RecordingSpawner:
    """Makes no children; gives or raises what it is told to."""

    result: Mapping[str, object] | BaseException = field(default_factory=dict)

    def spawn(self, call: ToolCall, context: CallContext) -> Mapping[str, object]:
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


@dataclass(frozen=True)
class Setting:
    """What a plan is called with."""

    profiles: tuple[SafetyProfile, ...] = (BUILT_IN["unrestricted"],)
    grant: Grant | None = None
    is_subplan: bool = False
    approvals: frozenset[str] = frozenset()
    accounts: tuple[str, ...] = ()
    interaction: Interaction = field(default_factory=Nobody)
    secrets: Mapping[str, str] = field(default_factory=dict)
    endpoints: frozenset[ModelEndpoint] = frozenset()
    credentials: Mapping[str, Credential] = field(default_factory=dict)


class World:
    """One plan, its door and its record; ``reopened`` is what a new process finds."""

    def __init__(
        self,
        home: Path,
        setting: Setting | None = None,
        *,
        hands: InMemoryHands | None = None,
        is_fresh: bool = True,
    ) -> None:
        setting = setting or Setting()
        self._setting = setting
        grant, is_subplan = setting.grant, setting.is_subplan
        approvals, accounts, profiles = setting.approvals, setting.accounts, setting.profiles
        interaction, secrets = setting.interaction, setting.secrets
        self.home = home
        self.store = Store.open(f"sqlite:///{home}/store.db")
        ticks = itertools.count()
        self.log = RecordLog(
            self.store,
            heads_dir=home / "heads",
            now=lambda: f"2026-01-01T00:00:{next(ticks) % 60:02}Z",
        )
        self.hands = hands or InMemoryHands(files={"a.txt": "one", "docs/b.txt": "two"})
        self.broker = RecordingBroker()
        self.models = ScriptedModels()
        self.spawner = RecordingSpawner()
        self.accounts = AccountBook(self.store)
        self.approval_book = ApprovalBook(self.log)
        redactor = Redactor(secrets)
        recorder = CallRecorder(
            store=self.store,
            log=self.log,
            tracker=CostTracker(self.accounts, store=self.store),
            redactor=redactor,
        )
        self.door = ToolRuntime(
            recorder=recorder,
            refusals=RefusalDesk(recorder, redactor),
            desk=ApprovalDesk(self.approval_book, interaction, who="a tester"),
            broker=self.broker,
            models=ModelDesk(
                lambda: self.models, book=self.accounts, credentials=setting.credentials
            ),
            redactor=redactor,
            now_ms=lambda: 0,
            call_timeout_s=5,
        )
        registry = ToolRegistry(TOOLS.values())
        security = None
        if is_subplan and grant is not None:
            security = SubplanSecurityContext(
                subplan_id=PLAN, parent_id="01ROOT", root_id="01ROOT", depth=1, grant=grant,
                profile_digests=(), deadline=None,
            )  # fmt: skip
        self.context = CallContext(
            plan_id=PLAN,
            root_id="01ROOT" if is_subplan else PLAN,
            tools=registry,
            scope=compile_scope(
                profiles=profiles,
                grant=grant,
                in_subplan=is_subplan,
                tools=registry.specs,
                plan_id=PLAN,
            ),
            hands=self.hands,
            journal=Journal(self.log, PLAN, is_fresh=is_fresh),
            hosts=HostRules.parse(("*",)),
            spawner=self.spawner,
            approvals=approvals,
            endpoints=setting.endpoints,
            accounts=accounts,
            security=security,
        )

    def call(self, tool: str, /, **arguments: object) -> CallResult:
        return self.call_as("s", tool, arguments)

    def call_as(
        self, step: str, tool: str, arguments: Mapping[str, object], *, attempt: int = 1
    ) -> CallResult:
        return self.door.call(
            ToolCall(step=step, tool=tool, arguments=arguments, attempt=attempt), self.context
        )

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.entries()]

    def entries(self) -> list[StoredEntry]:
        return [e for e in self.log.entries(plan_id=PLAN) if e.kind != "head"]

    def reopened(self, **changes: tuple[SafetyProfile, ...]) -> World:
        self.log.close()
        self.store.close()
        setting = replace(self._setting, **changes)  # type: ignore[arg-type]  # profiles only
        return World(self.home, setting, hands=self.hands, is_fresh=False)
