"""How are the settings about models read? Who is asked, what it costs, and how fast."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Final

from cleveragents.config.amount import MAX_COUNT
from cleveragents.policy.argument import HANDLE
from cleveragents.policy.host_rule import parse_url
from cleveragents.policy.spelling import shown
from cleveragents.policy.suggestion import hint_for
from cleveragents.terms.model import ModelEndpoint
from cleveragents.terms.model_limit import PREFIXES, PROVIDERS, RateLimit, TokenPrice

if TYPE_CHECKING:
    from pathlib import Path

    from cleveragents.config.reader import Reader

_ENDPOINT_KEYS: Final = ("model", "base_url", "credential")
_PRICE_KEYS: Final = ("input", "cached", "output", "date")
_RATE_KEYS: Final = ("requests_per_minute", "tokens_per_minute")
# As strict as the room that asks models reads it, but for what only one provider minds.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def model_name(reader: Reader, base: Path) -> str:
    """Read ``provider:name``.

    Raises:
        ConfigurationError: It has another form, or the provider is not known.
    """
    del base
    return _checked_name(reader, reader.text())


def base_url(reader: Reader, base: Path) -> str:
    """Read where a model's server is.

    Raises:
        ConfigurationError: It is no ``http`` or ``https`` URL.
    """
    del base
    text = reader.text()
    try:
        parse_url(text)
    except ValueError as error:
        raise reader.error(str(error), "write it like https://host/v1") from error
    return text


def credential(reader: Reader, base: Path) -> str:
    """Read the handle of a declared credential.

    Raises:
        ConfigurationError: It cannot be one.
    """
    del base
    hint = "letters, digits and '_', at most 64"
    return reader.word(HANDLE, "the name of a credential", hint)


def fallback_models(reader: Reader, base: Path) -> tuple[ModelEndpoint, ...]:
    """Read models in the order in which they are asked: names, or mappings with an address.

    Raises:
        ConfigurationError: One cannot be understood.
    """
    if isinstance(reader.value, str):
        names = [name.strip() for name in reader.value.split(",")]
        return tuple(ModelEndpoint(_checked_name(reader, name)) for name in names)
    return tuple(_endpoint(item, base) for item in reader.items())


def _endpoint(reader: Reader, base: Path) -> ModelEndpoint:
    if isinstance(reader.value, str):
        return ModelEndpoint(model_name(reader, base))
    found = reader.mapping(_ENDPOINT_KEYS, required=("model",))
    return ModelEndpoint(
        model=model_name(found["model"], base),
        base_url=base_url(found["base_url"], base) if "base_url" in found else "",
        credential=credential(found["credential"], base) if "credential" in found else "",
    )


def prices(reader: Reader, base: Path) -> dict[str, TokenPrice]:
    """Read ``{provider:name: {input: 0.25, cached: 0.03, output: 2.00, date: 2026-10-01}}``.

    Amounts are US dollars of a million tokens; an absent ``cached`` costs like
    any input.

    Raises:
        ConfigurationError: A name, a key or an amount cannot be understood.
    """
    del base
    found = {}
    for name, item in reader.entries().items():
        amounts = item.mapping(_PRICE_KEYS, required=("input", "output"))
        taken = amounts["input"].microusd()
        found[_checked_name(item, name)] = TokenPrice(
            input=taken,
            output=amounts["output"].microusd(),
            cached=amounts["cached"].microusd() if "cached" in amounts else taken,
            date=_day(amounts["date"]) if "date" in amounts else "",
        )
    return found


def rate_limits(reader: Reader, base: Path) -> dict[str, RateLimit]:
    """Read ``{openai: {requests_per_minute: 60, tokens_per_minute: 90000}}``.

    Raises:
        ConfigurationError: A provider is not known, or a limit is none.
    """
    del base
    found = {}
    for name, item in reader.mapping(PROVIDERS).items():
        limits = item.mapping(_RATE_KEYS)
        if not limits:
            raise item.error("limits nothing", f"give {' or '.join(_RATE_KEYS)}")
        # A limit of nothing would wait for ever.
        found[name] = RateLimit(
            **{key: value.integer(1, MAX_COUNT) for key, value in limits.items()}
        )
    return found


def _checked_name(reader: Reader, text: str) -> str:
    prefix, colon, name = text.partition(":")
    if not colon:
        hint = "write provider:name, such as openai:gpt-5-mini"
        raise reader.error(f"{shown(text)} names no provider", hint)
    if prefix not in PREFIXES:
        hint = hint_for(prefix, PREFIXES)
        raise reader.error(f"no model provider is named {shown(prefix)}", hint)
    if not _NAME.fullmatch(name):
        raise reader.error(
            f"{shown(text)} cannot be the name of a model",
            "after the provider: letters, digits and . _ : / @ + -",
        )
    return text


def _day(reader: Reader) -> str:
    # TOML has dates of its own, YAML as it is read here has none.
    text = reader.value.isoformat() if isinstance(reader.value, date) else reader.text()
    try:
        is_day = _DATE.fullmatch(text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        is_day = False
    if not is_day:
        raise reader.error(f"{shown(text)} is no date", "write it like 2026-10-01")
    return text
