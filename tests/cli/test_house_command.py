"""The commands over one home that need no plan: profiles, tools, the record, the doctor."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast, get_args

import pytest

from cleveragents.assembly.doctor_command import examine
from cleveragents.boundary.report import IsolationReport, Layer

from .command_line import Said, make_invocation, say
from .stored_plan import OTHER, PLAN, store_plan

if TYPE_CHECKING:
    from pathlib import Path

    from cleveragents.assembly.house import House

PROFILE = """
name: docs-writer
description: writes docs only
allowed_tools: [read_file, write_file, "web__*", nosuch]
denied_tools: [read_file]
write: [docs/]
where: {write_file: {properties: {content: {maxLength: 10}}}}
examples:
  allows: [{tool: write_file, args: {path: docs/a.md, content: x}}]
  denies: [{tool: write_file, args: {path: a.md, content: x}}]
"""
AUTOMATION = """
name: careful
safety_profile: read-only
delegates: {name: inline, denied_tools: [run_command]}
budget: {max_cost_usd: 2.00, max_tool_calls: 0}
subplans: {max_parallel: 4}
apply: ask
approvals: [run_command]
credentials: {KEY: {env: SECRET_KEY, hosts: [example.com]}}
safety_profiles: [{name: own, effects: [read]}]
workspace: {include: [node_modules/]}
"""
TOOLS = '''
from cleveragents import tool

raise RuntimeError("a file of tools is read and never run")

@tool(effects={"read"}, resources={"path": "file"}, cost_usd="0.02")
def count_lines(path: str, deep: bool = False) -> int:
    """Count the lines of a file. Much more could be said."""
    return 3

@tool(effects={"read"})
def second(n: int) -> int:
    return n
'''


def do(home: Path, *argv: str) -> Said:
    return say(make_invocation(*argv, environ={"CLEVERAGENTS_HOME": str(home)}))


def data(home: Path, *argv: str) -> dict[str, Any]:
    value = do(home, *argv, "--format", "json").envelope["data"]
    assert isinstance(value, dict)
    return value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "given.yaml"
    path.write_text(PROFILE)
    return path


# -- safety profiles ------------------------------------------------------------


def test_the_built_in_profiles_are_listed(home: Path) -> None:
    out = do(home, "safety-profile", "list").out
    for name in ("unrestricted", "read-only", "no-network", "sandboxed"):
        assert f"{name}" in out
    assert "built-in" in out


def test_show_resolves_names_and_says_what_is_odd(home: Path, file: Path) -> None:
    assert do(home, "safety-profile", "add", str(file)).exit_code == 0
    shown = data(home, "safety-profile", "show", "docs-writer")
    assert shown["origin"] == "added"
    assert shown["overlap"] == ["read_file"]
    assert str(shown["digest"]).startswith("sha256:")
    warnings = " ".join(map(str, shown["warnings"]))
    assert "'web__*'" in warnings
    assert "'nosuch'" in warnings
    tools = {row["tool"]: row for row in shown["tools"]}
    assert tools["write_file"]["admitted"] is True
    assert tools["run_command"]["admitted"] is False
    assert tools["run_command"]["rule"] == "allowed_tools"


def test_show_says_what_the_cell_takes_away(home: Path) -> None:
    tools = {
        row["tool"]: row for row in data(home, "safety-profile", "show", "no-network")["tools"]
    }
    assert tools["run_command"]["imposed"] == ["network"]


@pytest.mark.parametrize(
    ("profile", "tool", "arguments", "code", "rule"),
    [
        ("read-only", "write_file", '{"path": "a", "content": ""}', 3, "effects"),
        ("read-only", "read_file", '{"path": "a"}', 0, "no list"),
        ("read-only", "read_file", '{"path": "../a"}', 3, "workspace"),
        ("unrestricted", "read_file", "{}", 3, "arguments"),
        ("docs-writer", "write_file", '{"path": "docs/a", "content": "x"}', 0, "allowed_tools"),
        ("docs-writer", "write_file", '{"path": "a", "content": "x"}', 3, "write"),
        ("docs-writer", "write_file", '{"path": "docs/a", "content": "01234567890"}', 3, "where"),
        ("docs-writer", "delete_file", '{"path": "docs/a"}', 3, "allowed_tools"),
    ],
)
def test_check_says_by_which_rule(
    home: Path, file: Path, profile: str, tool: str, arguments: str, code: int, rule: str
) -> None:
    do(home, "safety-profile", "add", str(file))
    argv = ("safety-profile", "check", profile, tool, "--args", arguments)
    said = do(home, *argv)
    assert said.exit_code == code
    assert said.out.startswith("ADMITTED" if code == 0 else "DENIED")
    assert rule in said.out
    assert rule in str(data(home, *argv)["rule"])


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["check", "nope", "read_file"], "no safety profile is named 'nope'; known: "),
        (["check", "read-only", "reed_file"], "no tool is named 'reed_file'"),
        (["check", "read-only", "read_file", "--args", "{"], "--args: is no JSON"),
        (["check", "read-only", "read_file", "--args", "[" * 100_000], "--args: is no JSON"),
        (["check", "read-only", "read_file", "--args", "[]"], "--args: is no JSON object"),
        (["show", "nope"], "no safety profile is named 'nope'"),
        (["remove", "read-only"], "'read-only' is built in"),
        (["remove", "nope"], "no safety profile is named 'nope'"),
        (["add", "/nowhere.yaml"], "/nowhere.yaml"),
        (["add", "/"], "/: "),
    ],
)
def test_what_cannot_be_understood_is_exit_2(home: Path, argv: list[str], sentence: str) -> None:
    said = do(home, "safety-profile", *argv)
    assert said.exit_code == 2
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "a safety profile is a mapping"),
        ("name: read-only\n", "taken (built-in)"),
        ("name: x\nalowed_tools: []\n", "alowed_tools"),
        ("name: x\nexamples: {allows: [{tool: nope}]}\n", "nope"),
        (
            "{name: x, effects: [], examples: {allows: [{tool: read_file, args: {path: a}}]}}",
            "examples.allows[0]",
        ),
        ("name: x\nwhere: {write_file: {properties: {contnt: {maxLength: 3}}}}\n", "contnt"),
        ("name: x\nwhere: {write_file: {maxLenght: 3}}\n", "maxLenght"),
    ],
)
def test_a_profile_that_is_not_in_order_is_not_kept(
    home: Path, file: Path, text: str, sentence: str
) -> None:
    file.write_text(text)
    said = do(home, "safety-profile", "add", str(file))
    assert said.exit_code == 2
    assert sentence in said.err
    assert "built-in" in do(home, "safety-profile", "list").out
    assert "added" not in do(home, "safety-profile", "list").out


def test_a_name_is_taken_once(home: Path, file: Path) -> None:
    do(home, "safety-profile", "add", str(file))
    said = do(home, "safety-profile", "add", str(file))
    assert said.exit_code == 2
    assert "'agents safety-profile remove docs-writer' frees it" in said.err
    assert do(home, "safety-profile", "remove", "docs-writer").out == "removed docs-writer\n"
    assert do(home, "safety-profile", "add", str(file)).exit_code == 0


def test_a_profile_of_the_settings_is_known_too(home: Path) -> None:
    (home / "config.toml").write_text('[[safety_profiles]]\nname = "house"\neffects = ["read"]\n')
    assert data(home, "safety-profile", "show", "house")["origin"] == "settings"


# -- automation profiles --------------------------------------------------------


def test_an_automation_profile_is_validated_kept_shown_and_removed(home: Path, file: Path) -> None:
    file.write_text(AUTOMATION)
    shown = data(home, "automation-profile", "validate", str(file))
    assert "no automation profiles" in do(home, "automation-profile", "list").out
    profile = shown["profile"]
    assert isinstance(profile, dict)
    assert profile["budget"] == {"max_cost_usd": "2.00", "max_tool_calls": 0}
    assert profile["subplans"] == {"max_parallel": 4}
    assert profile["delegates"]["name"] == "inline"
    assert profile["credentials"] == {"KEY": {"env": "SECRET_KEY", "hosts": ["example.com"]}}
    assert do(home, "automation-profile", "add", str(file)).exit_code == 0
    assert "careful  read-only" in do(home, "automation-profile", "list").out
    assert data(home, "automation-profile", "show", "careful") == shown
    assert do(home, "automation-profile", "remove", "careful").exit_code == 0
    said = do(home, "automation-profile", "show", "careful")
    assert said.exit_code == 2
    assert "no automation profile is named 'careful'" in said.err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: x\nsafety_profile: nope\n", "no safety profile is named 'nope'"),
        ("name: x\ndelegates: nope\n", "x: delegates"),
        ("name: x\napprovals: [nope]\n", "no tool is named 'nope'"),
        ("name: x\nsafety_profiles: [{name: read-only}]\n", "read-only"),
        ("name: x\naproval: []\n", "aproval"),
        ("name: x\ntools: [nope.py]\n", "nope.py"),
    ],
)
def test_an_automation_profile_that_is_not_in_order_is_not_kept(
    home: Path, file: Path, text: str, sentence: str
) -> None:
    file.write_text(text)
    for command in ("validate", "add"):
        said = do(home, "automation-profile", command, str(file))
        assert said.exit_code == 2
        assert sentence in said.err
    assert data(home, "automation-profile", "list") == {"profiles": []}


def test_odd_names_are_told_when_validated(home: Path, file: Path) -> None:
    file.write_text(
        "name: x\nsafety_profile: own\nsafety_profiles:\n"
        "- {name: own, allowed_tools: [read_file, nope], denied_tools: [read_file]}\n"
    )
    warnings = data(home, "automation-profile", "validate", str(file))["warnings"]
    assert isinstance(warnings, list)
    assert len(warnings) == 2


# -- tools ----------------------------------------------------------------------


def test_own_tools_are_read_kept_and_forgotten(home: Path, tmp_path: Path) -> None:
    source = tmp_path / "mine.py"
    source.write_text(TOOLS)
    added = data(home, "tool", "add", str(source))["tools"]
    assert isinstance(added, list)
    assert [tool["name"] for tool in added] == ["count_lines", "second"]
    shown = data(home, "tool", "show", "count_lines")
    assert shown["cost_usd"] == "0.02"
    assert shown["resources"] == [{"argument": "path", "kind": "file", "access": "read"}]
    out = do(home, "tool", "list").out
    assert "Count the lines of a file." in out
    assert "Much more" not in out
    assert do(home, "tool", "add", str(source)).exit_code == 2
    assert data(home, "tool", "remove", "second") == {"removed": ["count_lines", "second"]}
    assert do(home, "tool", "show", "count_lines").exit_code == 2


def test_a_file_that_is_not_in_order_spoils_nothing(home: Path, tmp_path: Path) -> None:
    source = tmp_path / "mine.py"
    for text in (
        "",
        "def (",
        "from cleveragents import tool\n@tool\ndef read_file(path: str) -> str:\n    return ''\n",
    ):
        source.write_text(text)
        said = do(home, "tool", "add", str(source))
        assert said.exit_code == 2
        assert said.err.count("\n") == 1
    assert do(home, "tool", "list").exit_code == 0


@pytest.mark.parametrize("name", ["read_file", "nope"])
def test_what_is_built_in_stays(home: Path, name: str) -> None:
    assert do(home, "tool", "remove", name).exit_code == 2
    assert "run_command" in do(home, "tool", "list").out


def test_no_tool_body_is_loaded_into_the_host(home: Path) -> None:
    before = set(sys.modules)
    do(home, "tool", "list")
    loaded = set(sys.modules) - before
    assert not [name for name in loaded if name.startswith("cleveragents.tools.body.")]


# -- the record -----------------------------------------------------------------


def test_the_newest_entries_are_listed_oldest_first(home: Path) -> None:
    store_plan(home)
    store_plan(home, OTHER)
    everything = do(home, "audit", "list", "--format", "json").envelope["data"]["records"]
    ids = [record["id"] for record in everything]
    assert ids == sorted(ids)
    newest = do(home, "audit", "list", "--limit", "2", "--format", "json").envelope["data"]
    assert [record["id"] for record in newest["records"]] == ids[-2:]
    only = do(
        home, "audit", "list", "--plan", PLAN, "--kind", "violation", "--format", "json"
    ).envelope["data"]["records"]
    assert [(record["plan_id"], record["kind"]) for record in only] == [(PLAN, "violation")]
    assert "write_file effects read-only" in do(home, "audit", "list").out


def test_every_kind_of_entry_can_be_asked_for() -> None:
    from cleveragents.cli.audit import KINDS
    from cleveragents.record.entry import Kind

    assert get_args(Kind) == KINDS


def test_one_entry_is_shown_whole(home: Path) -> None:
    store_plan(home)
    records = do(home, "audit", "list", "--kind", "violation", "--format", "json").envelope
    number = records["data"]["records"][0]["id"]
    out = do(home, "audit", "show", str(number)).out
    for part in ("violation", "resource name", "tool:write_file", "hash", "prev"):
        assert part in out
    said = do(home, "audit", "show", "99999")
    assert said.exit_code == 2
    assert "no record has the id 99999" in said.err


@pytest.mark.parametrize("command", ["list", "export"])
def test_a_plan_that_is_not_there_is_exit_2(home: Path, command: str) -> None:
    store_plan(home)
    said = do(home, "audit", command, "--plan", OTHER)
    assert said.exit_code == 2
    assert "no plan has the id" in said.err


def test_the_export_is_one_object_a_line(home: Path) -> None:
    store_plan(home)
    lines = do(home, "audit", "export").out.splitlines()
    records = [json.loads(line) for line in lines]
    assert {"decision", "outcome", "violation"} <= {record["kind"] for record in records}
    events = [
        json.loads(x) for x in do(home, "audit", "export", "--format", "ocsf").out.splitlines()
    ]
    assert len(events) == len(records)
    assert {event["class_uid"] for event in events} == {6003}
    whole = do(home, "audit", "export", "--format", "json").envelope["data"]["records"]
    assert whole == records
    only = do(home, "audit", "export", "--plan", PLAN).out.splitlines()
    assert {json.loads(line)["plan_id"] for line in only} == {PLAN}


def test_large_values_are_in_the_export_and_the_body_stays_as_hashed(home: Path) -> None:
    store_plan(home, text="x" * 100_000)
    outcome = next(
        record
        for line in do(home, "audit", "export").out.splitlines()
        if (record := json.loads(line))["kind"] == "outcome"
    )
    assert "$object" in json.dumps(outcome["body"])
    assert outcome["resolved"]["value"]["text"] == "x" * 100_000
    assert "xxxx" in do(home, "audit", "show", str(outcome["id"])).out


def test_verify_finds_a_changed_byte(home: Path) -> None:
    store_plan(home)
    assert "the record is whole" in do(home, "audit", "verify").out
    with closing(sqlite3.connect(home / "cleveragents.db")) as database, database:
        database.execute("UPDATE record SET body = replace(body, 'effects', 'effectz')")
    said = do(home, "audit", "verify")
    assert said.exit_code == 1
    assert said.out.startswith("THE RECORD IS BROKEN")
    envelope = do(home, "audit", "verify", "--format", "json").envelope
    assert envelope["data"]["ok"] is False
    assert envelope["data"]["problems"]


def test_a_replay_decides_again_and_runs_nothing(home: Path) -> None:
    store_plan(home)
    replayed = data(home, "audit", "replay", PLAN, "--safety-profile", "unrestricted")
    assert replayed["changed"] == 1
    calls = {call["call_id"]: call for call in replayed["calls"]}
    assert (calls["readme"]["was"], calls["readme"]["now"]) == ("allowed", "allowed")
    assert (calls["note"]["was"], calls["note"]["now"]) == ("denied", "allowed")
    assert data(home, "audit", "replay", PLAN, "--safety-profile", "read-only")["changed"] == 0
    assert do(home, "audit", "replay", PLAN, "--safety-profile", "nope").exit_code == 2


def test_a_replay_of_a_tool_that_is_gone_says_so(home: Path) -> None:
    store_plan(home, tool="gone_tool")
    out = do(home, "audit", "replay", PLAN, "--safety-profile", "unrestricted").out
    assert "no tool is named 'gone_tool' any more" in out


# -- the wall -------------------------------------------------------------------


def test_the_doctor_says_what_holds(home: Path, tmp_path: Path) -> None:
    environ = {
        "CLEVERAGENTS_HOME": str(home),
        "CLEVERAGENTS_CELL_ROOT": str(tmp_path / "cell"),
    }
    said = say(make_invocation("doctor", "--format", "json", environ=environ))
    found = said.envelope["data"]
    assert said.exit_code == (0 if found["verified"] else 6)
    assert found["tier"] == "bwrap"
    assert found["layers"]
    assert found["home"] == str(home)


class BrokenWall:
    """A house whose wall cannot be built."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.isolation = IsolationReport(
            tier="bwrap",
            verified=False,
            layers=(Layer("namespaces", is_present=False, detail="none", fix="apt"),),
            problems=("bubblewrap is missing", "and more"),
            fixes=("apt install bubblewrap",),
        )

    def launcher(self) -> BrokenWall:
        return self

    def store(self) -> BrokenWall:
        return self

    @property
    def place(self) -> str:
        return "nowhere"


def test_without_isolation_the_doctor_ends_with_6(home: Path) -> None:
    answer = examine(cast("House", BrokenWall(home)))
    assert answer.exit_code == 6
    assert [message.text for message in answer.messages] == [
        "bubblewrap is missing; apt install bubblewrap",
        "and more",
    ]


# -- the home -------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv", [["safety-profile", "list"], ["tool", "list"], ["audit", "list"], ["plan", "list"]]
)
def test_a_setting_that_is_wrong_is_one_sentence(
    home: Path, argv: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEVERAGENTS_HOME", str(home))
    (home / "config.toml").write_text("databse_url = 3\n")
    said = do(home, *argv)
    assert said.exit_code == 2
    assert "databse_url" in said.err
    assert said.err.count("\n") == 1


def test_a_home_that_cannot_be_made_is_one_sentence() -> None:
    environ = {"CLEVERAGENTS_HOME": "/proc/nowhere"}
    said = say(make_invocation("tool", "list", environ=environ))
    assert said.exit_code == 2
    assert "/proc/nowhere" in said.err
