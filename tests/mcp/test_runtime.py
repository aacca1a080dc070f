"""What a server's command leads to, and which paths of a home its cell is shown."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from cleveragents.boundary.server_runtime import Runtime, find_runtime
from cleveragents.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


class Home:
    """A home with programs in it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.path = "/usr/bin:/bin"

    def file(self, name: str, content: str = "", *, mode: int = 0o644) -> Path:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
        return path

    def program(self, name: str, first: str = "#!/bin/sh") -> Path:
        return self.file(name, f"{first}\n", mode=0o755)

    def link(self, name: str, to: str) -> Path:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(to)
        return path

    def find(self, command: str, *arguments: str, **more: object) -> Runtime:
        environ = {"HOME": str(self.place), "PATH": self.path}
        facts = {"environ": environ, "workspace": str(self.place / "project"), **more}
        return find_runtime(command, arguments, **facts)  # type: ignore[arg-type]  # the test's own

    def shown(self, runtime: Runtime) -> set[str]:
        return {os.path.relpath(place, self.place) for place in runtime.places}

    def problem(self, command: str, *arguments: str, **more: object) -> str:
        with pytest.raises(ConfigurationError) as caught:
            self.find(command, *arguments, **more)
        return caught.value.message


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_system_program_needs_nothing(home: Home) -> None:
    found = home.find("sh", "-c", "true")
    assert found.command == ("/usr/bin/sh", "-c", "true")
    assert found.places == ()


def test_a_virtual_environment_is_shown_with_the_python_it_was_made_of(home: Home) -> None:
    home.program(".pyenv/versions/3.12/bin/python3.12", "ELF")
    home.file("srv/venv/pyvenv.cfg", f"home = {home.place}/.pyenv/versions/3.12/bin\nx = y\n")
    home.link("srv/venv/bin/python", f"{home.place}/.pyenv/versions/3.12/bin/python3.12")
    home.program("srv/venv/bin/server", f"#!{home.place}/srv/venv/bin/python")
    found = home.find(f"{home.place}/srv/venv/bin/server")
    assert home.shown(found) == {"srv/venv", ".pyenv/versions/3.12"}


def test_a_program_of_pipx_in_the_local_bin_shows_its_own_environment_only(home: Home) -> None:
    home.file(".local/pipx/venvs/tool/pyvenv.cfg", "home = /usr/bin\n")
    home.program(".local/pipx/venvs/tool/bin/tool", "ELF")
    home.link(".local/bin/tool", "../pipx/venvs/tool/bin/tool")
    home.program(".local/bin/secret-helper")
    home.path = f"{home.place}/.local/bin"
    found = home.find("tool")
    assert home.shown(found) == {".local/bin/tool", ".local/pipx/venvs/tool"}


def test_a_package_of_nvm_shows_that_node_only(home: Home) -> None:
    node = ".nvm/versions/node/v20"
    home.program(f"{node}/bin/node", "ELF")
    home.program(f"{node}/lib/node_modules/@x/srv/dist/index.js", "#!/usr/bin/env node")
    home.link(f"{node}/bin/srv", "../lib/node_modules/@x/srv/dist/index.js")
    home.file(".nvm/versions/node/v18/bin/node")
    home.path = f"{home.place}/{node}/bin"
    found = home.find("srv", "/home/me")
    assert home.shown(found) == {node}
    assert found.environment["PATH"].startswith(f"{home.place}/{node}/bin:")


def test_an_interpreters_script_is_shown_with_its_project(home: Home) -> None:
    home.file("srv/pyproject.toml")
    script = home.file("srv/src/server.py")
    assert home.shown(home.find("sh", "-x", str(script))) == {"srv"}


def test_a_script_without_a_project_shows_its_directory_and_one_in_the_home_itself_alone(
    home: Home,
) -> None:
    deep = home.file("srv/one/server.py")
    assert home.shown(home.find("sh", str(deep))) == {"srv/one"}
    top = home.file("server.py")
    assert home.shown(home.find("sh", str(top))) == {"server.py"}


