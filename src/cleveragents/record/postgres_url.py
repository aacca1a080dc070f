"""What a PostgreSQL URL says, and how long either side waits for the other.

The driver itself is imported in ``store`` only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cleveragents.errors import ConfigurationError

if TYPE_CHECKING:
    from typing import Any

_PATIENCE: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""libpq's parameters, in seconds, the last in milliseconds: a server that is cut off is
noticed in a minute."""
LET_GO: Final = (
    "SELECT set_config('tcp_keepalives_idle', '30', false),"
    " set_config('tcp_keepalives_interval', '10', false),"
    " set_config('tcp_keepalives_count', '3', false)"
)
"""The same the other way: a machine that is lost owns its plans for a minute, not for hours."""


def patience(url: str, psycopg: Any, *, where: str) -> dict[str, int]:
    """Give the parameters to connect with, but those that the URL sets itself.

    Args:
        url: Begins with ``postgresql://`` or ``postgres://``.
        psycopg: The driver.
        where: The setting that holds the URL.

    Raises:
        ConfigurationError: It is no URL. Said here, without a part of it: the
            driver would complain by repeating what may belong to a password.
    """
    authority, _, path = url.partition("://")[2].partition("/")
    is_cut = authority.count("@") > 1 or "@" in path.partition("?")[0]
    known: dict[str, object] = {}
    try:
        known = psycopg.conninfo.conninfo_to_dict(url)
    except (psycopg.Error, UnicodeError):
        is_cut = True
    ports = str(known.get("port", "")).split(",")
    if is_cut or not all(port.isdecimal() for port in ports if port):
        raise ConfigurationError(
            problem="is no URL of PostgreSQL",
            where=where,
            hint="write postgresql://user:password@host:5432/name, with %40 for @, %2F for / and"
            " %25 for % in the password",
        )
    return {name: value for name, value in _PATIENCE.items() if name not in known}
