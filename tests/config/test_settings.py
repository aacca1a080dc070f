"""Which value of which source holds, and that no key is overlooked."""

from __future__ import annotations

import os
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from cleveragents.config.automation_profile import CredentialSource
from cleveragents.config.settings import KEYS, Settings, home_directory, load_settings
from cleveragents.errors import ConfigurationError
from cleveragents.policy.profile import SafetyProfile
from cleveragents.terms.cost import Limits
from cleveragents.terms.model import ModelEndpoint
from cleveragents.terms.model_limit import RateLimit, TokenPrice


def settings(home: Path, toml: str = "", **environ: str) -> Settings:
    if toml:
        (home / "config.toml").write_text(toml, encoding="utf-8")
    return load_settings(
        {f"CLEVERAGENTS_{key}": value for key, value in environ.items()}, home=home
    )


def refusal(home: Path, toml: str = "", **environ: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        settings(home, toml, **environ)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_without_a_file_and_variables_every_setting_has_its_default(tmp_path: Path) -> None:
    assert settings(tmp_path) == Settings()


def test_the_real_environment_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_MB", "64")
    monkeypatch.setenv("CLEVERAGENTS_MEMORY_MB", "64")
    assert settings(tmp_path).memory_mb == 4096


def test_settings_do_not_change(tmp_path: Path) -> None:
    with pytest.raises(FrozenInstanceError):
        settings(tmp_path).memory_mb = 1  # type: ignore[misc]  # that it is refused is the point


def test_every_setting_can_be_written_in_the_file(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        """
        database_url = "postgresql://me@localhost/agents"
        safety_profile = ["read-only", "mine"]
        automation_profile = "profiles/careful.yaml"
        approvals = ["run_command"]
        apply = "ask"
        max_parallel = 2
        max_depth = 0
        memory_mb = 512
        processes = 64
        workspace_mb = 100
        timeout_s = 30
        cell_root = "/srv/cells"
        model = "openai:gpt-5-mini"
        model_base_url = "http://127.0.0.1:8080/v1"
        model_credential = "API_KEY"
        fallback_models = ["anthropic:claude-opus-5", {model = "ollama:qwen3", base_url = "http://10.0.0.1:11434/v1"}]
        max_output_tokens = 1000
        context_tokens = 50000
        max_turns = 10
        max_refusals_in_a_row = 2
        model_timeout_s = 60
        [prices."openai:gpt-5-mini"]
        input = 0.25
        cached = 0.03
        output = 2.00
        date = 2026-10-01
        [rate_limits.openai]
        requests_per_minute = 60
        tokens_per_minute = 90000
        [budget_per_plan]
        max_cost_usd = 0.10
        [budget_per_day]
        max_tokens = 1000
        [credentials.API_KEY]
        file = "key.txt"
        hosts = ["api.example.com"]
        [[safety_profiles]]
        name = "mine"
        denied_tools = ["run_command"]
        """,
    )
    assert found == Settings(
        database_url="postgresql://me@localhost/agents",
        safety_profile=("read-only", "mine"),
        automation_profile=str(tmp_path / "profiles/careful.yaml"),
        safety_profiles=(SafetyProfile("mine", denied_tools=("run_command",)),),
        credentials={
            "API_KEY": CredentialSource("file", str(tmp_path / "key.txt"), ("api.example.com",))
        },
        budget_per_plan=Limits(cost_microusd=100_000),
        budget_per_day=Limits(tokens=1000),
        approvals=("run_command",),
        apply="ask",
        max_parallel=2,
        max_depth=0,
        memory_mb=512,
        processes=64,
        workspace_mb=100,
        timeout_s=30,
        cell_root="/srv/cells",
        model="openai:gpt-5-mini",
        model_base_url="http://127.0.0.1:8080/v1",
        model_credential="API_KEY",
        fallback_models=(
            ModelEndpoint("anthropic:claude-opus-5"),
            ModelEndpoint("ollama:qwen3", "http://10.0.0.1:11434/v1"),
        ),
        prices={"openai:gpt-5-mini": TokenPrice(250_000, 2_000_000, 30_000, "2026-10-01")},
        rate_limits={"openai": RateLimit(60, 90_000)},
        max_output_tokens=1000,
        context_tokens=50_000,
        max_turns=10,
        max_refusals_in_a_row=2,
        model_timeout_s=60,
    )


def test_every_setting_can_be_written_in_the_environment(tmp_path: Path) -> None:
    written = {
        "DATABASE_URL": "sqlite:////var/x.db",
        "SAFETY_PROFILE": "read-only, no-network",
        "AUTOMATION_PROFILE": "careful",
        "SAFETY_PROFILES": "[{name: mine, denied_tools: [run_command]}]",
        "CREDENTIALS": '{"K": {"env": "VAR"}}',
        "BUDGET_PER_PLAN": "2.50",
        "BUDGET_PER_DAY": "{max_tokens: 5}",
        "APPROVALS": "run_command,send_request",
        "APPLY": "auto",
        "MAX_PARALLEL": "8",
        "MAX_DEPTH": "2",
        "MEMORY_MB": "128",
        "PROCESSES": "16",
        "WORKSPACE_MB": "10",
        "TIMEOUT_S": "5",
        "CELL_ROOT": "/srv/cells",
        "MODEL": "openai:gpt-5-mini",
        "MODEL_BASE_URL": "https://host/v1",
        "MODEL_CREDENTIAL": "KEY",
        "FALLBACK_MODELS": "openai:a, anthropic:b",
        "PRICES": "{'openai:m': {input: 1, output: 0.000001, date: 2026-10-01}}",
        "RATE_LIMITS": "{google: {tokens_per_minute: 5}}",
        "MAX_OUTPUT_TOKENS": "16",
        "CONTEXT_TOKENS": "1000",
        "MAX_TURNS": "1",
        "MAX_REFUSALS_IN_A_ROW": "1",
        "MODEL_TIMEOUT_S": "1",
        "MCP_SERVERS": "[a.json, /b.json]",
    }
    assert {key.upper() for key in KEYS} == set(written)
    found = settings(tmp_path, **written)
    assert found == Settings(
        database_url="sqlite:////var/x.db",
        safety_profile=("read-only", "no-network"),
        automation_profile="careful",
        safety_profiles=(SafetyProfile("mine", denied_tools=("run_command",)),),
        credentials={"K": CredentialSource("env", "VAR")},
        budget_per_plan=Limits(cost_microusd=2_500_000),
        budget_per_day=Limits(tokens=5),
        approvals=("run_command", "send_request"),
        apply="auto",
        max_parallel=8,
        max_depth=2,
        memory_mb=128,
        processes=16,
        workspace_mb=10,
        timeout_s=5,
        cell_root="/srv/cells",
        model="openai:gpt-5-mini",
        model_base_url="https://host/v1",
        model_credential="KEY",
        fallback_models=(ModelEndpoint("openai:a"), ModelEndpoint("anthropic:b")),
        prices={"openai:m": TokenPrice(1_000_000, 1, 1_000_000, "2026-10-01")},
        rate_limits={"google": RateLimit(tokens_per_minute=5)},
        max_output_tokens=16,
        context_tokens=1000,
        max_turns=1,
        max_refusals_in_a_row=1,
        model_timeout_s=1,
        mcp_servers=("a.json", "/b.json"),
    )


def test_a_variable_replaces_the_value_of_the_file(tmp_path: Path) -> None:
    found = settings(tmp_path, "max_parallel = 2\nmemory_mb = 64\n", MAX_PARALLEL="3")
    assert (found.max_parallel, found.memory_mb) == (3, 64)


def test_a_safety_profile_of_the_environment_adds_to_the_file(tmp_path: Path) -> None:
    toml = 'safety_profile = "read-only"\n[[safety_profiles]]\nname = "a"\n'
    found = settings(
        tmp_path, toml, SAFETY_PROFILE="no-network,read-only", SAFETY_PROFILES="[{name: b}]"
    )
    assert found.safety_profile == ("read-only", "no-network")
    assert [profile.name for profile in found.safety_profiles] == ["a", "b"]
    assert "CLEVERAGENTS_SAFETY_PROFILES: the safety profile 'a' is defined twice" in refusal(
        tmp_path, SAFETY_PROFILES="[{name: a}]"
    )


def test_credentials_of_both_are_known_and_the_environment_wins(tmp_path: Path) -> None:
    toml = '[credentials]\nA = {env = "X"}\nB = {env = "Y"}\n'
    found = settings(tmp_path, toml, CREDENTIALS="{B: {env: Z}}").credentials
    assert found == {"A": CredentialSource("env", "X"), "B": CredentialSource("env", "Z")}


def test_an_empty_variable_and_those_of_others_are_not_looked_at(tmp_path: Path) -> None:
    environ = {
        "CLEVERAGENTS_MAX_PARALLEL": "",
        "CLEVERAGENTS_HOME": "/x",
        "CLEVERAGENTS_CHANNEL": "5",
        "HOME": "/root",
        "CLEVERAGENT_X": "1",
    }
    assert load_settings(environ, home=tmp_path) == Settings()


def test_a_path_in_a_variable_is_relative_to_the_directory_one_is_in(tmp_path: Path) -> None:
    assert settings(tmp_path, AUTOMATION_PROFILE="a/b.yaml").automation_profile == "a/b.yaml"


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        (
            "MAX_PARALEL",
            "1",
            "CLEVERAGENTS_MAX_PARALEL: unknown setting, did you mean 'CLEVERAGENTS_",
        ),
        ("ISOLATION", "off-unsafe", "CLEVERAGENTS_ISOLATION: unknown setting, "),
        ("safety_profile", "read-only", "CLEVERAGENTS_safety_profile: unknown setting, "),
        (
            "MAX_PARALLEL",
            "many",
            "CLEVERAGENTS_MAX_PARALLEL: expected a whole number, found the text",
        ),
        ("MAX_PARALLEL", "0", "0 is not between 1 and 64"),
        ("MAX_PARALLEL", "2.0", "expected a whole number, found the number 2.0"),
        ("MAX_PARALLEL", "true", "expected a whole number, found true"),
        ("MAX_PARALLEL", "[", "CLEVERAGENTS_MAX_PARALLEL:2: is not YAML"),
        ("MAX_DEPTH", "-1", "-1 is not between 0 and 16"),
        ("MEMORY_MB", "1", "1 is not between 64 and"),
        ("APPLY", "yes", "'yes' is not one of ask, auto"),
        ("SAFETY_PROFILE", "a,,b", "CLEVERAGENTS_SAFETY_PROFILE: a name is empty"),
        ("SAFETY_PROFILE", "[1]", "CLEVERAGENTS_SAFETY_PROFILE: [0]: expected a string"),
        ("SAFETY_PROFILE", "5", "expected a list, found the number 5"),
        ("APPROVALS", "run_*", "'run_*' cannot be the name of a tool"),
        ("BUDGET_PER_PLAN", "-1", "CLEVERAGENTS_BUDGET_PER_PLAN: an amount cannot be negative"),
        ("BUDGET_PER_PLAN", "{max_cost: 1}", "did you mean 'max_cost_usd'?"),
        ("BUDGET_PER_PLAN", "lots", "'lots' is no amount of dollars"),
        ("CELL_ROOT", "cells", "CLEVERAGENTS_CELL_ROOT: is no absolute path"),
        (
            "DATABASE_URL",
            "mysql://me:secret@x/y",
            "CLEVERAGENTS_DATABASE_URL: is no database that can",
        ),
        ("MODEL", "gpt-5", "CLEVERAGENTS_MODEL: 'gpt-5' names no provider; write provider:name"),
        ("MODEL", "opnai:gpt-5", "no model provider is named 'opnai'; did you mean 'openai'?"),
        ("MODEL", "openai:", "'openai:' cannot be the name of a model"),
        ("MODEL", "openai:a b", "'openai:a b' cannot be the name of a model"),
        ("MODEL_BASE_URL", "ftp://x/v1", "CLEVERAGENTS_MODEL_BASE_URL: the URL is not of the form"),
        ("MODEL_BASE_URL", "https://me:secret@x/v1", "holds user information"),
        ("MODEL_CREDENTIAL", "my key", "'my key' cannot be the name of a credential"),
        ("FALLBACK_MODELS", "openai:a,,openai:b", "'' names no provider"),
        ("FALLBACK_MODELS", "[{base_url: 'http://x'}]", "[0]: the key 'model' is missing"),
        ("FALLBACK_MODELS", "[{model: 'openai:a', url: x}]", "[0].url: unknown key, known: "),
        ("FALLBACK_MODELS", "5", "expected a list, found the number 5"),
        ("PRICES", "{'openai:m': {input: -1, output: 1}}", "input: an amount cannot be negative"),
        ("PRICES", "{'openai:m': {input: .nan, output: 1}}", "is not a number that can be used"),
        ("PRICES", "{'openai:m': {input: 1, output: 2000000000}}", "cannot exceed 1000000000"),
        ("PRICES", "{'openai:m': {input: 0.1234567, output: 1}}", "has at most 6 decimals"),
        ("PRICES", "{'openai:m': {input: 1, output: 1, eur: 1}}", "eur: unknown key, known: "),
        ("PRICES", "{'openai:m': {input: 1}}", "the key 'output' is missing"),
        ("PRICES", "{'openai:m': {input: one, output: 1}}", "'one' is no amount of dollars"),
        ("PRICES", "{'openai:m': {input: 1, output: 1, date: 2026-13-01}}", "'2026-13-01' is no d"),
        ("PRICES", "{'openai:m': {input: 1, output: 1, date: soon}}", "'soon' is no date"),
        ("PRICES", "{gpt: {input: 1, output: 1}}", "'gpt' names no provider"),
        ("RATE_LIMITS", "{opena: {requests_per_minute: 1}}", "did you mean 'openai'?"),
        ("RATE_LIMITS", "{openai: {requests_per_minute: 0}}", "0 is not between 1 and"),
        ("RATE_LIMITS", "{openai: {}}", "limits nothing; give requests_per_minute or tokens_per"),
        ("RATE_LIMITS", "{openai: {rpm: 5}}", "openai.rpm: unknown key, known: "),
        ("MAX_OUTPUT_TOKENS", "1", "1 is not between 16 and"),
        ("CONTEXT_TOKENS", "10", "10 is not between 1000 and"),
        ("MAX_TURNS", "0", "0 is not between 1 and"),
        ("MAX_REFUSALS_IN_A_ROW", "0", "0 is not between 1 and"),
        ("MODEL_TIMEOUT_S", "0.5", "expected a whole number, found the number 0.5"),
    ],
)
def test_a_wrong_variable_is_one_sentence(
    tmp_path: Path, variable: str, value: str, sentence: str
) -> None:
    message = refusal(tmp_path, **{variable: value})
    assert sentence in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("max_parallel = ", "is not TOML: "),
        ("max_parallel = 1\nmax_parallel = 2", "is not TOML: "),
        ("x = nan", "is not TOML: "),
        ("max_paralel = 1", "max_paralel: unknown key, did you mean 'max_parallel'?"),
        ("max_parallel = true", "max_parallel: expected a whole number, found true"),
        (
            "max_parallel = 2026-01-01",
            "max_parallel: expected a whole number, found something else",
        ),
        ("isolation = 'off-unsafe'", "isolation: unknown key, known: "),
        ("budget_per_day = 0.1234567", "budget_per_day: an amount has at most 6 decimals"),
        ("budget_per_day = 0.12345678901234567890", "is not TOML: the number"),
        ("[credentials.A]", "credentials.A: a credential has either 'env' or 'file'"),
        ("a = " + "[" * 5000, "is not TOML: "),
        ("a = 1 # " + "x" * (1 << 20), "is larger than 1 MiB"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, toml: str, sentence: str) -> None:
    message = refusal(tmp_path, toml)
    assert message.startswith(f"{tmp_path}/config.toml: ")
    assert sentence in message


def test_a_file_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.toml")
    assert "config.toml: is not a regular file" in refusal(tmp_path)
    (tmp_path / "config.toml").unlink()
    (tmp_path / "config.toml").write_bytes(b"\xff")
    assert "config.toml:1: is not UTF-8 text" in refusal(tmp_path)


def test_the_home_is_an_absolute_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert home_directory({"CLEVERAGENTS_HOME": "/srv/agents"}) == Path("/srv/agents")
    assert home_directory({"CLEVERAGENTS_HOME": "~/agents"}) == Path("/home/somebody/agents")
    monkeypatch.setenv("XDG_DATA_HOME", "/home/somebody/data")
    for environ in ({}, {"CLEVERAGENTS_HOME": ""}):
        assert home_directory(environ) == Path("/home/somebody/data/cleveragents")
    for wrong in ("agents", "/a\0b"):
        with pytest.raises(ConfigurationError, match="CLEVERAGENTS_HOME: "):
            home_directory({"CLEVERAGENTS_HOME": wrong})