def test_what_holds_the_record_is_never_shown(home: Home) -> None:
    script = home.file("srv/server.py")
    home.file("srv/pyproject.toml")
    private = [home.place / "srv/state"]
    assert home.shown(home.find("sh", str(script), private=private)) == {"srv/server.py"}
    assert "would need the whole of" in home.problem(
        "sh", extra=[f"{home.place}/srv"], private=private
    )


def test_a_linked_script_shows_what_it_leads_to(home: Home) -> None:
    home.file("real/server.py")
    link = home.link("links/server.py", "../real/server.py")
    assert home.shown(home.find("sh", str(link))) == {"links", "real"}


def test_a_script_of_the_workspace_needs_nothing_more(home: Home) -> None:
    script = home.file("project/server.py")
    assert home.find("sh", str(script)).places == ()


def test_a_script_of_a_package_is_shown_with_what_lies_beside_it(home: Home) -> None:
    home.file("srv/node_modules/@x/srv/package.json", "{}")
    script = home.file("srv/node_modules/@x/srv/dist/index.js")
    assert home.shown(home.find("sh", str(script))) == {"srv/node_modules"}


def test_a_directory_to_start_in_is_shown(home: Home) -> None:
    home.file("srv/package.json", "{}")
    (home.place / "srv/sub").mkdir()
    assert home.shown(home.find("sh", directory=f"{home.place}/srv/sub")) == {"srv"}


def test_further_paths_of_the_operator_are_shown(home: Home) -> None:
    home.file("data/a")
    assert home.shown(home.find("sh", extra=[f"{home.place}/data"])) == {"data"}
    assert "does not exist" in home.problem("sh", extra=[f"{home.place}/none"])


@pytest.mark.parametrize("whole", [".", "..", ".config", ".local", "/tmp", "/etc", "/var/lib"])
def test_a_whole_home_is_never_shown(home: Home, whole: str) -> None:
    (home.place / whole).mkdir(exist_ok=True)
    # What is absolute stands for itself.
    place = os.path.normpath(home.place / whole)
    assert "would need the whole of" in home.problem("sh", extra=[place])


@pytest.mark.parametrize("command", ["no-such-program", "/no/such/program", "~/none", "/usr"])
def test_a_command_that_is_not_there_is_told(home: Home, command: str) -> None:
    assert "is not found" in home.problem(command)


# -- npx ------------------------------------------------------------------------------


def package(home: Home, root: str, name: str, version: str = "1.2.3", **facts: Any) -> None:
    home.file(f"{root}/{name}/dist/index.js")
    content = {"version": version, "bin": {name.rpartition("/")[2]: "dist/index.js"}, **facts}
    home.file(f"{root}/{name}/package.json", json.dumps(content))


def test_npx_runs_what_it_has_installed(home: Home) -> None:
    home.program("node/bin/node", "ELF")
    home.path = f"{home.place}/node/bin:/usr/bin"
    package(home, ".npm/_npx/1a2b/node_modules", "@x/srv")
    found = home.find("npx", "-y", "@x/srv@latest", "/home/me")
    script = f"{home.place}/.npm/_npx/1a2b/node_modules/@x/srv/dist/index.js"
    assert found.command == (f"{home.place}/node/bin/node", script, "/home/me")
    assert home.shown(found) == {"node", ".npm/_npx/1a2b/node_modules"}
    assert found == home.find("npx", "--yes", "--package", "@x/srv", "srv", "/home/me")


def test_npx_takes_a_global_package_and_the_wanted_version(home: Home) -> None:
    home.program("node/bin/node", "ELF")
    home.program("node/bin/npm")
    home.path = f"{home.place}/node/bin:/usr/bin"
    package(home, "node/lib/node_modules", "srv", "2.0.0", bin="dist/index.js")
    assert home.find("npx", "srv@2.0.0").command[1].endswith("srv/dist/index.js")
    assert "npm install --global srv@1.0.0" in home.problem("npx", "srv@1.0.0")


