"""How a plan stands, as a page: refusals first, and last what to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.cli.fact import counted, mapping_at, rows_at, text_at, texts_at
from cleveragents.cli.page import Field, Fields, Heading, Paragraph, Table
from cleveragents.cli.spent import spent_text, way_on

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cleveragents.cli.page import Block, Page, Tone

    Data = Mapping[str, object]

OUTCOMES: Final[dict[str, tuple[str, Tone]]] = {
    "applied": ("applied: its changes are in your directory", "good"),
    "merged": ("merged into its parent", "good"),
    "merge_refused": ("its changes were refused by its parent", "bad"),
    "constrained": ("ended by a refusal or a limit; what it made until then is kept", "bad"),
    "conflicted": ("in conflict; your directory is unchanged", "bad"),
    "errored": ("failed; your directory is unchanged", "bad"),
    "cancelled": ("cancelled; your directory is unchanged", "warn"),
}
SERVED: Final[dict[str, tuple[str, Tone]]] = {
    "constrained": ("ended by a refusal or a limit; what its calls did until then stays", "bad"),
    "errored": ("failed; what its calls did until then stays", "bad"),
    "cancelled": ("cancelled; what its calls did until then stays", "warn"),
}
"""Of a plan whose calls come from an MCP client or a program: they are made as they come."""
KINDS: Final = {
    "tool_access_denied": "refused by a safety profile",
    "security_boundary": "outside what the subplan was handed",
    "delegation_refused": "more than may be handed on",
    "budget_exceeded": "over budget",
    "merge_refused": "changes refused",
}
STEP_TONES: Final[dict[str, Tone]] = {
    "done": "good",
    "denied": "bad",
    "failed": "bad",
    "waiting": "warn",
    "interrupted": "warn",
    "pending": "dim",
    "skipped": "dim",
}


def status_page(data: Data) -> Page:
    """Draw the ``data`` of ``plan status`` and ``plan run``."""
    return (
        *_head(data),
        *_violations(data),
        *_waiting(data),
        *_steps(data),
        *_connections(data),
        *_subplans(data),
        *_conflicts(data),
        *_next(data),
    )


def _head(data: Data) -> Iterator[Block]:
    name = text_at(data, "name", absent="plan")
    yield Heading(f"{name}  {text_at(data, 'plan_id')}")
    standing, tone = _standing(data)
    isolation, isolation_tone = _isolation(data)
    yield Fields(
        (
            Field("state", standing, tone),
            Field("phase", text_at(data, "phase")),
            Field("parent", text_at(data, "parent_plan_id")),
            Field("safety profile", _profile(data)),
            Field("automation", text_at(data, "automation_profile")),
            Field("session", text_at(data, "session_id")),
            Field("isolation", isolation, isolation_tone),
            Field("cost", _cost(mapping_at(data, "cost"))),
            Field("started", _timing(data)),
            Field("error", _error(data), "bad"),
        )
    )


def _standing(data: Data) -> tuple[str, Tone]:
    state, outcome = text_at(data, "state"), text_at(data, "outcome")
    if data.get("interrupted"):
        return f"{state}, interrupted: the process that ran it is gone", "warn"
    if outcome in OUTCOMES:
        return SERVED.get(outcome, OUTCOMES[outcome]) if data.get("served") else OUTCOMES[outcome]
    if state == "complete" and data.get("served"):
        return "complete: its calls were made as they came, nothing is left to apply", "good"
    if state == "complete":
        return "complete, not applied: your directory is unchanged", "good"
    return state, "warn" if state == "waiting" else ""


def _error(data: Data) -> str:
    if text_at(data, "state") == "waiting":
        # What it waits for is shown by itself.
        return ""
    return text_at(data, "error", "message") or text_at(data, "error")


def _profile(data: Data) -> str:
    profile = data.get("safety_profile")
    if isinstance(profile, str):
        return profile
    name, digest = (
        text_at(data, "safety_profile", "name"),
        text_at(data, "safety_profile", "digest"),
    )
    return f"{name}  ({digest[:19]})" if digest else name


def _isolation(data: Data) -> tuple[str, Tone]:
    tier = text_at(data, "isolation", "tier")
    if tier == "off-unsafe":
        return "OFF (off-unsafe): nothing confined this plan's tools", "bad"
    if mapping_at(data, "isolation").get("verified") is False:
        return f"{tier}, NOT VERIFIED", "bad"
    return (f"{tier}, verified" if tier else ""), ""


def _cost(cost: Data) -> str:
    if not cost:
        return ""
    parts = [spent_text(cost)]
    if text_at(cost, "reserved_usd", absent="0") != "0":
        parts.append(f"${text_at(cost, 'reserved_usd')} held")
    parts.append(counted(text_at(cost, "tool_calls", absent="0"), "tool call"))
    tokens = [text_at(cost, key, absent="0") for key in ("input_tokens", "output_tokens")]
    if tokens != ["0", "0"]:
        parts.append(f"{tokens[0]} tokens in, {tokens[1]} out")
    return ", ".join(parts)


def _timing(data: Data) -> str:
    started = text_at(data, "timing", "started")
    elapsed = text_at(data, "timing", "elapsed_s")
    return f"{started}, {elapsed} s of work" if started and elapsed else started


def _violations(data: Data) -> Iterator[Block]:
    violations = rows_at(data, "violations")
    if not violations:
        return
    yield Heading(f"REFUSED: {counted(len(violations), 'call')}", "bad")
    for violation in violations:
        kind = text_at(violation, "kind")
        what = text_at(violation, "tool") or text_at(violation, "resource_name") or kind
        yield Paragraph(f"{what}: {KINDS.get(kind, kind)}", "bad", indent=2)
        yield Fields(
            (
                Field("    rule", text_at(violation, "rule")),
                Field("    profile", text_at(violation, "profile")),
                Field("    reason", text_at(violation, "reason")),
                Field("    resource", text_at(violation, "resource_name")),
                Field("    subplan", text_at(violation, "subplan_id")),
                Field("    at", text_at(violation, "timestamp")),
            )
        )


def _waiting(data: Data) -> Iterator[Block]:
    waiting = rows_at(data, "waiting")
    if not waiting:
        return
    yield Heading("WAITING for a person", "warn")
    for call in waiting:
        yield Paragraph(f"{text_at(call, 'tool')}: {text_at(call, 'reason')}", "warn", indent=2)
        arguments = mapping_at(call, "arguments")
        yield Fields(
            (
                Field("    call", text_at(call, "call_id")),
                *(Field(f"    {key}", text_at(arguments, key)) for key in arguments),
            )
        )


def _steps(data: Data) -> Iterator[Block]:
    steps = rows_at(data, "steps")
    if not steps:
        return
    yield Heading("Steps")
    columns = ("id", "tool", "status")
    cells = tuple(tuple(text_at(step, column) for column in columns) for step in steps)
    tones = tuple(STEP_TONES.get(text_at(step, "status"), "") for step in steps)
    yield Table(("step", "tool", "status"), cells, tones)


def _connections(data: Data) -> Iterator[Block]:
    connections = rows_at(data, "connections")
    if not connections:
        return
    yield Heading("Connections")
    columns = ("host", "port", "connections", "open", "sent_bytes", "received_bytes")
    cells = tuple(tuple(text_at(one, column) for column in columns) for one in connections)
    yield Table(("host", "port", "made", "open", "bytes sent", "received"), cells)


def _subplans(data: Data) -> Iterator[Block]:
    subplans = rows_at(data, "subplans")
    if not subplans:
        return
    yield Heading("Subplans")
    columns = ("name", "state", "outcome", "violations", "plan_id")
    cells = tuple(tuple(text_at(child, column) for column in columns) for child in subplans)
    yield Table(("name", "state", "outcome", "refused", "plan"), cells)


def _conflicts(data: Data) -> Iterator[Block]:
    conflicts = data.get("conflicts")
    if not conflicts:
        return
    yield Heading("CONFLICTS", "bad")
    for conflict in rows_at(data, "conflicts"):
        kind = text_at(conflict, "kind")
        yield Paragraph(text_at(conflict, "path") + (f" ({kind})" if kind else ""), indent=2)
    if not rows_at(data, "conflicts"):
        for path in texts_at(data, "conflicts"):
            yield Paragraph(path, indent=2)


def _next(data: Data) -> Iterator[Block]:
    commands = next_commands(data)
    if commands:
        yield Heading("Next")
        yield Fields(tuple(Field(f"  {why}", command) for why, command in commands))


def next_commands(data: Data) -> tuple[tuple[str, str], ...]:
    """What a person may want to type now, with the reason for each.

    Nothing is decided here: a command that does not fit says so itself.
    """
    plan = text_at(data, "plan_id")
    state, outcome = text_at(data, "state"), text_at(data, "outcome")
    parent = text_at(data, "parent_plan_id")
    if data.get("served"):
        return _next_of_served(data, plan, state)
    if data.get("interrupted"):
        return (("go on", f"agents plan resume {plan}"), ("end it", f"agents plan cancel {plan}"))
    if parent:
        return (("see its parent", f"agents plan status {parent}"),)
    waiting = rows_at(data, "waiting")
    if waiting:
        return _next_approval(plan, waiting)
    if state == "waiting" and not outcome and _has_open_steps(data):
        return (("go on", f"agents plan resume {plan}"),)
    by_limit = way_on(data) if outcome == "constrained" else ()
    return (*by_limit, *_next_by_standing(plan, state, outcome))


def _next_of_served(data: Data, plan: str, state: str) -> tuple[tuple[str, str], ...]:
    """Of a plan whose calls come from outside: no run of ours goes on with it or applies it."""
    if data.get("interrupted"):
        return (("end it", f"agents plan cancel {plan}"),)
    waiting = rows_at(data, "waiting")
    if waiting:
        return _approvals(plan, waiting)
    if state in {"queued", "processing"}:
        return (("watch it", f"agents plan status {plan} --watch"),)
    return (("see every decision", f"agents plan explain {plan}"),)


def _has_open_steps(data: Data) -> bool:
    return any(
        text_at(s, "status") not in {"done", "failed", "denied"} for s in rows_at(data, "steps")
    )


def _next_approval(plan: str, waiting: tuple[Data, ...]) -> tuple[tuple[str, str], ...]:
    return (*_approvals(plan, waiting), ("then go on", f"agents plan resume {plan}"))


def _approvals(plan: str, waiting: tuple[Data, ...]) -> tuple[tuple[str, str], ...]:
    calls = [f"{text_at(w, 'plan_id', absent=plan)} {text_at(w, 'call_id')}" for w in waiting]
    return tuple(("allow (--deny refuses)", f"agents plan approve {call}") for call in calls)


def _next_by_standing(plan: str, state: str, outcome: str) -> tuple[tuple[str, str], ...]:
    see = ("see the changes", f"agents plan diff {plan}")
    why = ("see every decision", f"agents plan explain {plan}")
    if outcome:
        by_outcome = {
            "conflicted": (
                ("see the conflicts", f"agents plan conflicts {plan}"),
                ("settle one", f"agents plan resolve {plan} PATH --take ours|theirs|base|FILE"),
            ),
            "constrained": (
                why,
                see,
                ("apply what there is", f"agents plan apply {plan} --partial"),
            ),
            "errored": (why,),
            "merge_refused": (why,),
        }
        return by_outcome.get(outcome, ())
    watch = ("watch it", f"agents plan status {plan} --watch")
    by_state = {
        "queued": (watch,),
        "processing": (watch,),
        "waiting": (see, ("apply them", f"agents plan apply {plan} --yes")),
        "complete": (see, ("apply them", f"agents plan apply {plan}")),
    }
    return by_state.get(state, ())
