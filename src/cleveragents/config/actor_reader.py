"""Who decides the next call of a plan? The ``actor`` mapping."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, assert_never

from cleveragents.policy.argument import HANDLE
from cleveragents.terms.plan import ActorDefinition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.config.reader import Reader

_Kind = Literal["script", "llm", "program"]
_KINDS: Final[Mapping[str, _Kind]] = {"script": "script", "llm": "llm", "program": "program"}
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "script": ("kind",),
    "llm": ("kind", "model", "base_url", "credential"),
    "program": ("kind", "command"),
}
_ALL_KEYS: Final = tuple(dict.fromkeys(key for keys in _KEYS.values() for key in keys))
_MODEL: Final = re.compile(r"[a-z0-9_-]{1,64}:[^\s:][^\s]{0,199}", re.ASCII)
_URL: Final = re.compile(r"https?://[^\s/]+\S*")


def read_actor(reader: Reader) -> ActorDefinition:
    """Read an actor; every key has to belong to its kind.

    Raises:
        ConfigurationError: It cannot be understood.
    """
    kind = reader.mapping(_ALL_KEYS, required=("kind",))["kind"].choice(_KINDS)
    found = reader.mapping(_KEYS[kind])
    match kind:
        case "script":
            return ActorDefinition()
        case "program":
            return ActorDefinition(kind=kind, command=_command(reader))
        case "llm":
            if "model" not in found and len(found) > 1:
                raise reader.error("'base_url' and 'credential' belong to a 'model'")
            # Without a model: the one that the plan is run with, or that the parent was lent.
            return ActorDefinition(
                kind=kind,
                model=_model(found),
                base_url=_base_url(found),
                credential=_credential(found),
            )
        case _:
            assert_never(kind)


def _command(reader: Reader) -> tuple[str, ...]:
    command = reader.mapping(_KEYS["program"], required=("command",))["command"]
    words = command.texts()
    if not words or not words[0]:
        raise command.error("the command is empty", "write a list: [python3, worker.py]")
    if any("\0" in word for word in words):
        raise command.error("the command holds a NUL")
    return words


def _model(found: Mapping[str, Reader]) -> str:
    if "model" not in found:
        return ""
    return found["model"].word(_MODEL, "a model", "write provider:name, as in openai:gpt-5-mini")


def _base_url(found: Mapping[str, Reader]) -> str:
    if "base_url" not in found:
        return ""
    return found["base_url"].word(_URL, "a base URL", "write http://host/path or https://host/path")


def _credential(found: Mapping[str, Reader]) -> str:
    if "credential" not in found:
        return ""
    return found["credential"].word(
        HANDLE, "the name of a credential", "letters, digits and '_', at most 64"
    )


def actor_to_mapping(actor: ActorDefinition) -> dict[str, object]:
    """The mapping that ``read_actor`` reads back."""
    mapping: dict[str, object] = {"kind": actor.kind}
    if actor.command:
        mapping["command"] = list(actor.command)
    for key in ("model", "base_url", "credential"):
        if value := getattr(actor, key):
            mapping[key] = value
    return mapping
