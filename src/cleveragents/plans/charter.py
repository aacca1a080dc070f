"""What is fixed when a plan starts, stored with it and re-read, never recomputed.

A resume, a retry and another machine read the charter out of the record (law
2): a profile edited in between binds new plans only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from cleveragents.config.credential_source import CredentialSource
from cleveragents.errors import RecordError
from cleveragents.plans.mind import NO_MIND, Mind, mind_from_mapping, mind_to_mapping
from cleveragents.policy.grant import Grant, grant_from_mapping
from cleveragents.policy.grant import to_mapping as grant_to_mapping
from cleveragents.policy.profile import SafetyProfile, profile_digest, profile_from_mapping
from cleveragents.policy.profile import to_mapping as profile_to_mapping
from cleveragents.terms.cost import NO_LIMITS, Limits
from cleveragents.terms.digest import digest_value
from cleveragents.tools.mcp_spec import PinnedServer, pinned_from_mapping
from cleveragents.tools.mcp_spec import to_mapping as pinned_to_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.record.log import RecordLog


@dataclass(frozen=True, slots=True)
class Isolation:
    """The wall of a run, stamped on plan, status and record."""

    tier: str
    is_verified: bool
    has_overlay: bool


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a plan is run: what an automation profile says beside its safety profile."""

    automation_profile: str = ""
    approvals: tuple[str, ...] = ()
    apply: str = "ask"
    max_parallel: int = 4
    max_depth: int = 3
    merge_strategy: str = "git_three_way"
    included: tuple[str, ...] = ()
    """Left-out paths shown read-only, as they are in the user's directory."""
    shown: tuple[str, ...] = ()
    """Ignored or secret files that an operator's profile names: part of the base tree."""


@dataclass(frozen=True, slots=True)
class Charter:
    """Everything that a plan's calls are decided and performed by."""

    plan_id: str
    root_id: str
    name: str
    definition: Mapping[str, object]
    """The plan mapping, canonical, as the loader stores it."""
    grant: Grant
    profiles: tuple[SafetyProfile, ...]
    """Those in force, in the documented order, patterns resolved."""
    child_profiles: tuple[SafetyProfile, ...]
    """Those that bind subplans: the operator's, and `delegates` or the plan's own."""
    conduct: Conduct
    isolation: Isolation
    base_tree: str
    parent_id: str = ""
    call_id: str = ""
    """The parent's spawn call."""
    depth: int = 0
    workspace: str = ""
    """The user's directory; root plans only."""
    inputs: Mapping[str, object] = field(default_factory=dict)
    limits: Limits = NO_LIMITS
    accounts: tuple[str, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)
    """Own tools by the path of their file, with its digest."""
    credentials: Mapping[str, CredentialSource] = field(default_factory=dict)
    """Where the host finds each declared credential; never a value."""
    warnings: tuple[str, ...] = ()
    """Patterns and names of the profiles that match no tool."""
    session_id: str = ""
    mind: Mind = NO_MIND
    """Models lent to it and to its subplans."""
    servers: tuple[PinnedServer, ...] = ()
    """MCP servers with their tools, as they were when the root plan started."""

    @property
    def profile_name(self) -> str:
        """The name that status shows: every profile in force that restricts."""
        names = [p.name for p in self.profiles if p.name != "unrestricted"]
        return " + ".join(dict.fromkeys(names)) or "unrestricted"

    @property
    def profile_digest(self) -> str:
        """Digest of the profile that restricts, or of all digests when several do."""
        named = [p for p in self.profiles if p.name != "unrestricted"] or self.profiles
        digests = list(dict.fromkeys(profile_digest(p) for p in named))
        return digests[0] if len(digests) == 1 else digest_value(digests)


def to_mapping(charter: Charter) -> dict[str, object]:
    """Plain JSON, for the record's ``plan_started`` entry."""
    return {
        "plan_id": charter.plan_id,
        "root_id": charter.root_id,
        "parent_id": charter.parent_id,
        "call_id": charter.call_id,
        "depth": charter.depth,
        "name": charter.name,
        "definition": charter.definition,
        "definition_digest": digest_value(charter.definition),
        "inputs": charter.inputs,
        "grant": grant_to_mapping(charter.grant),
        "profiles": [profile_to_mapping(p) for p in charter.profiles],
        "profile_digests": [profile_digest(p) for p in charter.profiles],
        "child_profiles": [profile_to_mapping(p) for p in charter.child_profiles],
        "automation_profile": charter.conduct.automation_profile,
        "approvals": list(charter.conduct.approvals),
        "apply": charter.conduct.apply,
        "max_parallel": charter.conduct.max_parallel,
        "max_depth": charter.conduct.max_depth,
        "merge_strategy": charter.conduct.merge_strategy,
        "included": list(charter.conduct.included),
        "shown": list(charter.conduct.shown),
        "isolation": {
            "tier": charter.isolation.tier,
            "verified": charter.isolation.is_verified,
            "overlay": charter.isolation.has_overlay,
        },
        "base_tree": charter.base_tree,
        "workspace": charter.workspace,
        "limits": limits_to_mapping(charter.limits),
        "accounts": list(charter.accounts),
        "session_id": charter.session_id,
        "tools": dict(charter.tools),
        "credentials": {
            name: {"kind": source.kind, "place": source.place, "hosts": list(source.hosts)}
            for name, source in charter.credentials.items()
        },
        "warnings": list(charter.warnings),
        "mind": mind_to_mapping(charter.mind),
        "servers": [pinned_to_mapping(server) for server in charter.servers],
    }


