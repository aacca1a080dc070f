"""Where the house keeps its things, found without loading the settings.

``agents plan status`` reads two values of all settings; it looks for them where
``config.settings`` would, at the price of an environment lookup.
"""

# What is imported late here is what a set CLEVERAGENTS_HOME makes unnecessary.
# ruff: noqa: PLC0415

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cleveragents.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cleveragents.record.store import Store


def home_of(environ: Mapping[str, str]) -> str:
    """The home directory: ``CLEVERAGENTS_HOME``, or the platform's data directory.

    Raises:
        ConfigurationError: The variable holds a relative path.
    """
    named = environ.get("CLEVERAGENTS_HOME", "")
    if not named:
        from platformdirs import user_data_dir

        return user_data_dir("cleveragents")
    path = os.path.expanduser(named)  # noqa: PTH111  # pathlib is dearer than this whole file
    if not os.path.isabs(path):  # noqa: PTH117  # the same
        raise ConfigurationError(
            problem=f"{named!r} is no absolute path", where="CLEVERAGENTS_HOME"
        )
    return path


def database_url(environ: Mapping[str, str]) -> str:
    """Where the record is: the environment, else ``config.toml``, else the home.

    Raises:
        ConfigurationError: ``config.toml`` is not TOML.
    """
    named = environ.get("CLEVERAGENTS_DATABASE_URL", "")
    if named:
        return named
    home = home_of(environ)
    return _from_config(f"{home}/config.toml") or f"sqlite:///{home}/cleveragents.db"


def _from_config(path: str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # as above
            data = file.read()
    except FileNotFoundError:
        return ""
    import tomllib

    try:
        value = tomllib.loads(data.decode()).get("database_url", "")
    except ValueError as error:
        # Not TOML, or not UTF-8: both are kinds of ValueError.
        raise ConfigurationError(problem=f"is not TOML: {error}", where=path) from error
    return value if isinstance(value, str) else ""


def open_store(environ: Mapping[str, str]) -> Store:
    """Open the record to be read.

    Raises:
        ConfigurationError: There is no record yet.
        RecordError: It cannot be read.
    """
    from cleveragents.record.store import Store

    url = database_url(environ)
    path = url.removeprefix("sqlite://")
    if url.startswith("sqlite:///") and not os.path.exists("/" + path.lstrip("/")):  # noqa: PTH110  # as above
        raise no_plans()
    return Store.open(url, read_only=True)


def no_plans() -> ConfigurationError:
    """Say that nothing has been run here yet."""
    return ConfigurationError(
        problem="there are no plans yet", hint="'agents plan run FILE' starts one"
    )
