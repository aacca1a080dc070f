"""The MCP conformance suite against the installed gateway: what passes, and exactly what does not."""

from __future__ import annotations

import fnmatch
import json
import re
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.gateway.client import TOKEN, hosted, over_http
from tests.gateway.conformance import PREFIX, SERVER, relaying, run_suite, suite
from tests.plans.scene import scene_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gateway.client import Host
    from tests.gateway.conformance import Verdict

HERE = Path(__file__).parent
REVISIONS = ("2025-11-25", "2026-07-28")
PASSED = frozenset({"SUCCESS", "INFO"})
PAGE = Path(__file__).resolve().parents[2] / "docs/reference/mcp.md"


@dataclass(frozen=True)
class Outcome:
    """What the suite found, and the gateway that it was asked of."""

    verdicts: dict[str, list[Verdict]]
    status: list[str]
    host: Host


@pytest.fixture(scope="module")
def outcome() -> Iterator[Outcome]:
    """Run the scenarios of both revisions against one gateway, once for every test here."""
    with ExitStack() as stack:
        scene = stack.enter_context(scene_for())
        scene.environ["TOKEN"] = TOKEN
        name = "everything_server.py"
        script = scene.write(f"server/{name}", (HERE / name).read_text(encoding="utf-8"))
        server = {"command": sys.executable, "args": [str(script)], "trusted": True, "parallel": 4}
        file = scene.write("servers.json", json.dumps({"mcpServers": {SERVER: server}}))
        relay = stack.enter_context(relaying())
        words = ("--safety-profile", "read-only", "--config", str(file), "--http", "0")
        host = stack.enter_context(
            hosted(scene, *words, "--token-env", "TOKEN", "--allow-host", relay.name)
        )
        relay.upstream = host.url
        with over_http(host) as talk:
            # Some scenarios wait for half a second only: the server is to run before.
            assert not talk.call(f"{PREFIX}test_simple_text").is_error
        found = {}
        for revision in REVISIONS:
            place = scene.place / revision
            place.mkdir()
            found[revision] = run_suite(relay.url, revision, place, scene.environment)
        status = [step["status"] for step in scene.status(host.plan_id)["steps"]]
        assert host.end() == 0
        yield Outcome(found, status, host)


def baseline() -> dict[str, set[str]]:
    """Which checks do not pass, by scenario."""
    groups = yaml.safe_load((HERE / "conformance.yaml").read_text(encoding="utf-8"))
    found: dict[str, set[str]] = {}
    for group in groups:
        assert group["reason"]
        for scenario, checks in group["checks"].items():
            assert scenario not in found
            found[scenario] = set(checks)
    return found


def required(revision: str) -> set[str]:
    """The server scenarios of a revision, as the suite itself lists them."""
    file = suite().parents[1] / f"requirements/{revision}.yaml"
    listed = yaml.safe_load(file.read_text(encoding="utf-8"))
    others = {one["scenario"] for one in listed["not_scored"] if one["leg"] == "server"}
    return {*listed["server"], *others}


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_scenario_ran_and_exactly_the_named_checks_do_not_pass(
    outcome: Outcome, revision: str
) -> None:
    verdicts = outcome.verdicts[revision]
    ran = {one.scenario for one in verdicts}
    assert ran == required(revision)
    bad = [one for one in verdicts if one.status not in PASSED]
    expected = {(name, check) for name, checks in baseline().items() for check in checks}
    found = {(one.scenario, one.check) for one in bad}
    assert found == {one for one in expected if one[0] in ran}, bad
    good = {one.scenario for one in verdicts if one.status == "SUCCESS"}
    assert ran - good <= baseline().keys()


def test_what_is_a_matter_of_protocol_passes(outcome: Outcome) -> None:
    """Not one of these may ever be put on the list."""
    passed = {
        "server-initialize", "server-session-lifecycle", "ping", "tools-list",
        "tools-call-simple-text", "tools-call-image", "tools-call-audio",
        "tools-call-embedded-resource", "tools-call-mixed-content", "tools-call-error",
        "tools-call-with-progress", "json-schema-2020-12", "server-sse-multiple-streams",
        "dns-rebinding-protection", "http-header-validation",
        "http-custom-header-server-validation",
    }  # fmt: skip
    assert not passed & baseline().keys()
    assert passed <= {one.scenario for found in outcome.verdicts.values() for one in found}


def test_nothing_on_the_list_is_gone_from_the_suite(outcome: Outcome) -> None:
    ran = {one.scenario for found in outcome.verdicts.values() for one in found}
    assert baseline().keys() <= ran


def test_what_the_suite_called_is_recorded_and_nobody_sees_a_traceback(outcome: Outcome) -> None:
    assert {*outcome.status} == {"done", "failed", "denied"}
    assert len(outcome.status) > 30
    outcome.host.scene.verify()
    # Streams were open when it was ended.
    assert "Traceback" not in outcome.host.said
    assert outcome.host.scene.status(outcome.host.plan_id)["state"] == "complete"


def test_the_page_names_what_does_not_pass() -> None:
    _, _, section = PAGE.read_text(encoding="utf-8").partition("\n## Conformance\n")
    named = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    patterns = [pattern for cell in named for pattern in re.findall(r"`([^`]+)`", cell)]
    scenarios = baseline().keys()
    for scenario in scenarios:
        assert any(fnmatch.fnmatch(scenario, one) for one in patterns), scenario
    for pattern in patterns:
        assert fnmatch.filter(scenarios, pattern), pattern
