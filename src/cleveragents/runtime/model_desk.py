"""The host's edge for models: what a request costs at most, whose key it gets, who sends it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from cleveragents.errors import ModelFailedError, UnpricedModelError
from cleveragents.policy.host_rule import is_address, is_private, parse_url
from cleveragents.runtime.cost_tracker import ModelUse
from cleveragents.terms.cost import Amount
from cleveragents.terms.decision import Allowed, Denied, Refusal
from cleveragents.terms.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cleveragents.record.account import AccountBook
    from cleveragents.runtime.model_ask import ModelAsk
    from cleveragents.terms.decision import Decision
    from cleveragents.terms.model import ModelEndpoint, ModelReply, ModelRequest, ModelUsage

REQUESTS: Final = 1
_ADVICE: Final = (
    "name the host in 'hosts' of a profile of yours, or choose the model by --model or the settings"
)


class Price(Protocol):
    """What a model's tokens cost, in micro-dollars."""

    def worst(self, input_tokens: int, output_tokens: int) -> int:
        """The dearest that so many tokens can be."""

    def real(self, usage: ModelUsage) -> int:
        """What was used."""


class Models(Protocol):
    """The models room, as the door sees it."""

    def host_of(self, endpoint: ModelEndpoint) -> str:
        """The host that is asked."""

    def upper_bound(self, request: ModelRequest) -> int:
        """More input tokens than the request can have."""

    def price(self, endpoint: ModelEndpoint) -> Price | None:
        """Its price; ``None`` when nobody says."""

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
        """Send it within the provider's rate limits.

        Raises:
            ModelFailedError: There is no answer that can be read.
        """


class Hosts(Protocol):
    """A credential's declared hosts."""

    def admits(self, host: str) -> bool:
        """Say whether the credential may be sent there."""


class Secret(Protocol):
    """A declared credential, opened."""

    @property
    def value(self) -> str:
        """The secret."""

    @property
    def hosts(self) -> Hosts:
        """Where it may go."""


class ModelDesk:
    """Quotes, sends and charges requests to models.

    Args:
        open_models: Opens the models room at the first request.
        book: Says whether a cost limit is in force.
        credentials: Every declared credential by its handle.
    """

    def __init__(
        self,
        open_models: Callable[[], Models],
        *,
        book: AccountBook,
        credentials: Mapping[str, Secret],
    ) -> None:
        self._open_models = open_models
        self._book = book
        self._credentials = credentials

    @property
    def _models(self) -> Models:
        return self._open_models()

    def resources(self, endpoint: ModelEndpoint) -> tuple[Resource, ...]:
        """What a request names: the host, and the credential that it is sent with."""
        found = [Resource("host", self._models.host_of(endpoint), "use")]
        if endpoint.credential:
            found.append(Resource("credential", endpoint.credential, "use"))
        return tuple(found)

    def unlent(self, endpoint: ModelEndpoint, decision: Decision, *, in_subplan: bool) -> Decision:
        """What becomes of an endpoint that nobody lent, once its host was decided.

        The libraries resolve names themselves. Over TLS a private server cannot
        answer for a public name; without it, whatever the name leads to is asked.

        Args:
            endpoint: Where the request is to go.
            decision: The gate's, of host and credential.
            in_subplan: Who names it: a subplan's maker, or the plan's file.

        Returns:
            The decision, refused where the name may lead to a private address;
            for a plan's file a refusal says what a person can do.
        """
        if isinstance(decision, Allowed):
            url = parse_url(endpoint.base_url) if endpoint.base_url else None
            is_safe = url is None or url.scheme == "https" or is_address(url.host)
            if url is None or is_safe or is_private(url.host):
                return decision
            who = "a subplan" if in_subplan else "a plan file"
            refusal = Refusal(
                kind="security_boundary" if in_subplan else "tool_access_denied",
                rule="grant.hosts" if in_subplan else "hosts",
                profile="",
                reason=f"a model at {url.host} that {who} names is asked over https only",
                resource_name=f"host:{url.host}",
            )
            decision = Denied((refusal,))
        if in_subplan:
            return decision
        return Denied(tuple(_advised(refusal) for refusal in decision.refusals))

    def worst(self, ask: ModelAsk, accounts: tuple[str, ...]) -> Amount:
        """Give the most that a request can use.

        Raises:
            UnpricedModelError: It has no price, and a cost limit is in force.
        """
        tokens = self._models.upper_bound(ask.request)
        answer = ask.request.max_output_tokens
        price = self._models.price(ask.endpoint)
        if price is None and self._has_cost_limit(accounts):
            raise UnpricedModelError(model=ask.endpoint.model)
        return Amount(
            cost_microusd=price.worst(tokens, answer) if price else 0,
            input_tokens=tokens,
            output_tokens=answer,
            requests=REQUESTS,
        )

    def used(self, ask: ModelAsk, usage: ModelUsage, worst: Amount) -> ModelUse:
        """Give what an answered request used; the worst case where its provider does not say."""
        if not usage.is_reported:
            return ModelUse(ask.endpoint.model, worst)
        price = self._models.price(ask.endpoint)
        amount = Amount(
            cost_microusd=price.real(usage) if price else 0,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            requests=REQUESTS,
        )
        return ModelUse(ask.endpoint.model, amount, usage.cached_tokens)

    def lost(self, ask: ModelAsk, worst: Amount, *, is_billed: bool) -> ModelUse:
        """Give what a request without an answer used, as far as anybody can know."""
        return ModelUse(ask.endpoint.model, worst if is_billed else Amount(requests=REQUESTS))

    def send(self, ask: ModelAsk, worst: Amount) -> ModelReply:
        """Send a request that was decided, held and recorded.

        Raises:
            ModelFailedError: There is no answer, or the credential is not for that host.
        """
        return self._models.ask(
            ask.endpoint,
            ask.request,
            secret=self._secret(ask.endpoint),
            tokens=worst.input_tokens + worst.output_tokens,
            on_text=ask.on_text,
            should_stop=ask.should_stop,
        )

    def _secret(self, endpoint: ModelEndpoint) -> str | None:
        name = endpoint.credential
        if not name:
            return None
        credential = self._credentials.get(name)
        if credential is None:
            raise ModelFailedError(
                kind="unauthorised",
                reason=f"the credential {name!r} has no value: set what its declaration names",
            )
        host = self._models.host_of(endpoint)
        if not credential.hosts.admits(host):
            raise ModelFailedError(
                kind="unauthorised",
                reason=f"the credential {name!r} is not declared for {host!r}:"
                f" add it to credentials.{name}.hosts",
            )
        return credential.value

    def _has_cost_limit(self, accounts: tuple[str, ...]) -> bool:
        return any(self._book.snapshot(name).limits.cost_microusd is not None for name in accounts)


def _advised(refusal: Refusal) -> Refusal:
    if refusal.rule != "hosts":
        return refusal
    return replace(refusal, reason=f"{refusal.reason}; {_ADVICE}")
