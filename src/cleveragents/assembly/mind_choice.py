"""Which models think for a plan, and with whose keys: settled once, when it starts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cleveragents.config.credential_source import CredentialSource
from cleveragents.errors import ConfigurationError
from cleveragents.models.provider import default_credential, host_of
from cleveragents.plans.mind import Mind, llm_actors
from cleveragents.terms.model import ModelEndpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.assembly.model_host import ModelHosts
    from cleveragents.config.plan_file import LoadedPlan
    from cleveragents.config.settings import Settings
    from cleveragents.terms.plan import ActorDefinition


class MindChoice:
    """The models of one root plan.

    Args:
        settings: The operator's.
        declared: Every credential that the operator declares.
        environ: Where a provider's usual variable may hold a key.
        hosts: Says where those may be that a plan file names.
    """

    def __init__(
        self,
        settings: Settings,
        declared: Mapping[str, CredentialSource],
        environ: Mapping[str, str],
        hosts: ModelHosts,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._hosts = hosts
        self.credentials = dict(declared)
        """Those declared, and the usual keys of the models that are asked."""

    def mind(self, loaded: LoadedPlan) -> Mind:
        """Give the models that are lent to a plan and everything below it.

        What the plan's file names is lent where a person's side admits its
        host; else the door refuses it, when the plan asks.

        Args:
            loaded: The plan.

        Raises:
            ConfigurationError: A model is unknown or has no key, or the plan
                has a model actor and nobody names a model.
        """
        settings, model = self._settings, self._hosts.model
        actors = list(llm_actors(loaded.definition))
        where = loaded.where(("actor", "model"))
        own = self._own(loaded, actors, model)
        named = [
            self._complete(_written(actor), where)
            for actor in actors
            if actor.model and not (model and actor is loaded.definition.actor)
        ]
        lent = [one for one in named if self._hosts.admit(one, where=where)]
        return Mind(
            endpoints=tuple(dict.fromkeys((*own, *lent))),
            fallbacks=tuple(
                self._complete(one, "the settings: fallback_models")
                for one in (settings.fallback_models if own or named else ())
            ),
            max_output_tokens=settings.max_output_tokens,
            context_tokens=settings.context_tokens,
            max_turns=settings.max_turns,
            max_refusals=settings.max_refusals_in_a_row,
        )

    def _own(
        self, loaded: LoadedPlan, actors: list[ActorDefinition], model: str | None
    ) -> tuple[ModelEndpoint, ...]:
        settings, actor = self._settings, loaded.definition.actor
        if model is not None and not actors:
            raise ConfigurationError(
                problem=f"no actor of {loaded.name} asks a model",
                where="--model",
                hint="write actor: {kind: llm}",
            )
        if actor.model and model is None:
            # It stands first among those that its file names.
            return ()
        name = model or settings.model
        if not name:
            if any(not one.model for one in actors):
                raise ConfigurationError(
                    problem="nobody says which model thinks for the plan",
                    where=loaded.where(("actor",)),
                    hint="give --model provider:name, or set 'model' in the settings",
                )
            return ()
        if not actors and loaded.definition.actor.kind != "program":
            # A script without a model actor pays for no key that is missing.
            return ()
        endpoint = ModelEndpoint(name, settings.model_base_url, settings.model_credential)
        return (self._complete(endpoint, "--model" if model else "the settings: model"),)

    def _complete(self, endpoint: ModelEndpoint, where: str) -> ModelEndpoint:
        """Give an endpoint with the key that it wants."""
        host = host_of(endpoint, where=where)
        if endpoint.credential:
            return self._checked(endpoint, host, where)
        if endpoint.base_url:
            return endpoint
        usual = default_credential(endpoint.model, where=where)
        if usual is None:
            return endpoint
        for name in usual.names:
            if name in self.credentials and host in self.credentials[name].hosts:
                return replace(endpoint, credential=name)
        for name in usual.names:
            if self._environ.get(name) and name not in self.credentials:
                self.credentials[name] = CredentialSource("env", name, usual.hosts)
                return replace(endpoint, credential=name)
        raise ConfigurationError(
            problem=f"there is no key for the model {endpoint.model!r}",
            where=where,
            hint=f"set {' or '.join(usual.names)}, or declare a credential for {host}",
        )

    def _checked(self, endpoint: ModelEndpoint, host: str, where: str) -> ModelEndpoint:
        source = self.credentials.get(endpoint.credential)
        if source is None:
            usual = default_credential(endpoint.model, where=where)
            is_usual = usual is not None and endpoint.credential in usual.names
            if not endpoint.base_url and usual is not None and is_usual:
                # The contract's own example names the usual key without declaring it.
                self.credentials[endpoint.credential] = CredentialSource(
                    "env", endpoint.credential, usual.hosts
                )
                return endpoint
            raise ConfigurationError(
                problem=f"the credential {endpoint.credential!r} is not declared",
                where=where,
                hint=f"in the settings: credentials.{endpoint.credential} ="
                f' {{env = "{endpoint.credential}", hosts = ["{host}"]}}',
            )
        return endpoint


def _written(actor: ActorDefinition) -> ModelEndpoint:
    return ModelEndpoint(actor.model, actor.base_url, actor.credential)
