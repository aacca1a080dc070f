"""What an automation profile says, and what of it counts when nobody trusted named it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cleveragents.config.automation_profile import (
    AutomationProfile,
    CredentialSource,
    SubplanRules,
    is_path,
    load_automation_profile,
    parse_automation_profile,
)
from cleveragents.config.yaml_file import load_text
from cleveragents.errors import ConfigurationError
from cleveragents.policy.profile import SafetyProfile
from cleveragents.terms.cost import Limits

if TYPE_CHECKING:
    from pathlib import Path

CAREFUL = """\
name: careful
description: looks before it leaps
safety_profile: read-only
delegates: docs-writer
budget: {max_cost_usd: 2.00, max_tokens: 400000, max_tool_calls: 300, max_seconds: 1800}
subplans: {max_parallel: 4, max_depth: 3, merge_strategy: git_three_way}
apply: auto
approvals: [run_command]
safety_profiles:
  - name: docs-writer
    allowed_tools: [read_file, list_directory, search_files, write_file]
    write: [docs/]
    where: {write_file: {properties: {content: {maxLength: 100000}}}}
credentials:
  API_KEY: {env: VAR, hosts: [api.example.com]}
  FILE_KEY: {file: key.txt}
tools: [my_tools.py, my_tools.py]
workspace: {include: [node_modules/]}
"""


def load(tmp_path: Path, text: str, *, is_trusted: bool = True) -> AutomationProfile:
    path = tmp_path / "careful.yaml"
    path.write_text(text, encoding="utf-8")
    return load_automation_profile(path, is_trusted=is_trusted)


def test_every_key_is_read(tmp_path: Path) -> None:
    profile = load(tmp_path, CAREFUL)
    assert profile == AutomationProfile(
        name="careful",
        description="looks before it leaps",
        safety_profile="read-only",
        delegates="docs-writer",
        budget=Limits(2_000_000, 400_000, None, 300, 1800),
        subplans=SubplanRules(4, 3, "git_three_way"),
        apply="auto",
        approvals=("run_command",),
        safety_profiles=profile.safety_profiles,
        credentials={
            "API_KEY": CredentialSource("env", "VAR", ("api.example.com",)),
            "FILE_KEY": CredentialSource("file", str(tmp_path / "key.txt")),
        },
        tools=(tmp_path / "my_tools.py",),
        included=("node_modules/",),
        is_trusted=True,
    )
    (docs_writer,) = profile.safety_profiles
    assert docs_writer.write == ("docs/",)


def test_what_widens_does_not_count_when_nobody_trusted_named_it(tmp_path: Path) -> None:
    profile = load(tmp_path, CAREFUL, is_trusted=False)
    assert (profile.credentials, profile.tools, profile.included) == ({}, (), ())
    assert (profile.delegates, profile.apply) == (None, None)
    assert profile.ignored == ("credentials", "tools", "delegates", "apply: auto", "workspace")
    assert not profile.is_trusted


def test_what_tightens_counts_whoever_named_it(tmp_path: Path) -> None:
    trusted = load(tmp_path, CAREFUL.replace("auto", "ask"))
    profile = load(tmp_path, CAREFUL.replace("auto", "ask"), is_trusted=False)
    assert profile.safety_profile == "read-only"
    assert profile.apply == "ask"
    for key in ("budget", "subplans", "approvals", "safety_profiles"):
        assert getattr(profile, key) == getattr(trusted, key)


def test_a_profile_can_be_written_out_in_place(tmp_path: Path) -> None:
    profile = load(tmp_path, "name: a\nsafety_profile: {denied_tools: [run_command]}\n")
    assert profile.safety_profile == SafetyProfile("inline", denied_tools=("run_command",))


def test_absent_keys_say_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, "name: a\n") == AutomationProfile(name="a", is_trusted=True)
    assert parse_automation_profile({"name": "a"}, name="x", base=tmp_path) == AutomationProfile(
        "a"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{}", ":1: the key 'name' is missing"),
        (
            "name: a\nsafety_profil: b\n",
            ":2: safety_profil: unknown key, did you mean 'safety_profile'?",
        ),
        ("name: a\nsafety_profile:\n", "safety_profile: the key has no value"),
        ("name: a\nsafety_profile: 1\n", "safety_profile: expected a string, found the number 1"),
        (
            "name: a\nsafety_profile: {name: b, wirte: []}\n",
            ":2: safety_profile.wirte: unknown key",
        ),
        ("name: a b\n", "name: 'a b' cannot be the name of an automation profile"),
        ("name: a.yaml\n", "'a.yaml' looks like a file"),
        ("name: ../a\n", "'../a' cannot be the name"),
        ("name: a\napply: always\n", "apply: 'always' is not one of ask, auto"),
        ("name: a\napply: yes\n", "apply: 'yes' is not one of ask, auto"),
        ("name: a\napprovals: run_command\n", "approvals: expected a list, found the text"),
        ("name: a\napprovals: ['run_*']\n", "approvals[0]: 'run_*' cannot be the name of a tool"),
        (
            "name: a\nbudget: {max_cost_usd: -1}\n",
            "budget.max_cost_usd: an amount cannot be negative",
        ),
        (
            "name: a\nsubplans: {max_parallel: 0}\n",
            "subplans.max_parallel: 0 is not between 1 and 64",
        ),
        ("name: a\nsubplans: {max_depth: 99}\n", "subplans.max_depth: 99 is not between 0 and 16"),
        ("name: a\nsubplans: {merge_strategy: x}\n", "subplans.merge_strategy: 'x' is not one of"),
        ("name: a\nsubplans: {parallel: 1}\n", "subplans.parallel: unknown key, did you mean"),
        (
            "name: a\nsafety_profiles: {b: {}}\n",
            "safety_profiles: expected a list, found a mapping",
        ),
        ("name: a\nsafety_profiles: [{write: []}]\n", "safety_profiles[0]: a safety profile needs"),
        (
            "name: a\nsafety_profiles:\n- name: b\n- name: b\n",
            ":4: safety_profiles[1]: the safety profile 'b' is defined twice",
        ),
        ("name: a\ntools: my.py\n", "tools: expected a list, found the text 'my.py'"),
        ('name: a\ntools: ["a\\0.py"]\n', "tools[0]: 'a\\x00.py' cannot be the path of a file"),
        ("name: a\nworkspace: {}\n", "workspace: the key 'include' is missing"),
        ("name: a\nworkspace: {include: ['.']}\n", "include[0]: the whole workspace cannot be"),
        ("name: a\nworkspace: {include: [../x]}\n", "workspace.include[0]: '../x' is outside"),
        ("name: a\nworkspace: {include: ['*.js']}\n", "'*.js' looks like a pattern"),
        (
            "name: a\ncredentials: {a-b: {env: X}}\n",
            "credentials.a-b: cannot be the name of a cred",
        ),
        ("name: a\ncredentials: {A: X}\n", "credentials.A: expected a mapping, found the text 'X'"),
        (
            "name: a\ncredentials: {A: {}}\n",
            "credentials.A: a credential has either 'env' or 'file'",
        ),
        (
            "name: a\ncredentials: {A: {env: X, file: y}}\n",
            "a credential has either 'env' or 'file'",
        ),
        ("name: a\ncredentials: {A: {env: a b}}\n", "'a b' cannot be the name of an environment"),
        (
            "name: a\ncredentials: {A: {evn: X}}\n",
            "credentials.A.evn: unknown key, did you mean 'env'?",
        ),
        ("name: a\ncredentials: {A: {env: X, hosts: ['*.']}}\n", "credentials.A.hosts[0]: "),
    ],
)
def test_a_malformed_profile_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert sentence in caught.value.message
    assert caught.value.message.startswith(f"{tmp_path}/careful.yaml:")
    assert "\n" not in caught.value.message


def test_a_value_is_never_part_of_an_error_about_a_credential(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_automation_profile(
            load_text("{name: a, credentials: {A: {env: 'sk-secret value'}}}", "x").value,
            name="x",
            base=tmp_path,
        )
    # It is the name of a variable that is asked for: what was written there is shown.
    assert "cannot be the name of an environment variable" in caught.value.message


def test_a_reference_with_a_slash_or_an_ending_is_a_file() -> None:
    assert [is_path(one) for one in ("careful", "a/b", "a.yml", "./a")] == [False, True, True, True]
