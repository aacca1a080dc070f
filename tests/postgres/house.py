"""What a test asks of a scene whose record is on a PostgreSQL server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from tests.plans.scene import ended, wait_until

if TYPE_CHECKING:
    import subprocess

    from tests.plans.scene import Done, Plan, Scene

SECRET = "geheim-8471"  # no secret of anybody's
"""The password in every URL; the server asks nobody for it unless a test makes it."""


@dataclass(frozen=True)
class PostgresHouse:
    """A scene, and the database behind it."""

    scene: Scene
    url: str
    """Without a password."""

    # -- commands ---------------------------------------------------------------

    def agents(self, *words: str, expect: int | None = 0) -> Done:
        """Run the command to its end; what it says holds no password."""
        return _silent(self.scene.agents(*words, expect=expect))

    def installed(self, *words: str, expect: int = 0) -> Done:
        """Run the installed command, as a process, to its end."""
        done = _silent(ended(self.scene.start(*words)))
        assert done.exit_code == expect, f"{words}\n{done.out}\n{done.err}"
        return done

    def run(self, plan: Plan, *more: str, expect: int = 0) -> Done:
        """Run a plan to its end."""
        return self.agents(*self.scene.words(plan, *more), expect=expect)

    def start(self, plan: Plan, *more: str) -> subprocess.Popen[str]:
        """Start a plan by the installed command and do not wait for it."""
        return self.scene.start(*self.scene.words(plan, *more))

    def ended(self, host: subprocess.Popen[str], expect: int) -> Done:
        """Wait for a started command; what it says holds no password."""
        done = _silent(ended(host))
        assert done.exit_code == expect, f"{done.out}\n{done.err}"
        return done

    def verify(self) -> None:
        """Run `agents audit verify`: nothing is wrong."""
        self.agents("audit", "verify")

    # -- the database -------------------------------------------------------------

    def rows(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        """Ask the database beside the command."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(sql.encode(), params).fetchall()

    def dump(self) -> str:
        """Every row of every table, as text."""
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        asked = (f'SELECT t::text FROM "{name}" t' for (name,) in self.rows(tables))  # noqa: S608  # our own tables
        return "\n".join(row[0] for sql in asked for row in self.rows(sql))

    def count(self, kind: str) -> int:
        """How many entries of a kind the record holds; none before there is one."""
        if self.rows("SELECT to_regclass('record') IS NULL")[0][0]:
            return 0
        return int(self.rows("SELECT count(*) FROM record WHERE kind = %s", kind)[0][0])

    def wait_for(self, kind: str, count: int) -> None:
        """Look until the record holds so many entries of a kind."""
        wait_until(lambda: self.count(kind) >= count, f"{count} entries {kind}")

    @property
    def plan_id(self) -> str:
        """The newest root plan."""
        sql = "SELECT plan_id FROM plan WHERE depth = 0 ORDER BY plan_id DESC LIMIT 1"
        return str(self.rows(sql)[0][0])


def url_of(url: str, password: str, user: str = "tester") -> str:
    """Give a URL with another user and a password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{user}:{password}@{rest.rpartition('@')[2]}"


def _silent(done: Done) -> Done:
    assert SECRET not in done.out + done.err
    assert "Traceback" not in done.out + done.err, done.err
    return done