@pytest.mark.parametrize("facts", [{"bin": "../../../etc/passwd"}, {"bin": {}}, {"bin": 7}])
def test_npx_runs_nothing_outside_of_the_package(home: Home, facts: dict[str, Any]) -> None:
    package(home, ".npm/_npx/1/node_modules", "srv", **facts)
    assert "no installed package" in home.problem("npx", "srv")


def test_npx_overlooks_what_is_no_package(home: Home) -> None:
    home.file(".npm/_npx/1/node_modules/srv/package.json", "[]")
    home.file(".npm/_npx/2/node_modules/srv/package.json", "{")
    assert "no installed package" in home.problem("npx", "srv")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "no package to run"),
        (("--call", "x"), "'--call' of npx is not known"),
        (("../x",), "no name of a package"),
        (("--", "srv"), "no installed package 'srv'"),
    ],
)
def test_npx_is_understood_or_refused(home: Home, arguments: tuple[str, ...], told: str) -> None:
    assert told in home.problem("npx", *arguments)


# -- uvx and uv ---------------------------------------------------------------------


def test_uvx_runs_an_installed_tool(home: Home) -> None:
    home.program(".local/share/uv/tools/mcp-x/bin/mcp-x", "ELF")
    home.file(".local/share/uv/tools/mcp-x/pyvenv.cfg", "home = /usr/bin\n")
    found = home.find("uvx", "mcp-x@latest", "--repository", "/r")
    assert found.command[1:] == ("--repository", "/r")
    assert home.shown(found) == {".local/share/uv/tools/mcp-x"}
    assert home.find("uv", "tool", "run", "mcp-x").command[0] == found.command[0]


def test_uvx_runs_what_its_cache_holds_in_the_wanted_version(home: Home) -> None:
    base = ".cache/uv/archive-v0/abc"
    home.program(f"{base}/bin/run-x", "ELF")
    home.file(f"{base}/lib/python3.12/site-packages/mcp_x-1.0.dist-info/METADATA")
    found = home.find("uvx", "--from", "mcp-x==1.0", "run-x", "a")
    assert found.command == (f"{home.place}/{base}/bin/run-x", "a")
    assert "uv tool install mcp-x==2.0" in home.problem("uvx", "--from", "mcp-x==2.0", "run-x")


def test_uv_runs_a_project(home: Home) -> None:
    home.file("srv/pyproject.toml")
    home.program("srv/.venv/bin/serve", "ELF")
    home.program("srv/.venv/bin/python", "ELF")
    home.file("srv/server.py")
    where = f"{home.place}/srv"
    found = home.find("uv", "--directory", where, "run", "serve", "x")
    assert found.command == (f"{where}/.venv/bin/serve", "x")
    assert home.shown(found) == {"srv"}
    found = home.find("uv", "--directory", where, "run", "server.py")
    assert found.command == (f"{where}/.venv/bin/python", f"{where}/server.py")
    assert "only 'uv tool run'" in home.problem("uv", "pip", "list")


# -- small print ----------------------------------------------------------------------


def test_a_program_that_is_no_script_and_one_that_cannot_be_read_have_no_interpreter(
    home: Home,
) -> None:
    for first in ("#!", "#! ", "#!/usr/bin/env -S", "#!/usr/bin/env A=b"):
        program = home.program(f"srv/bin/{len(first)}", first)
        assert home.shown(home.find(str(program))) == {"srv"}


def test_a_link_that_leads_in_a_circle_of_directories_ends(home: Home) -> None:
    home.program("real/bin/x", "ELF")
    home.link("way", "real")
    found = home.find(f"{home.place}/way/bin/x")
    assert home.shown(found) == {"way", "real"}


def test_a_damaged_environment_is_overlooked(home: Home) -> None:
    home.program("srv/bin/x", "ELF")
    home.file("srv/pyvenv.cfg", "no home\n")
    assert home.shown(home.find(f"{home.place}/srv/bin/x")) == {"srv"}


def test_a_script_by_a_relative_name_is_the_workspaces(home: Home) -> None:
    assert home.find("sh", "-e", "server.sh").places == ()
