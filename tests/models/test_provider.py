"""Where a model's name leads, and whose key it wants."""

from __future__ import annotations

import pytest

from cleveragents.errors import ConfigurationError
from cleveragents.models.provider import (
    PROVIDERS,
    default_credential,
    host_of,
    provider_of,
    target_of,
)
from cleveragents.terms import model_limit
from cleveragents.terms.model import ModelEndpoint


@pytest.mark.parametrize(
    ("model", "base_url", "host", "provider", "protocol"),
    [
        ("openai:gpt-5-mini", "", "api.openai.com", "openai", "openai-responses"),
        ("openai-responses:gpt-5", "", "api.openai.com", "openai", "openai-responses"),
        ("openai-chat:gpt-4o", "", "api.openai.com", "openai", "openai-chat"),
        (
            "openai:a/b:free",
            "https://OpenRouter.ai/api/v1",
            "openrouter.ai",
            "openai",
            "openai-compatible",
        ),
        ("openai-chat:gpt-5", "https://llm.corp/v1", "llm.corp", "openai", "openai-chat"),
        ("anthropic:claude-opus-5", "", "api.anthropic.com", "anthropic", "anthropic"),
        ("google:gemini-2.5-pro", "", "generativelanguage.googleapis.com", "google", "google"),
        ("ollama:qwen3:8b", "", "127.0.0.1", "ollama", "openai-compatible"),
        ("ollama:qwen3", "http://[::1]:11434/v1", "::1", "ollama", "openai-compatible"),
    ],
)
def test_where_a_name_leads(
    model: str, base_url: str, host: str, provider: str, protocol: str
) -> None:
    endpoint = ModelEndpoint(model, base_url)
    assert host_of(endpoint) == host
    assert provider_of(endpoint) == provider
    target = target_of(endpoint)
    assert (target.protocol, target.is_own_host) == (protocol, not base_url)
    assert target.model == model.partition(":")[2]


@pytest.mark.parametrize(
    ("model", "names", "host"),
    [
        ("openai:x", ("OPENAI_API_KEY",), "api.openai.com"),
        ("anthropic:x", ("ANTHROPIC_API_KEY",), "api.anthropic.com"),
        ("google:x", ("GOOGLE_API_KEY", "GEMINI_API_KEY"), "generativelanguage.googleapis.com"),
    ],
)
def test_the_usual_key_goes_to_the_providers_own_host_only(
    model: str, names: tuple[str, ...], host: str
) -> None:
    found = default_credential(model)
    assert found is not None
    assert (found.names, found.hosts) == (names, (host,))


def test_a_local_server_wants_no_key() -> None:
    assert default_credential("ollama:qwen3") is None


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("opnai:gpt-5", "plan.yaml: no model provider is named 'opnai'; did you mean 'openai'?"),
        (
            "bedrock:x",
            "no model provider is named 'bedrock'; known: anthropic, google, ollama, openai",
        ),
        ("gpt-5", "the model 'gpt-5' names no provider; write provider:name, such as openai:gpt-5"),
        ("", "the model '' names no provider"),
        ("openai:", "'openai:' cannot be the name of a model"),
        ("google:../../v1/other", "cannot be the name of a model"),
        ("google:a..b", "cannot be the name of a model"),
        ("openai:a b", "cannot be the name of a model"),
        ("openai:\u202eabc", "cannot be the name of a model"),
        ("openai:" + "x" * 300, "cannot be the name of a model"),
    ],
)
def test_a_name_that_leads_nowhere(model: str, sentence: str) -> None:
    for read in (
        lambda: host_of(ModelEndpoint(model), where="plan.yaml"),
        lambda: default_credential(model, where="plan.yaml"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            read()
        assert sentence in caught.value.message
        assert caught.value.message.isprintable()
        assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("base_url", "sentence"),
    [
        ("ftp://x/v1", "the base_url of 'openai:x' cannot be used: the URL is not of the form"),
        ("https://me:pw@x/v1", "holds user information"),
        ("https://x/v1?key=1", "has a query or a fragment; write it like https://host/v1"),
        ("https://x/v1#a", "has a query or a fragment"),
        ("http://0x7f.1/v1", "cannot be used"),
        ("https://x:0/v1", "cannot be used"),
    ],
)
def test_an_address_that_is_none(base_url: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        target_of(ModelEndpoint("openai:x", base_url))
    assert sentence in caught.value.message


@pytest.mark.parametrize("host", ["example.com", "db", "llm.local", "8.8.8.8"])
def test_a_key_does_not_travel_unencrypted(host: str) -> None:
    with pytest.raises(ConfigurationError, match="unencrypted; use https"):
        target_of(ModelEndpoint("openai:x", f"http://{host}/v1", "KEY"))
    assert host_of(ModelEndpoint("openai:x", f"https://{host}/v1", "KEY")) == host
    assert host_of(ModelEndpoint("openai:x", f"http://{host}/v1")) == host


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.1.2.3", "192.168.0.9"])
def test_a_key_may_go_to_a_private_address_unencrypted(host: str) -> None:
    assert host_of(ModelEndpoint("openai:x", f"http://{host}:8080/v1", "KEY")) == host.strip("[]")


def test_the_settings_know_the_same_providers() -> None:
    assert set(model_limit.PREFIXES) == set(PROVIDERS)
    assert set(model_limit.PROVIDERS) == {one.name for one in PROVIDERS.values()}
