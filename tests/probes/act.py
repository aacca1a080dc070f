"""Plans that run the hostile program through the installed command, and what became of each attempt.

Every function gives, by the attempt's name, ``{"held": how}``, ``{"got":
what}`` or ``{"broken": why}``.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

from tests.probes.hostile import message
from tests.probes.world import subplan

if TYPE_CHECKING:
    from pathlib import Path

    from tests.probes.world import Done, World

Found = dict[str, dict[str, str]]
PARALLEL: Final = {"max_parallel": 4, "max_depth": 5}


def verdict(*, held: bool, how: str) -> dict[str, str]:
    """Say how an attempt ended."""
    return {"held" if held else "got": how}


def sibling(path: str = "new/sibling.txt") -> dict[str, Any]:
    """Give a subplan that does honest work beside the hostile ones."""
    step = {"tool": "write_file", "args": {"path": path, "content": "honest"}}
    delegate = {"tools": ["write_file"], "read": [], "write": ["new/"]}
    return {"id": "sibling", "subplan": {"name": "sibling", "delegate": delegate, "steps": [step]}}


class Ran:
    """A plan that has ended, and its children."""

    def __init__(self, world: World, done: Done, directory: Path) -> None:
        self.done = done
        self.data = done.data
        assert self.data is not None, done.out
        self.directory = directory
        self._children = {one["name"].replace("-", "_"): one for one in self.data["subplans"]}
        self._ended = world.entries("plan_ended")
        self._proposals = world.entries("proposal")

    def child(self, name: str) -> dict[str, Any]:
        """Give a child's line in the status of its parent."""
        found: dict[str, Any] = self._children[name]
        return found

    def ended(self, name: str) -> dict[str, Any]:
        """Give what the record says of a child's end."""
        body: dict[str, Any] = self._ended[self.child(name)["plan_id"]]["body"]
        return body

    def proposal(self, name: str) -> dict[str, Any]:
        """Give what a child handed in; empty when nothing was."""
        entry = self._proposals.get(self.child(name)["plan_id"], {})
        return dict(entry.get("body", {}))

    def refusals(self, name: str) -> str:
        """Give every word of the violations of a child."""
        own = self.child(name)["plan_id"]
        return json.dumps(
            [v for v in self.data["violations"] if v["subplan_id"] == own], ensure_ascii=False
        )

    def has(self, path: str) -> bool:
        """Say whether a path came into the user's directory."""
        return os.path.lexists(self.directory / path)

    @property
    def held(self) -> list[str]:
        """Give the files of the plan that a person must look at."""
        return [str(path) for path in self._proposals[self.data["plan_id"]]["body"]["held"]]

    @property
    def is_unharmed(self) -> bool:
        """Say whether the parent and the honest sibling ended as if they were alone."""
        is_merged = self.child("sibling")["outcome"] == "merged"
        return is_merged and self.data["state"] == "complete" and self.has("new/sibling.txt")


def run(world: World, name: str, *steps: dict[str, Any], **facts: Any) -> Ran:
    """Run a plan on a directory of its own and apply what is left of it."""
    directory = world.directory(name)
    words = world.plan(name, *steps, subplans=PARALLEL, **facts)
    return Ran(world, world.agents(*words, "--workspace", str(directory), "--apply"), directory)


def inside(world: World, *names: str) -> Found:
    """Run the attempts that a program makes by itself."""
    step = subplan("guest", "inside", "scene.json", "new/report.json", *names)
    ran = run(world, "inside", step)
    report = ran.directory / "new/report.json"
    assert report.exists(), (ran.done.out, ran.ended("guest"))
    found: Found = json.loads(report.read_text())
    return found


# -- messages ------------------------------------------------------------------------------


def messages(world: World) -> Found:
    """Send each message from a subplan of its own, beside an honest one."""
    # The slow ones first: they wait beside the others.
    ordered = sorted(message.MESSAGES, key=lambda name: not message.MESSAGES[name].is_slow)
    group = {
        "id": "group",
        "parallel": [*(subplan(name, "message", name) for name in ordered), sibling()],
    }
    ran = run(world, "messages", group)
    assert ran.is_unharmed, ran.done.out
    return {name: _message(ran, name) for name in message.MESSAGES}


