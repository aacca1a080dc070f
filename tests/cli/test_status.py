"""``agents plan status``: any unambiguous beginning of an id, the newest plan, and cheap."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.cli.place import home_of
from cleveragents.cli.plan_id import complete_plan_id, find_plan
from cleveragents.cli.status import is_living, watched
from cleveragents.errors import UnknownPlanError

from .command_line import Said, make_invocation, say
from .stored_plan import OTHER, PLAN, store_plan

if TYPE_CHECKING:
    from pathlib import Path

DEAR = {
    "pydantic",
    "pydantic_settings",
    "msgspec",
    "rich",
    "platformdirs",
    "ulid",
    "yaml",
    "httpx",
    "jsonschema_rs",
    "asyncio",
    "subprocess",
    "cleveragents.assembly",
    "cleveragents.policy",
    "cleveragents.config",
    "cleveragents.plans",
    "cleveragents.runtime",
    "cleveragents.boundary",
    "cleveragents.tools",
}


def status(home: Path, *argv: str, **how: Any) -> Said:
    environ = {"CLEVERAGENTS_HOME": str(home)}
    return say(make_invocation("plan", "status", *argv, environ=environ, **how))


def test_shows_the_violation_in_every_format(home: Path) -> None:
    store_plan(home)
    for name in ("plain", "rich"):
        out = status(home, PLAN, "--format", name).out
        for part in ("REFUSED: 1 call", "write_file", "effects", "read-only", "agents plan diff"):
            assert part in out
    violation = status(home, PLAN, "--format", "json").envelope["data"]["violations"][0]
    assert violation["tool"] == "write_file"
    assert violation["profile"] == "read-only"
    assert violation["timestamp"] == "2026-11-24T11:00:00+00:00"
    assert "tool: write_file" in status(home, PLAN, "--format", "yaml").out


@pytest.mark.parametrize("text", [PLAN, PLAN.lower(), PLAN[:-1], "01J8"])
def test_an_unambiguous_beginning_names_the_plan(home: Path, text: str) -> None:
    store_plan(home)
    assert status(home, text, "--format", "json").envelope["data"]["plan_id"] == PLAN


def test_other_commands_take_a_beginning_too(home: Path) -> None:
    environ = {"CLEVERAGENTS_HOME": str(home)}
    store_plan(home)
    assert find_plan(environ, "01j8") == PLAN
    for text in ("01J9", OTHER):
        with pytest.raises(UnknownPlanError):
            find_plan(environ, text)


def test_the_platform_says_where_the_home_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert home_of({}) == "/data/cleveragents"


def test_without_an_id_it_is_the_newest_plan(home: Path) -> None:
    store_plan(home)
    store_plan(home, OTHER)
    assert status(home, "--format", "json").envelope["data"]["plan_id"] == OTHER


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("01J8", "begins the ids of several plans; such as"),
        ("01J", "is too short to name a plan"),
        ("01J9", "no plan has the id '01J9'; 'agents plan list' shows them"),
        ("0000000000000000000000000A", "no plan has the id"),
        ("../etc", "is not the id of a plan"),
        ("01J8" + "0" * 30, "is not the id of a plan"),
        ("01J8%", "is not the id of a plan"),
        ("", "is not the id of a plan"),
    ],
)
def test_any_other_text_is_one_sentence_and_exit_2(home: Path, text: str, sentence: str) -> None:
    store_plan(home)
    store_plan(home, OTHER)
    said = status(home, text)
    assert said.exit_code == 2
    assert sentence in said.err
    assert said.out == ""


def test_a_home_without_plans_is_told_so_and_left_alone(home: Path) -> None:
    said = status(home)
    assert said.exit_code == 2
    assert "there are no plans yet" in said.err
    assert list(home.iterdir()) == []


def test_a_damaged_database_is_one_sentence(home: Path) -> None:
    (home / "cleveragents.db").write_bytes(b"no database at all, but long enough to be read" * 99)
    said = status(home)
    assert said.exit_code == 1
    assert said.err.startswith("agents: ")
    assert said.err.count("\n") == 1


def test_a_relative_home_is_an_error() -> None:
    said = say(make_invocation("plan", "status", environ={"CLEVERAGENTS_HOME": "here"}))
    assert said.exit_code == 2
    assert "CLEVERAGENTS_HOME" in said.err


def test_the_database_may_be_named_by_variable_or_file(home: Path, tmp_path: Path) -> None:
    store_plan(home)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    url = f"sqlite://{home}/cleveragents.db"
    environ = {"CLEVERAGENTS_HOME": str(elsewhere), "CLEVERAGENTS_DATABASE_URL": url}
    assert say(make_invocation("plan", "status", environ=environ)).exit_code == 0
    (elsewhere / "config.toml").write_text(f'database_url = "{url}"\n')
    assert status(elsewhere).exit_code == 0
    (elsewhere / "config.toml").write_text("database_url = 3\n")
    assert status(elsewhere).exit_code == 2
    (elsewhere / "config.toml").write_text("no toml")
    said = status(elsewhere)
    assert said.exit_code == 2
    assert "config.toml: is not TOML" in said.err


def test_a_dead_owner_is_said(home: Path) -> None:
    store_plan(home, state="processing")
    said = status(home, "--watch")
    assert "interrupted" in said.out
    assert f"agents plan resume {PLAN}" in said.out


def test_watching_shows_each_change_once_and_ends_with_the_plan() -> None:
    states = iter(["queued", "queued", "processing", "complete"])
    shown: list[object] = []
    pauses: list[None] = []
    last = watched(
        lambda: {"state": next(states)},
        show=lambda data: shown.append(data["state"]),
        pause=lambda: pauses.append(None),
    )
    assert last == {"state": "complete"}
    assert shown == ["queued", "processing"]
    assert len(pauses) == 3


@pytest.mark.parametrize("state", ["waiting", "complete", "errored", "cancelled"])
def test_watching_stops_when_nothing_will_happen(state: str) -> None:
    assert not is_living({"state": state})
    assert not is_living({"state": "processing", "interrupted": True})
    assert is_living({"state": "processing", "interrupted": False})


@pytest.mark.parametrize(
    ("screen", "name", "drawn"),
    [(True, "rich", True), (False, "plain", False), (True, "json", False)],
)
def test_only_a_terminal_is_redrawn(screen: bool, name: str, drawn: bool) -> None:
    from cleveragents.cli.status import redraw

    invocation = make_invocation("plan", "status", f"--format={name}", screen=screen)
    redraw({"name": "x", "state": "processing"}, invocation)
    assert isinstance(invocation.stdout, io.StringIO)
    assert bool(invocation.stdout.getvalue()) is drawn


def test_the_shell_is_offered_ids(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import click

    ctx, param = click.Context(click.Command("x")), click.Argument(["y"])
    monkeypatch.setenv("CLEVERAGENTS_HOME", str(home))
    assert complete_plan_id(ctx, param, "01") == []
    store_plan(home)
    assert complete_plan_id(ctx, param, "01j8") == [PLAN]
    assert complete_plan_id(ctx, param, "02") == []


MODULES = """
import sys
from cleveragents.cli.main import main
try:
    main()
finally:
    import json
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def test_the_cheap_path_loads_nothing_dear(home: Path) -> None:
    store_plan(home)
    ended = subprocess.run(
        [sys.executable, "-I", "-c", MODULES, "plan", "status", "--format", "json"],
        capture_output=True,
        text=True,
        env={"CLEVERAGENTS_HOME": str(home), "PATH": os.defpath},
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["data"]["plan_id"] == PLAN
    loaded = set(json.loads(ended.stderr))
    assert loaded & DEAR == set()
    assert {"click", "json", "sqlite3"} <= loaded
