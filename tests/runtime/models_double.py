"""A models room that answers what it is told to, at a price."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cleveragents.errors import ModelFailedError
from cleveragents.terms.model import ModelReply, ModelUsage

if TYPE_CHECKING:
    from collections.abc import Callable

    from cleveragents.runtime.model_desk import Price
    from cleveragents.terms.model import ModelEndpoint, ModelRequest


class Penny:
    """One micro-dollar a token, two of the worst."""

    def worst(self, input_tokens: int, output_tokens: int) -> int:
        return 2 * (input_tokens + output_tokens)

    def real(self, usage: ModelUsage) -> int:
        return usage.input_tokens + usage.output_tokens


@dataclass
class ScriptedModels:
    """Gives one answer after the other; an error among them is raised."""

    answers: list[ModelReply | BaseException] = field(default_factory=list)
    priced: Price | None = field(default_factory=Penny)
    bound: int = 100
    host: str = "models.example"
    secrets: list[str | None] = field(default_factory=list)
    """What each request was sent with."""

    def host_of(self, endpoint: ModelEndpoint) -> str:
        return self.host

    def upper_bound(self, request: ModelRequest) -> int:
        return self.bound

    def price(self, endpoint: ModelEndpoint) -> Price | None:
        return self.priced

    def ask(
        self,
        endpoint: ModelEndpoint,
        request: ModelRequest,
        *,
        secret: str | None,
        tokens: int,
        on_text: Callable[[str], None],
        should_stop: Callable[[], bool],
    ) -> ModelReply:
        self.secrets.append(secret)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        on_text(answer.text)
        return answer


def reply(text: str = "hello", *, usage: ModelUsage | None = None) -> ModelReply:
    return ModelReply(
        text=text,
        asks=(),
        usage=usage or ModelUsage(input_tokens=30, output_tokens=7, cached_tokens=5),
        finish="stop",
        model="small-1",
        message={"parts": [text]},
    )


def failure(kind: str, *, is_billed: bool = False) -> ModelFailedError:
    return ModelFailedError(kind=kind, reason=f"scripted {kind}", is_billed=is_billed)
