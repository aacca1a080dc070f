"""The reference page of safety profiles says what is so: its profile loads, its code runs."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from cleveragents.policy.enforcer import verify_examples
from cleveragents.policy.gate import public_decide
from cleveragents.policy.profile import BUILT_IN as PROFILES
from cleveragents.policy.profile import KEYS, SafetyProfile, profile_from_mapping
from cleveragents.tools.catalog import BUILT_IN, tool_spec

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/safety_profiles.md").read_text(
    encoding="utf-8"
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_shown_profile_loads_and_keeps_its_examples() -> None:
    for block in blocks("yaml"):
        verify_examples(profile_from_mapping(yaml.safe_load(block), where="page"), BUILT_IN)


def test_the_shown_code_runs() -> None:
    names = {"SafetyProfile": SafetyProfile, "decide": public_decide, "tool_spec": tool_spec}
    for block in blocks("python"):
        # The public names are these very objects; the front door is tested elsewhere.
        exec(re.sub(r"^from cleveragents import .*$", "", block, flags=re.MULTILINE), names)  # noqa: S102


def test_the_table_of_built_in_profiles_is_theirs() -> None:
    for name, profile in PROFILES.items():
        row = re.search(rf"^\| `{name}`[^|]*\|([^|]*)\|", PAGE, re.MULTILINE)
        assert row is not None
        words = row[1].strip()
        told = set(map(str, profile.effects)) if words == "all" else set(words.split(", "))
        assert told == {str(effect) for effect in profile.effects}


def test_every_key_has_its_row() -> None:
    for key in KEYS:
        assert re.search(rf"^\| `{key}` \|", PAGE, re.MULTILINE), key
