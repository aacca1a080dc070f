"""Every example loads, names tools that exist, and keeps what it promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from cleveragents.config.automation_profile import is_path, load_automation_profile
from cleveragents.config.plan_file import check_tools, load_plan, plan_from_stored
from cleveragents.config.yaml_file import load_file
from cleveragents.policy.enforcer import verify_examples
from cleveragents.policy.pattern import resolve
from cleveragents.policy.profile import SafetyProfile, profile_from_mapping
from cleveragents.tools.catalog import BUILT_IN

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PLANS = ("inventory.yaml", "size_report.yaml", "two_pages.yaml")
TOOLS = frozenset(BUILT_IN)


def keeps_its_promises(profile: SafetyProfile) -> None:
    assert resolve(profile, TOOLS).warnings == ()
    verify_examples(profile, BUILT_IN)


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_loads_and_names_tools_that_exist(name: str) -> None:
    plan = load_plan(EXAMPLES / name)
    check_tools(plan.definition, TOOLS, where=plan.where)
    assert plan_from_stored(plan.raw) == plan.definition
    assert plan.messages == ()
    written = plan.definition.safety_profile
    if not isinstance(written, str):
        keeps_its_promises(profile_from_mapping(written, where=name))
    reference = plan.definition.automation_profile
    if is_path(reference):
        assert load_automation_profile(plan.base / reference, is_trusted=False).name == "careful"


def test_the_automation_profile_loads() -> None:
    profile = load_automation_profile(EXAMPLES / "careful.yaml", is_trusted=True)
    assert profile.delegates == profile.safety_profiles[0].name
    for one in profile.safety_profiles:
        keeps_its_promises(one)


def test_the_safety_profile_loads() -> None:
    keeps_its_promises(load_file(EXAMPLES / "reviewer.yaml").reader.checked(profile_from_mapping))
