"""Every YAML block of the documentation, and every example file, loads as what it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cleveragents.config.automation_profile import parse_automation_profile
from cleveragents.config.plan_file import parse_plan
from cleveragents.config.yaml_file import load_text
from cleveragents.policy.profile import profile_from_mapping

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
AUTOMATION = {"approvals", "budget", "credentials", "delegates", "safety_profiles", "subplans"}
SAFETY = {"allowed_tools", "denied_tools", "effects", "examples", "hosts", "read", "where", "write"}


def _blocks() -> list[tuple[str, str]]:
    found = [
        (f"{page.relative_to(ROOT)}#{number}", block)
        for page in PAGES
        for number, (language, block) in enumerate(FENCED.findall(page.read_text("utf-8")), 1)
        if language == "yaml"
    ]
    files = [
        (str(file.relative_to(ROOT)), file.read_text("utf-8"))
        for file in sorted((ROOT / "examples").rglob("*.yaml"))
    ]
    return found + files


def _load(raw: object, place: str) -> None:
    assert isinstance(raw, dict), f"{place} is no mapping"
    keys = set(raw)
    if "steps" in keys or "actor" in keys:
        parse_plan(raw, name=place, base=ROOT)
    elif keys & AUTOMATION:
        parse_automation_profile(raw, name=place, base=ROOT)
    elif keys & SAFETY:
        profile_from_mapping(raw, where=place)
    else:
        # A part of a file, shown beside the text that explains it.
        parse_automation_profile({"name": "shown", **raw}, name=place, base=ROOT)


@pytest.mark.parametrize(("place", "text"), _blocks(), ids=lambda value: value[:40])
def test_a_shown_file_loads(place: str, text: str) -> None:
    for part in re.split(r"^---$", text, flags=re.MULTILINE):
        _load(load_text(part, name=place).value, place)


def test_the_demo_is_among_them() -> None:
    places = [place for place, _ in _blocks()]
    assert "examples/demo/plan.yaml" in places
    assert "README.md#2" in places
