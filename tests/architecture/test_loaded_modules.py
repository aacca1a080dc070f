"""What is loaded where; the import contracts see static imports only, this sees all."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import cleveragents
from cleveragents import errors

if TYPE_CHECKING:
    from pathlib import Path

HOST_ROOMS = (
    "assembly",
    "cli",
    "config",
    "gateway",
    "models",
    "plans",
    "policy",
    "record",
    "runtime",
    "tools.broker",
)
HOST_PARTS_OF_THE_WALL = ("apply", "cell", "collect", "git", "tree", "workspace")
SEED_NAMES = {
    "CostTracker",
    "MergeInterface",
    "PlanExecutor",
    "PlanLifecycleService",
    "SafetyProfile",
    "SafetyProfileEnforcer",
    "Settings",
    "SubplanSecurityContext",
    "ToolRuntime",
}
DEAR = (
    "asyncio",
    "httpx",
    "jsonschema_rs",
    "msgspec",
    "platformdirs",
    "pydantic",
    "rich",
    "subprocess",
    "ulid",
    "yaml",
)


def _loaded(code: str, *, home: Path, cwd: Path) -> set[str]:
    """Run code in a fresh interpreter and give the modules that it has loaded in the end."""
    program = (
        f"{code}\nimport json as j, sys as s\ns.stderr.write('\\n' + j.dumps(sorted(s.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", program],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "CLEVERAGENTS_HOME": str(home / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return set(json.loads(done.stderr.rpartition("\n")[2]))


def _in_rooms(modules: set[str], rooms: tuple[str, ...]) -> set[str]:
    names = tuple(f"cleveragents.{room}" for room in rooms)
    return {
        module
        for module in modules
        if module in names or module.startswith(tuple(f"{name}." for name in names))
    }


def test_a_host_that_ran_a_plan_has_loaded_no_tool_body(tmp_path: Path) -> None:
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "a.txt").write_text("one\n", encoding="utf-8")
    code = (
        "import cleveragents\n"
        "report = cleveragents.run_plan({'name': 'copy', 'steps': ["
        "{'id': 'look', 'tool': 'read_file', 'args': {'path': 'a.txt'}},"
        "{'id': 'find', 'tool': 'search_files', 'args': {'pattern': 'one'}},"
        "{'id': 'command', 'tool': 'run_command', 'args': {'command': ['true']}},"
        "{'tool': 'write_file', 'args': {'path': 'b.txt', 'content': '${{ steps.look.text }}'}}"
        "]}, workspace='.', apply=True)\n"
    )
    modules = _loaded(code, home=tmp_path, cwd=directory)
    assert (directory / "b.txt").read_text(encoding="utf-8") == "one\n"
    assert "cleveragents.runtime.tool_runtime" in modules
    assert _in_rooms(modules, ("tools.body", "guest")) == set()


def test_the_guest_has_loaded_no_room_of_the_host(tmp_path: Path) -> None:
    code = (
        "import importlib, pkgutil\n"
        "for room in ('cleveragents.guest', 'cleveragents.tools.body'):\n"
        "    package = importlib.import_module(room)\n"
        "    for module in pkgutil.walk_packages(package.__path__, room + '.'):\n"
        "        importlib.import_module(module.name)\n"
    )
    modules = _loaded(code, home=tmp_path, cwd=tmp_path)
    assert {"cleveragents.guest.tool_main", "cleveragents.tools.body.file"} <= modules
    walls = tuple(f"boundary.{part}" for part in HOST_PARTS_OF_THE_WALL)
    assert _in_rooms(modules, (*HOST_ROOMS, *walls)) == set()
    assert {"asyncio", "pydantic", "click", "sqlite3", "http"} & modules == set()


def test_the_front_door_loads_nothing_until_a_name_is_used(tmp_path: Path) -> None:
    modules = _loaded("import cleveragents", home=tmp_path, cwd=tmp_path)
    assert {name for name in modules if name.startswith("cleveragents.")} == set()


def test_status_loads_nothing_dear(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom cleveragents.cli.main import main\n"
        "sys.argv = ['agents', 'plan', 'status', '--format', 'json']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
    )
    modules = _loaded(code, home=tmp_path, cwd=tmp_path)
    assert set(DEAR) & modules == set()


def test_the_public_names_are_exactly_the_promised_ones() -> None:
    every_error = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.CleverAgentsError)
    }
    functions = {"tool", "decide", "run_plan", "Grant", "ToolSpec", "tool_spec"}
    assert set(cleveragents.__all__) >= functions | every_error | SEED_NAMES
    for name in cleveragents.__all__:
        assert getattr(cleveragents, name) is not None
    assert set(dir(cleveragents)) >= set(cleveragents.__all__)
