"""From a target to the library's model object for it: no key inside, no retries, no environment.

Everything that a library would read from the environment is given to it here,
and what it adds of its own does not pass the edge.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final, assert_never

import httpx2
from pydantic_ai.profiles.openai import OpenAIModelProfile

from cleveragents.models.edge import PLACEHOLDER, EdgeTransport

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI
    from pydantic_ai.models import Model
    from pydantic_ai.models.openai import OpenAIChatModel

    from cleveragents.models.provider import Target

# A library's warnings quote what a host sent, to a terminal: what matters of it is an error here.
warnings.filterwarnings("ignore", module=r"(anthropic|genai_prices|google|openai|pydantic_ai)\b")

_CLIENT_LIMIT_S: Final = 86_400.0
"""Never reached: each request has a limit of its own (``ModelLine.ask``)."""
_CHAT: Final = OpenAIModelProfile(
    # A stream that just ends is not an answer.
    openai_chat_streaming_requires_finish_reason=True,
)


class Adapter:
    """One endpoint's model object and the connections that it uses.

    Args:
        target: Who is asked.
        secret: The key; ``None``: none is sent.

    Raises:
        ImportError: The provider's own library is not installed.
    """

    def __init__(self, target: Target, secret: str | None) -> None:
        self.client = httpx2.AsyncClient(
            transport=EdgeTransport(target.url, key_header=_key_header(target, secret)),
            trust_env=False,
            follow_redirects=False,
            timeout=_CLIENT_LIMIT_S,
        )
        self.target = target
        self.model = _model(target, self.client)

    async def close(self) -> None:
        """Close every connection."""
        await self.client.aclose()


def _key_header(target: Target, secret: str | None) -> tuple[str, str] | None:
    if secret is None:
        return None
    match target.protocol:
        case "anthropic":
            return ("x-api-key", secret)
        case "google":
            return ("x-goog-api-key", secret)
        case "openai-chat" | "openai-compatible" | "openai-responses":
            return ("authorization", f"Bearer {secret}")
    assert_never(target.protocol)


def _model(target: Target, client: httpx2.AsyncClient) -> Model:
    # Each provider's library is loaded when it is asked, and only then.
    match target.protocol:
        case "openai-responses":
            from pydantic_ai.models.openai import OpenAIResponsesModel  # noqa: PLC0415
            from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415

            provider = OpenAIProvider(openai_client=_openai(target, client))
            return OpenAIResponsesModel(target.model, provider=provider)
        case "openai-chat":
            from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415
            from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415

            provider = OpenAIProvider(openai_client=_openai(target, client))
            return OpenAIChatModel(target.model, provider=provider, profile=_CHAT)
        case "openai-compatible":
            return _compatible(target, client)
        case "anthropic":
            from pydantic_ai.models.anthropic import AnthropicModel  # noqa: PLC0415
            from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: PLC0415

            return AnthropicModel(
                target.model,
                provider=AnthropicProvider(anthropic_client=_anthropic(target, client)),
            )
        case "google":
            from pydantic_ai.models.google import GoogleModel  # noqa: PLC0415
            from pydantic_ai.providers.google import GoogleProvider  # noqa: PLC0415

            return GoogleModel(
                target.model,
                provider=GoogleProvider(
                    api_key=PLACEHOLDER, base_url=str(target.url), http_client=client
                ),
            )
    assert_never(target.protocol)


def _compatible(target: Target, client: httpx2.AsyncClient) -> OpenAIChatModel:
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415
    from pydantic_ai.profiles import merge_profile  # noqa: PLC0415
    from pydantic_ai.providers.ollama import OllamaProvider  # noqa: PLC0415
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider  # noqa: PLC0415

    openai = _openai(target, client)
    provider = (
        OllamaProvider(openai_client=openai)
        if target.provider.name == "ollama"
        else OpenAICompatibleProvider("openai-compatible", openai_client=openai)
    )
    # INVARIANT: the answer is limited by a field that every such server knows; what is held
    # for a request relies on it. The newer 'max_completion_tokens' is ignored by some.
    profile = merge_profile(
        _CHAT, OpenAIModelProfile(openai_chat_supports_max_completion_tokens=False)
    )
    return OpenAIChatModel(target.model, provider=provider, profile=profile)


def _openai(target: Target, client: httpx2.AsyncClient) -> AsyncOpenAI:
    from openai import AsyncOpenAI  # noqa: PLC0415

    return AsyncOpenAI(
        api_key=PLACEHOLDER,
        admin_api_key="",
        organization="",
        project="",
        webhook_secret="",
        base_url=str(target.url),
        max_retries=0,
        http_client=client,
    )


def _anthropic(target: Target, client: httpx2.AsyncClient) -> AsyncAnthropic:
    from anthropic import AsyncAnthropic  # noqa: PLC0415

    return AsyncAnthropic(
        api_key=PLACEHOLDER,
        webhook_key="",
        base_url=str(target.url),
        max_retries=0,
        http_client=client,
    )