def _message(ran: Ran, name: str) -> dict[str, str]:
    ended = ran.ended(name)
    reason = str(ended["error"]).partition("; the end of its log")[0].partition("failed: ")[2]
    is_ended = ended["code"] == "tool_failed" and message.MESSAGES[name].reason in reason
    held = (
        is_ended
        and bool(reason)
        and not ran.has("new/made")
        and ran.child(name)["outcome"] == "errored"
    )
    return verdict(held=held, how=reason or json.dumps(ended))


# -- requests ------------------------------------------------------------------------------


def asked(world: World) -> tuple[Found, Found]:
    """Ask for everything, once with little handed on and once with all; gives both."""
    from tests.probes.hostile.ask import ASKS, CODES, REFERENCE

    inputs = {
        "parent": "${{ plan.id }}",
        "key_file": world.scene["key_file"],
        "web": world.scene["web"],
    }
    asks: dict[str, Any] = {
        "inputs": inputs,
        "outputs": {"words": {"type": "string", "maxLength": 60}},
    }
    tools = ["read_file", "write_file", "fetch_url", "send_request", "spawn_subplan"]
    little = {"tools": tools, "depth": 1}
    much = {
        "tools": [*tools, "run_command"],
        "read": ["."],
        "write": ["."],
        "hosts": ["127.0.0.1"],
        "credentials": ["PROBE_KEY"],
        "depth": 4,
    }
    reads = {"tools": ["read_file"]}
    ran = run(
        world,
        "asked",
        subplan("little", "ask", "new/little.json", delegate=little, **asks),
        subplan("much", "ask", "new/much.json", delegate=much, **asks),
        subplan("spent", "spend", "8", delegate={**reads, "budget": {"max_tool_calls": 3}}),
        subplan("unspent", "spend", "8", delegate=reads),
        subplan("codes", "codes"),
        _written("literal", "${{ steps.little.outputs.words }}"),
        _written("evaluated", REFERENCE),
        safety_profile={"name": "hosts", "hosts": ["127.0.0.1"]},
        credentials={"PROBE_KEY": {"env": "PROBE_KEY", "hosts": ["127.0.0.1"]}},
    )
    found, control = (
        json.loads((ran.directory / f"new/{name}.json").read_text()) for name in ("little", "much")
    )
    assert found.keys() == control.keys() == ASKS.keys()
    literal, evaluated = (
        (ran.directory / f"new/{name}").read_text() for name in ("literal", "evaluated")
    )
    found["output_reference"] = verdict(held=literal == REFERENCE, how="the same text")
    control["output_reference"] = verdict(
        held=evaluated == REFERENCE, how="evaluated in the plan file"
    )
    for sink, name in ((found, "spent"), (control, "unspent")):
        said = ran.proposal(name)["summary"]
        sink["over_budget"] = verdict(held=said.startswith("refused"), how=said)
    found["terminal_codes"] = _shown(world, ran)
    control["terminal_codes"] = verdict(
        held=CODES not in ran.proposal("codes")["summary"], how="the record has them"
    )
    return found, control


def _written(name: str, content: str) -> dict[str, Any]:
    return {"id": name, "tool": "write_file", "args": {"path": f"new/{name}", "content": content}}


def _shown(world: World, ran: Ran) -> dict[str, str]:
    parent, child = ran.data["plan_id"], ran.child("codes")["plan_id"]
    for word, plan_id in (
        ("status", child),
        ("tree", parent),
        ("explain", child),
        ("diff", parent),
    ):
        for form in ("plain", "rich", "json"):
            done = world.agents("plan", word, plan_id, form=form)
            if set("\x1b\x07") & set(done.out + done.err):
                return {"got": f"plan {word} --format {form} shows them"}
    return {"held": "shown as text"}
