"""The import contracts hold on the source, and each is noticed when it is broken.

All breaches are put into one copy and found in one run: building the graph is
what takes the time.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BREACHES: dict[str, tuple[str, str, str]] = {
    # contract id: the file that breaks it, the line put into it, what the report names
    "layers": ("terms/cost.py", "import cleveragents.config.settings", "cleveragents.terms"),
    "acyclic": ("boundary/frame.py", "import cleveragents.boundary.channel", "frame"),
    "pure-policy": ("policy/grant.py", "import time", "cleveragents.policy.grant"),
    "one-gate": ("plans/executor.py", "import cleveragents.policy.gate", "plans.executor"),
    "one-hand": (
        "plans/executor.py",
        "import cleveragents.runtime.call_effect",
        "plans.executor",
    ),
    "bodies-in-the-cell": (
        "runtime/tool_registry.py",
        "import cleveragents.tools.body.file",
        "runtime.tool_registry",
    ),
    "one-way-out": (
        "plans/executor.py",
        "import cleveragents.tools.broker.fetch",
        "plans.executor",
    ),
    "guest-is-poor": ("guest/tool_main.py", "import cleveragents.policy.grant", "guest.tool_main"),
    "parent-state": (
        "gateway/__init__.py",
        "import cleveragents.plans.plan_state",
        "cleveragents.gateway",
    ),
    "one-merge-door": ("plans/watch.py", "import cleveragents.plans.merge", "plans.watch"),
    "one-process-starter": (
        "record/verify.py",
        "import subprocess",
        "cleveragents.record.verify",
    ),
    "one-store-door": ("record/log.py", "import sqlite3", "cleveragents.record.log"),
    "one-yaml-door": ("config/plan_file.py", "import yaml", "cleveragents.config.plan_file"),
    "one-condition-door": (
        "policy/path_rule.py",
        "import jsonschema_rs",
        "cleveragents.policy.path_rule",
    ),
    "one-http-door": ("runtime/cost_tracker.py", "import httpx", "cleveragents.runtime"),
    "one-model-door": ("runtime/tool_registry.py", "import pydantic_ai", "cleveragents.runtime"),
    "one-provider-door": ("runtime/approval.py", "import openai", "cleveragents.runtime"),
    "one-mcp-door": ("plans/watch.py", "import mcp", "cleveragents.plans.watch"),
    "a-person-types": ("plans/watch.py", "import click", "cleveragents.plans.watch"),
    "front-door": ("record/entry.py", "import cleveragents", "cleveragents.record.entry"),
}


def _contract_names() -> dict[str, str]:
    raw = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {
        contract["id"]: contract["name"] for contract in raw["tool"]["importlinter"]["contracts"]
    }


def _lint(place: Path) -> str:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def _is_broken(report: str, name: str) -> bool:
    verdict = re.search(rf"^{re.escape(name)}\s+(KEPT|BROKEN)", report, re.MULTILINE)
    assert verdict is not None, report
    return verdict[1] == "BROKEN"


def _reason(report: str, name: str) -> str:
    """The paragraph under a broken contract's headline."""
    after = report.partition("Broken contracts")[2]
    return re.split(r"\n-+\n", after.partition(f"\n{name}\n")[2].lstrip("-\n"))[0]


@pytest.fixture(scope="module")
def breached(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report on a copy in which every contract is broken once."""
    place = tmp_path_factory.mktemp("breached")
    shutil.copytree(ROOT / "src/cleveragents", place / "cleveragents")
    shutil.copy(ROOT / "pyproject.toml", place)
    for file, line, _ in BREACHES.values():
        with (place / "cleveragents" / file).open("a", encoding="utf-8") as module:
            module.write(f"\n{line}\n")
    return _lint(place)


def test_every_contract_has_a_breach() -> None:
    assert set(BREACHES) == set(_contract_names())


def test_the_source_keeps_every_contract() -> None:
    report = _lint(ROOT)
    assert " 0 broken" in report, report


@pytest.mark.parametrize("contract", sorted(BREACHES))
def test_a_breach_is_noticed(contract: str, breached: str) -> None:
    name = _contract_names()[contract]
    assert _is_broken(breached, name)
    assert BREACHES[contract][2] in _reason(breached, name)
