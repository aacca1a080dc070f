"""The cost of one decision, beside a plain dict-and-prefix check of the same rules.

Both are measured in the same run, interleaved in small batches, so that the
ratios hold on a busy machine. What must be reached: ``decide`` p50 <= 2x the
floor and p99 <= 2.5 us; the grant on top of the profile <= 0.5 us; ``attenuate``
<= 20 us.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from cleveragents.policy.gate import Scope, compile_scope, decide, prepare
from cleveragents.policy.grant import Grant
from cleveragents.policy.pattern import resolve
from cleveragents.policy.profile import SafetyProfile
from cleveragents.terms.plan import DelegationRequest
from cleveragents.terms.tool import Effect, ResourceArgument, ToolSpec

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIXES = ("docs/", "src/app/", "src/lib/", "tests/unit/", "examples/")
BATCH = 20
ROUNDS = 2000


def _tool(number: int) -> ToolSpec:
    return ToolSpec(
        name=f"group{number % 10}_tool{number}",
        description="",
        parameters={
            "type": "object",
            "properties": {"path": {"type": "string"}},
            "required": ["path"],
            "additionalProperties": False,
        },
        effects=frozenset({Effect.READ}),
        resources=(ResourceArgument("path", "file", "read"),),
    )


TOOLS = {tool.name: tool for tool in map(_tool, range(100))}
NAMES = tuple(TOOLS)[:20]
PATTERNS = tuple(f"group{number}_tool9*" for number in range(10))
PROFILE = resolve(
    SafetyProfile(
        "bench",
        allowed_tools=NAMES + PATTERNS,
        effects=frozenset({Effect.READ, Effect.WRITE}),
        read=PREFIXES,
        write=(),
    ),
    TOOLS,
).profile
GRANT = Grant.root(tools=TOOLS, read=PREFIXES, write=(), credentials=("KEY",))
CALL = (TOOLS[NAMES[7]], {"path": "src/lib/deep/module.py"})
REQUEST = DelegationRequest(
    tools=NAMES,
    read=tuple(prefix + "part/" for prefix in PREFIXES),
    hosts=("api.example.com",),
    credentials=("KEY",),
    depth=1,
)


def _scope(*, grant: Grant | None) -> Scope:
    return compile_scope(
        profiles=(PROFILE,), grant=grant, in_subplan=grant is not None, tools=TOOLS, plan_id="P"
    )


def _floor() -> Callable[[], object]:
    """The least that answers the same questions: names, effects, paths, of profile and grant."""
    spec, arguments = CALL
    allowed = dict.fromkeys(PROFILE.allowed_tools or ())
    granted = dict.fromkeys(GRANT.tools)
    ceiling, prefixes = PROFILE.effects, PREFIXES
    resources = prepare(spec, arguments).resources

    def check() -> object:
        if spec.name not in allowed or spec.name not in granted or spec.effects - ceiling:
            return None
        for resource in resources:
            path = resource.value
            if path.startswith(("/", "../")):
                return None
            if not path.startswith(prefixes):
                return None
            if not path.startswith(prefixes):
                return None
        return spec

    return check


def _decision(*, grant: Grant | None) -> Callable[[], object]:
    spec, arguments = CALL
    prepared = prepare(spec, arguments)
    scope = _scope(grant=grant)
    final, resources = prepared.arguments, prepared.resources
    return lambda: decide(scope, spec, final, resources)


def _batch_ns(call: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    for _ in range(BATCH):
        call()
    return (time.perf_counter_ns() - start) / BATCH


def _medians(*calls: Callable[[], object]) -> list[float]:
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for samples, call in zip(taken, calls, strict=True):
            samples.append(_batch_ns(call))
    return [statistics.median(samples) for samples in taken]


def _p99_ns(call: Callable[[], object]) -> float:
    samples = []
    for _ in range(20_000):
        start = time.perf_counter_ns()
        call()
        samples.append(time.perf_counter_ns() - start)
    return statistics.quantiles(samples, n=100)[98]


class GateSuite:
    """A decision in a plan with 100 tools, 20 names, 10 patterns, 5 path prefixes."""

    timeout = 60

    def setup(self) -> None:
        self.floor = _floor()
        self.profile_only = _decision(grant=None)
        self.with_grant = _decision(grant=GRANT)
        assert self.floor() is not None
        assert type(self.with_grant()).__name__ == "Allowed"

    def track_decision_p50_over_floor(self) -> float:
        floor, decision = _medians(self.floor, self.with_grant)
        return decision / floor

    def track_decision_p50_us(self) -> float:
        return _medians(self.with_grant)[0] / 1000

    def track_decision_p99_us(self) -> float:
        return _p99_ns(self.with_grant) / 1000

    def track_grant_on_top_of_profile_p50_us(self) -> float:
        profile, both = _medians(self.profile_only, self.with_grant)
        return (both - profile) / 1000

    def track_attenuate_p50_us(self) -> float:
        return _medians(lambda: GRANT.attenuate(REQUEST))[0] / 1000

    def time_decision(self) -> None:
        self.with_grant()

    def time_attenuate(self) -> None:
        GRANT.attenuate(REQUEST)

    track_decision_p50_over_floor.unit = "ratio"  # type: ignore[attr-defined]  # read by asv
    track_decision_p50_us.unit = "us"  # type: ignore[attr-defined]  # read by asv
    track_decision_p99_us.unit = "us"  # type: ignore[attr-defined]  # read by asv
    track_grant_on_top_of_profile_p50_us.unit = "us"  # type: ignore[attr-defined]  # read by asv
    track_attenuate_p50_us.unit = "us"  # type: ignore[attr-defined]  # read by asv
