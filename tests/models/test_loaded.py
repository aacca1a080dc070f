"""What is dear is loaded when a model is asked, and not before."""

from __future__ import annotations

import subprocess
import sys

import pytest

DEAR = (
    "pydantic_ai",
    "pydantic",
    "genai_prices",
    "httpx",
    "httpx2",
    "openai",
    "anthropic",
    "google.genai",
)
QUESTIONS = """
import sys
from cleveragents.models import line, price, provider, rate_limit, token_count
from cleveragents.terms.model import ModelEndpoint, ModelRequest
from cleveragents.terms.model_limit import TokenPrice
endpoint = ModelEndpoint("openai:m")
assert provider.host_of(endpoint) == "api.openai.com"
assert provider.default_credential(endpoint.model).names
assert token_count.upper_bound(ModelRequest("x", ()))
assert price.PriceBook({"openai:m": TokenPrice(1, 1, 1)}).find(endpoint).worst(1, 1)
rate_limit.RateLimiter({}, now_ms=lambda: 0).wait("openai", 1, lambda: False)
line.ModelLine().close()
print(sorted(name for name in DEAR if name in sys.modules))
"""


def test_questions_without_a_request_load_no_library() -> None:
    code = f"DEAR = {DEAR!r}\n{QUESTIONS}"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (ended.stdout, ended.stderr) == ("[]\n", "")


@pytest.mark.parametrize(
    ("module", "loaded"),
    [("adapter", {"pydantic_ai", "httpx2"}), ("conversion", {"pydantic_ai"})],
)
def test_no_provider_is_loaded_for_another(module: str, loaded: set[str]) -> None:
    code = (
        f"import sys, cleveragents.models.{module}\n"
        f"print(*[name for name in {DEAR!r} if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = set(ended.stdout.split())
    assert loaded <= found
    assert not {"anthropic", "google.genai"} & found