def charter_from_mapping(raw: Mapping[str, object]) -> Charter:
    """Read a charter back out of the record.

    Raises:
        RecordError: The mapping is not one that ``to_mapping`` made.
    """
    try:
        isolation = cast("Mapping[str, object]", raw["isolation"])
        return Charter(
            plan_id=str(raw["plan_id"]),
            root_id=str(raw["root_id"]),
            parent_id=str(raw["parent_id"]),
            call_id=str(raw["call_id"]),
            depth=int(cast("int", raw["depth"])),
            name=str(raw["name"]),
            definition=cast("Mapping[str, object]", raw["definition"]),
            inputs=cast("Mapping[str, object]", raw["inputs"]),
            grant=grant_from_mapping(cast("Mapping[str, object]", raw["grant"])),
            profiles=_profiles(raw["profiles"]),
            child_profiles=_profiles(raw["child_profiles"]),
            conduct=Conduct(
                automation_profile=str(raw["automation_profile"]),
                approvals=_strings(raw["approvals"]),
                apply=str(raw["apply"]),
                max_parallel=int(cast("int", raw["max_parallel"])),
                max_depth=int(cast("int", raw["max_depth"])),
                merge_strategy=str(raw["merge_strategy"]),
                included=_strings(raw["included"]),
                shown=_strings(raw["shown"]),
            ),
            isolation=Isolation(
                tier=str(isolation["tier"]),
                is_verified=bool(isolation["verified"]),
                has_overlay=bool(isolation["overlay"]),
            ),
            base_tree=str(raw["base_tree"]),
            workspace=str(raw["workspace"]),
            limits=limits_from_mapping(cast("Mapping[str, int | None]", raw["limits"])),
            accounts=_strings(raw["accounts"]),
            tools=dict(cast("Mapping[str, str]", raw["tools"])),
            credentials=_credentials(raw["credentials"]),
            warnings=_strings(raw["warnings"]),
            session_id=str(raw.get("session_id", "")),
            # A plan of an earlier version has none.
            mind=mind_from_mapping(cast("Mapping[str, object]", raw["mind"]))
            if "mind" in raw
            else NO_MIND,
            servers=tuple(
                pinned_from_mapping(item)
                for item in cast("list[Mapping[str, object]]", raw.get("servers", []))
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(
            problem=f"the stored start of plan {raw.get('plan_id', '?')} cannot be read"
            f" ({type(error).__name__}: {error})",
            hint="'agents audit verify' says whether the record was changed",
        ) from error


def read_charter(log: RecordLog, plan_id: str) -> Charter:
    """Read a plan's charter out of the record.

    Raises:
        RecordError: The record holds no start of it.
    """
    for entry in log.entries(plan_id=plan_id, kind="plan_started", limit=1):
        return charter_from_mapping(log.resolve(entry.body))
    raise RecordError(
        problem=f"the record holds no start of plan {plan_id}",
        hint="'agents audit verify' says whether the record was changed",
    )


def limits_to_mapping(limits: Limits) -> dict[str, int | None]:
    """Every dimension by its field name."""
    return {
        "cost_microusd": limits.cost_microusd,
        "tokens": limits.tokens,
        "requests": limits.requests,
        "tool_calls": limits.tool_calls,
        "seconds": limits.seconds,
    }


def limits_from_mapping(raw: Mapping[str, int | None]) -> Limits:
    """The reverse of ``limits_to_mapping``."""
    return Limits(**raw)


def _profiles(raw: object) -> tuple[SafetyProfile, ...]:
    return tuple(
        profile_from_mapping(item, where="the record")
        for item in cast("list[Mapping[str, object]]", raw)
    )


def _credentials(raw: object) -> dict[str, CredentialSource]:
    found = cast("Mapping[str, Mapping[str, object]]", raw)
    return {
        name: CredentialSource(
            kind="file" if item["kind"] == "file" else "env",
            place=str(item["place"]),
            hosts=_strings(item["hosts"]),
        )
        for name, item in found.items()
    }


def _strings(raw: object) -> tuple[str, ...]:
    return tuple(str(item) for item in cast("list[object]", raw))
