"""An imported profile is never wider than the permissions that it was made of."""

from __future__ import annotations

import json
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cleveragents import decide, tool_spec
from cleveragents.config.permission_command import is_simple
from cleveragents.config.permission_import import import_permissions
from cleveragents.config.permission_path import Frame
from cleveragents.config.permission_rule import parse_permissions
from cleveragents.config.yaml_file import load_text
from cleveragents.errors import ConfigurationError
from cleveragents.policy.enforcer import SafetyProfileEnforcer
from cleveragents.policy.profile import profile_from_mapping
from cleveragents.terms.decision import Allowed
from cleveragents.terms.tool import ToolSpec
from tests.cli.command_line import Said, make_invocation, say

from .source_permission import HOME, ROOT, Call, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from cleveragents.config.permission_import import ImportedPermissions
    from cleveragents.policy.profile import SafetyProfile

FRAME = Frame(root=ROOT, source=ROOT, home=HOME)
MCP = {
    name: ToolSpec(name, "", {"type": "object"}, origin="mcp")
    for name in ("git__push", "git__pull", "web__get")
}
TOOLS = {
    "Bash": "run_command",
    "Read": "read_file",
    "Glob": "list_directory",
    "Grep": "search_files",
    "Edit": "edit_file",
    "Write": "write_file",
    "WebFetch": "fetch_url",
    "Task": "spawn_subplan",
}


def imported(**permissions: Any) -> ImportedPermissions:
    settings = parse_permissions({"permissions": permissions}, name="settings.json")
    return import_permissions(settings, FRAME, name="team")


def spelt(call: Call) -> tuple[ToolSpec, dict[str, object]]:
    """The call as our tools would make it."""
    if call.tool == "mcp":
        return MCP[call.value], {}
    arguments: dict[str, dict[str, object]] = {
        "Bash": {"command": call.value},
        "Read": {"path": call.value},
        "Glob": {"path": call.value},
        "Grep": {"path": call.value, "pattern": "x"},
        "Edit": {"path": call.value, "old": "a", "new": "b"},
        "Write": {"path": call.value, "content": ""},
        "WebFetch": {"url": f"https://{call.value}/x"},
        "Task": {"name": "child", "delegate": {}},
    }
    return tool_spec(TOOLS[call.tool]), arguments[call.tool]


def admits(profile: SafetyProfile, call: Call) -> bool:
    """Ask our gate about the call."""
    spec, arguments = spelt(call)
    return isinstance(decide(spec, arguments, profile=profile), Allowed)


# -- the law ----------------------------------------------------------------------------

PATHS = (
    *(".env", "a/.env", "src/.env", "src/main.py", "src/deep/x.ts", "src", "docs/a.md", "docs"),
    *("secrets/key", "a/secrets/key", "README.md", ".git/config", "a/.claude/x", ".zshrc", "x.pem"),
    *("work/x", "project/x", "etc/passwd", "src/../.env", "notes.ipynb", "build/out/y"),
)
PATTERNS = (
    *(".env", "./.env", "**/.env", "*.pem", "src/**", "/src/**", "./src/**", "src/", "secrets/**"),
    *("/secrets/**", "**/secrets/**", "//work/project/src/**", "//**/.env", "//etc/**", "~/.zshrc"),
    *("~/**", "/docs/*.md", "docs/*", "src/*/x.ts", "/", "**", "*", "./", "a/**/key", "src/**/**"),
    *(
        "//work/**",
        "//work/*/docs/**",
        "../x",
        "build",
        "src/**/deep/**",
        "./**",
        "{a,b}/x",
        "[a]*",
    ),
)
COMMANDS = (
    *("git", "git status", "git push", "git push origin", "git commit -m 'a b'", "npm run test"),
    *("npm run test:unit", "npm", "rm -rf x", "rm", "cat .env", "cat src/main.py", "head a/.env"),
    *("cat '.env'", "cat src/../.env", "grep x secrets/key", "find . -delete", "find . -name x"),
    *("timeout 5 rm x", "FOO=1 rm x", "nohup git push", "'rm' x", 'git "push" origin', "rm  x"),
    *("xargs rm", "watch ls", "ls", "lsof", "sh -c 'rm x'", "echo hi", "git\tpush", "/bin/rm x"),
    *(
        "tee .env",
        "sed -i s/a/b/ src/main.py",
        "make",
        "env rm x",
        "command rm x",
        "cat /etc/passwd",
    ),
)
COMMAND_RULES = (
    *(
        "git:*",
        "git *",
        "git push *",
        "git push:*",
        "git * origin",
        "npm run test",
        "npm run test:*",
    ),
    *(
        "npm run *",
        "rm *",
        "rm:*",
        "rm -rf x",
        "cat *",
        "cat:*",
        "*",
        "ls*",
        "ls *",
        "find:*",
        "echo:*",
    ),
    *(
        "timeout 5 rm x",
        "make && rm x",
        "*push*",
        "head:*",
        "grep:*",
        "sh:*",
        "run_in_background:true",
    ),
    *("command:rm *", "git commit:*", "make", "tee:*", "nohup git push", "env:*"),
)
HOSTS = ("example.com", "api.example.com", "evil.org", "docs.python.org")
DOMAINS = ("example.com", "*.example.com", "*", "evil.org", "docs.python.org", "Example.COM")
SERVERS = ("git__push", "git__pull", "web__get")
MCP_RULES = ("git", "git__*", "git__push", "git__pu*", "web", "web__get", "*", "Git__push")
BARE = (
    "Bash",
    "Read",
    "Edit",
    "Write",
    "WebFetch",
    "Task",
    "Agent",
    "Glob",
    "Grep",
    "WebSearch",
    "*",
)

path_rules = st.builds(
    "{}({})".format, st.sampled_from(("Read", "Edit", "Edit", "Write")), st.sampled_from(PATTERNS)
)
rules = st.one_of(
    path_rules,
    st.builds("Bash({})".format, st.sampled_from(COMMAND_RULES)),
    st.builds("WebFetch(domain:{})".format, st.sampled_from(DOMAINS)),
    st.builds("mcp__{}".format, st.sampled_from(MCP_RULES)),
    st.sampled_from(BARE),
)
permissions = st.fixed_dictionaries(
    {
        "allow": st.lists(rules, max_size=5),
        "deny": st.lists(rules, max_size=3),
        "ask": st.lists(rules, max_size=2),
        "defaultMode": st.sampled_from(("default", "acceptEdits", "plan", "dontAsk")),
    }
)
JOINTS = (" && ", "; ", " | ", "\n", " $(", " > ", "&", " `")
POOL = (
    *(Call("Bash", line) for line in COMMANDS),
    *(
        Call("Bash", f"{one}{joint}{other}")
        for joint in JOINTS
        for one in ("git status", "npm run test", "echo hi", "cat src/main.py")
        for other in ("rm x", "git push", "echo hi", "cat .env")
    ),
    *(Call(tool, path) for tool in ("Read", "Glob", "Grep", "Edit", "Write") for path in PATHS),
    *(Call("WebFetch", host) for host in HOSTS),
    *(Call("mcp", name) for name in SERVERS),
    Call("Task", "child"),
)
"""Every call that each set of rules is tried with."""


def normal(call: Call) -> Call:
    """The source resolves a path before it looks at it, as our gate does."""
    if call.tool in ("Read", "Glob", "Grep", "Edit", "Write"):
        return Call(call.tool, posixpath.normpath(call.value))
    return call


def approvals_of(found: ImportedPermissions) -> list[str]:
    listed = found.automation.get("approvals", [])
    assert isinstance(listed, list)
    return listed


def asked(profile: SafetyProfile) -> Callable[[Call], bool]:
    """As ``admits``, for many calls under one profile."""
    enforcer = SafetyProfileEnforcer(profile)
    return lambda call: isinstance(enforcer.check(*spelt(call)), Allowed)


@given(permissions)
@example({"allow": ["Bash"], "deny": ["Bash(rm *)"]})
@example({"allow": ["Bash"], "deny": ["Bash(git push:*)"], "ask": ["Read(./.env)"]})
@example({"allow": ["Bash(cat:*)", "Bash(head:*)"], "deny": ["Read(.env)"]})
@example({"allow": ["Bash(*)"], "deny": ["Edit(src/**)"], "defaultMode": "acceptEdits"})
def test_it_admits_nothing_that_the_source_would_not_allow(
    given_permissions: dict[str, Any],
) -> None:
    try:
        found = imported(**given_permissions)
    except ConfigurationError as error:
        # Stricter than any profile: there is none.
        assert "cannot be kept" in error.message  # noqa: PT017  # part of the law
        return
    approvals = approvals_of(found)
    strict, asking = asked(found.profile), asked(found.asking)
    for call in map(normal, POOL):
        said = verdict(given_permissions, call)
        if strict(call):
            assert said == "allow", (call, given_permissions)
        if asking(call):
            name = call.value if call.tool == "mcp" else TOOLS[call.tool]
            assert said == "allow" or (said == "ask" and name in approvals), (
                call,
                given_permissions,
            )


# -- what it keeps ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "admitted", "refused"),
    [
        ("Bash(npm run test:*)", "npm run test --watch", "npm run tests"),
        ("Bash(npm run test:*)", "npm run test", "npm run test; rm x"),
        ("Bash(git commit *)", "git commit -m 'two words'", "git commit -m $(rm x)"),
        ("Bash(git commit *)", 'git commit -m "two words"', 'git commit -m "`rm x`"'),
        ("Bash(make)", "make", "make all"),
        ("Bash(git * main)", "git push origin main", "git push origin main\nrm x"),
        ("Bash(ls*)", "lsof", "ls > x"),
        ("Bash(cat:*)", "cat a.txt", "cat /etc/passwd"),
        ("Bash(cat:*)", "cat a.txt", "cat ../x"),
        ("Bash(find:*)", "find . -name x", "find . -exec rm x"),
        ("Bash(echo:*)", "echo a", "X=1 echo a"),
        ("Bash(echo:*)", "echo a", "echo a &"),
        ("Bash(echo:*)", "echo a", "echo a # b"),
        ("Bash(echo:*)", "echo a", "echo *"),
        ("Bash(echo:*)", "echo a", "echo ~"),
        ("Bash(echo:*)", "echo a", "echo a\\\nb"),
        ("Bash(echo:*)", "echo 'a; b'", "echo 'a; b"),
        ("Bash(echo:*)", "echo a", "echo a\n"),
        ("Bash(echo:*)", "echo a", "echo " + "a" * 10_000),
        ("Bash", "anything; at all", ""),
    ],
)
def test_a_command_rule_admits_one_simple_command(rule: str, admitted: str, refused: str) -> None:
    profile = imported(allow=[rule]).profile
    assert admits(profile, Call("Bash", admitted))
    assert not admits(profile, Call("Bash", refused))


@pytest.mark.parametrize(
    "command",
    [
        "git push",
        "git 'push' x",
        "timeout 5 git push",
        "A=1 git push",
        "sh -c 'git push'",
        "git  push",
    ],
)
def test_a_denied_command_is_not_passed_by_another_spelling(command: str) -> None:
    profile = imported(allow=["Bash"], deny=["Bash(git push:*)"]).profile
    assert not admits(profile, Call("Bash", command))
    assert admits(profile, Call("Bash", "git pull"))


def test_a_denied_file_is_not_read_by_anything() -> None:
    profile = imported(allow=["Bash", "Edit"], deny=["Read(./.env)"]).profile
    for call in (
        *(Call(tool, ".env") for tool in ("Read", "Edit", "Write")),
        *(Call(tool, ".") for tool in ("Glob", "Grep")),
        *(Call("Bash", line) for line in ("cat .env", "grep x .env", "cp .env b", "cat ./.e''nv")),
    ):
        assert not admits(profile, call), call
    assert admits(profile, Call("Read", "env"))
    assert admits(profile, Call("Bash", "npm test"))


def test_hosts_are_those_that_are_allowed() -> None:
    found = imported(
        allow=["WebFetch(domain:*.example.com)", "WebFetch(domain:evil.org)"],
        deny=["WebFetch(domain:evil.org)"],
    )
    assert found.profile.hosts == ("*.example.com",)
    # A redirect, or a command, could reach what a condition on the argument cannot see.
    some = imported(allow=["WebFetch", "Bash"], deny=["WebFetch(domain:evil.org)"])
    assert some.profile.hosts == ()
    assert "fetch_url" not in (some.profile.allowed_tools or ())


def test_mcp_names_become_ours() -> None:
    found = imported(
        allow=["mcp__git", "mcp__web__get", "mcp__My-Server__x", "mcp__a__b(c)"],
        deny=["mcp__git__push"],
    )
    assert found.profile.allowed_tools is not None
    assert set(found.profile.allowed_tools) >= {"git__*", "web__get"}
    assert not admits(found.profile, Call("mcp", "git__push"))
    assert admits(found.profile, Call("mcp", "git__pull"))
    lost = {rule.rule: rule.reason for rule in found.rules if not rule.kept}
    assert set(lost) == {"mcp__My-Server__x", "mcp__a__b(c)"}


def test_what_a_deny_takes_a_part_of_by_pattern_is_left_out() -> None:
    found = imported(allow=["mcp__git"], deny=["mcp__git__pu*"])
    assert not admits(found.profile, Call("mcp", "git__pull"))
    (rule,) = [one for one in found.rules if one.rule == "mcp__git"]
    assert (rule.kept, rule.reason) == (False, "mcp__git__pu* takes a part out of it, or all")


def test_asking_becomes_approvals() -> None:
    found = imported(allow=["Bash(npm *)"], ask=["Bash(npm publish:*)", "Edit(/docs/**)"])
    assert found.automation["approvals"] == ["run_command", "write_file", "edit_file"]
    publish = Call("Bash", "npm publish")
    assert not admits(found.profile, publish)
    assert admits(found.asking, publish)
    assert admits(found.asking, Call("Write", "docs/a"))
    assert not admits(found.asking, Call("Write", "src/a"))


def test_every_rule_is_told() -> None:
    given_rules: dict[str, list[object]] = {
        "allow": [
            "Bash(a)",
            "Write(x)",
            "Nothing",
            "Read(x)",
            "Edit(!x)",
            7,
            "Bash()",
            "Edit(//x)",
        ],
        "deny": [
            "Read(x)",
            "WebSearch",
            "Read(//elsewhere)",
            "NotebookEdit",
            "Bash(description:x)",
        ],
        "ask": ["Task(Explore)", "mcp__s__t"],
    }
    found = imported(**given_rules, additionalDirectories=["../x"], defaultMode="bypassPermissions")
    told = [(one.list, one.rule) for one in found.rules]
    for which in ("deny", "ask", "allow"):
        assert len([one for one in told if one[0] == which]) == len(given_rules[which])
    by = {one.rule: one for one in found.rules}
    assert not by["defaultMode: bypassPermissions"].kept
    assert not by["../x"].kept
    assert all(one.kept for one in found.rules if one.list in ("deny", "ask"))
    assert not by["Edit(!x)"].kept
    # A parameter that no tool here has: every command is refused, rather than none.
    assert not admits(found.profile, Call("Bash", "a"))


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"deny": ["Read(!x)"]}, "deny[0]: the deny rule 'Read(!x)' cannot be kept"),
        ({"deny": ["Bash("]}, "cannot be kept"),
        ({"deny": ["Bash(a\0b)"]}, "it holds a NUL"),
        ({"ask": [3]}, "permissions.ask[0]"),
        ({"deny": ["Read()"]}, "its parentheses are empty"),
        ({"deny": ["Read(*/../x)"]}, "cannot be kept"),
        ({"dney": ["Bash"]}, "did you mean 'deny'"),
        ({"rules": ["Bash"]}, "unknown key 'rules'"),
        ({"deny": "Bash"}, "expected a list"),
        ({"defaultMode": "yolo"}, "unknown mode 'yolo'"),
    ],
)
def test_what_forbids_and_cannot_be_kept_is_an_error(raw: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        imported(**raw)
    assert sentence in told.value.message
    assert told.value.exit_code == 2


@pytest.mark.parametrize(
    ("pattern", "matches", "not_"),
    [
        ("/src/**", "src/a/b", "a/src/b"),
        ("src/**", "src/a", "a/src/b"),
        ("docs/*.md", "docs/a.md", "docs/a/b.md"),
        ("//work/project/src/*", "src/a", "a"),
        ("//work/**", "any/thing", ""),
        ("~/x", "", "x"),
        ("main.py", "a/main.py", "main.pyc"),
    ],
)
def test_an_allowed_path(pattern: str, matches: str, not_: str) -> None:
    profile = imported(allow=[f"Edit({pattern})"]).profile
    if matches:
        assert admits(profile, Call("Write", matches))
    if not_:
        assert not admits(profile, Call("Write", not_))


WIDE = ("../*", "//", "[]a]x", "{a,{b,c}}", r"\\*x")


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("{a,b}/x", ["a/x", "b/x", "{a,b}/x"]),
        ("[ab]x", ["ax", "d/bx"]),
        ("[]a]x", ["]x", "ax"]),
        ("{a,{b,c}}", ["a", "b", "c"]),
        (r"\\*x", ["*x", "yx"]),
        ("**.env", ["a.env", "d/a.env"]),
        ("a?c", ["abc", "d/abc"]),
        ("../project/x", ["x"]),
        ("../*", ["anything"]),
        ("//work/{project,other}/x", ["x"]),
        ("//", ["x"]),
        ("~", []),
    ],
)
def test_a_denied_pattern_gets_its_widest_reading(pattern: str, paths: list[str]) -> None:
    profile = imported(deny=[f"Read({pattern})"]).profile
    for path in paths:
        assert not admits(profile, Call("Read", path)), path
    assert admits(profile, Call("Read", "other.txt")) is (pattern not in WIDE)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("Edit({a,b})", "class, braces or an escape"),
        ("Edit(/)", "end it in /**"),
        ("Edit(*/../x)", "climbs out of a directory that is a wildcard"),
        ("Edit(//etc/x)", "outside of the workspace"),
        ("NotebookEdit", "no tool here edits notebooks"),
        ("Bash(timeout:5)", "parameters in rules that forbid only"),
        ("Bash(timeout 5 make)", "timeout starts another command"),
        ("Bash(a && b)", "no single simple command"),
        ("WebFetch(https://x)", "domain:HOST"),
        ("WebFetch(domain:a b)", "is not a host name"),
        ("WebFetch(domain:example.*)", "is not a host name"),
        ("Agent(Explore)", "kinds of agents"),
        ("PowerShell(x)", "no tool here does that"),
        ("mcp__git__*_x", "no tool here can have that name"),
    ],
)
def test_an_allow_rule_that_cannot_be_kept_says_why(rule: str, why: str) -> None:
    (told, _) = imported(allow=[rule]).rules
    assert (told.rule, told.kept) == (rule, False)
    assert why in told.reason


@pytest.mark.parametrize(
    ("rule", "call"),
    [
        ("Bash(timeout:5)", Call("Bash", "make")),
        ("Bash(command:make *)", Call("Bash", "make x")),
        ("B*", Call("Bash", "make")),
        ("*", Call("mcp", "git__push")),
        ("mcp__*", Call("mcp", "git__push")),
        ("NotebookEdit", Call("Write", "a.ipynb")),
        ("NotebookRead", Call("Read", "a.ipynb")),
        ("WebFetch(https://x)", Call("WebFetch", "example.com")),
        ("Agent(Explore)", Call("Task", "child")),
        ("LS", Call("Glob", "x")),
    ],
)
def test_what_cannot_be_told_apart_is_refused_as_a_whole(rule: str, call: Call) -> None:
    every = ["Bash", "Edit", "WebFetch", "Agent", "mcp__git"]
    assert admits(imported(allow=every).profile, call)
    assert not admits(imported(allow=every, deny=[rule]).profile, call)


def test_nothing_runs_in_the_background_anyway() -> None:
    found = imported(allow=["Bash"], deny=["Bash(run_in_background:true)"])
    assert admits(found.profile, Call("Bash", "make"))
    assert found.rules[0].reason == "no command runs in the background here"


def test_a_setting_that_is_not_taken_over_is_said() -> None:
    assert imported(skipPrompt=True).notes == ("permissions.skipPrompt: not taken over",)


@pytest.mark.parametrize("path", [".git/hooks/pre-commit", "a/.claude/settings.json", ".bashrc"])
def test_what_the_source_always_asks_about_is_not_edited(path: str) -> None:
    assert not admits(imported(allow=["Edit"]).profile, Call("Write", path))


def test_a_home_s_settings_mean_their_own_directory() -> None:
    frame = Frame(root=ROOT, source=f"{HOME}/.claude", home=HOME)
    settings = parse_permissions({"permissions": {"deny": ["Read(/x)"]}}, name="s")
    profile = import_permissions(settings, frame, name="n").profile
    assert admits(profile, Call("Read", "x"))


@pytest.mark.parametrize("text", ["a b", "a 'b;c'", 'x "y z"'])
def test_simple_commands(text: str) -> None:
    assert is_simple(text)


# -- the command --------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "project" / ".claude" / "settings.json"
    file.parent.mkdir(parents=True)
    (tmp_path / "home").mkdir(mode=0o700)
    file.write_text(
        json.dumps(
            {
                "hooks": {},
                "permissions": {
                    "allow": ["Bash(npm run test:*)", "Write(x)"],
                    "deny": ["Read(./.env)"],
                    "ask": ["Bash(npm publish)"],
                },
            }
        )
    )
    return file


def do(file: Path, *words: str) -> Said:
    environ = {"CLEVERAGENTS_HOME": str(file.parents[2] / "home"), "HOME": str(file.parents[2])}
    return say(make_invocation("safety-profile", *words, environ=environ))


def test_the_command_prints_a_profile(settings: Path) -> None:
    said = do(settings, "import", str(settings), "--name", "team")
    assert said.exit_code == 0
    raw = load_text(said.out, name="out").value
    assert isinstance(raw, dict)
    profile = profile_from_mapping(raw, where="out")
    assert profile.description == f"imported from Claude Code permissions for {settings.parents[1]}"
    assert "warning: allow Write(x) -> nothing" in said.err
    assert "warning: hooks: not taken over" in said.err
    assert "deny Read(./.env) -> read_file, write_file, edit_file refuse" in said.err


def test_the_command_tells_programs_everything(settings: Path) -> None:
    data = do(settings, "import", str(settings), "--format", "json").envelope["data"]
    assert data["profile"]["name"] == "claude-code"
    assert data["automation_profile"]["approvals"] == ["run_command"]
    assert {rule["rule"]: rule["kept"] for rule in data["rules"]} == {
        "Read(./.env)": True,
        "Bash(npm publish)": True,
        "Bash(npm run test:*)": True,
        "Write(x)": False,
        "defaultMode: default": True,
    }


def test_the_command_keeps_and_writes(settings: Path, tmp_path: Path) -> None:
    out, automation = tmp_path / "team.yaml", tmp_path / "auto.yaml"
    words = ("import", str(settings), "--name", "team", "--add", "--output", str(out))
    said = do(settings, *words, "--automation-output", str(automation))
    assert said.exit_code == 0
    assert (
        do(
            settings, "check", "team", "run_command", "--args", '{"command": "npm run test"}'
        ).exit_code
        == 0
    )
    assert do(settings, "check", "team", "read_file", "--args", '{"path": "a/.env"}').exit_code == 3
    assert out.read_text().startswith("name: team\n")
    assert "approvals:\n  - run_command\n" in automation.read_text()
    again = do(settings, *words[:5])
    assert again.exit_code == 2
    assert "--name: the name 'team' is taken (added)" in again.err
    twice = do(settings, "import", str(settings), "--output", str(out))
    assert twice.exit_code == 2
    assert "is there already" in twice.err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is no JSON"),
        ("[]", "expected a JSON object"),
        ("{}", "holds no permissions"),
        ('{"permissions": {"deny": [], "deny": []}}', "the key 'deny' stands twice"),
        ('{"permissions": {"deny": ["Read(!x)"]}}', "cannot be kept"),
        ("[" * 100_000, "is no JSON"),
        ('{"permissions": 3}', "expected a JSON object"),
    ],
)
def test_a_file_that_cannot_be_taken_over(settings: Path, text: str, sentence: str) -> None:
    settings.write_text(text)
    said = do(settings, "import", str(settings), "--add")
    assert said.exit_code == 2
    assert sentence in said.err
    assert do(settings, "show", "claude-code").exit_code == 2


def test_a_file_that_cannot_be_written(settings: Path, tmp_path: Path) -> None:
    said = do(settings, "import", str(settings), "--output", str(tmp_path / "no" / "x.yaml"))
    assert said.exit_code == 2
    assert "cannot be written" in said.err


@pytest.mark.parametrize(
    ("place", "workspace", "root"),
    [
        ("home/.claude/settings.json", None, "current"),
        ("project/.claude/settings.local.json", None, "project"),
        ("elsewhere/rules.json", "project", "project"),
    ],
)
def test_whose_paths_are_meant(
    settings: Path, tmp_path: Path, place: str, workspace: str | None, root: str
) -> None:
    from cleveragents.assembly.permission_command import frame_of

    environ = {"HOME": str(tmp_path / "home")}
    frame = frame_of(tmp_path / place, tmp_path / workspace if workspace else None, environ)
    assert frame.root == (str(Path.cwd()) if root == "current" else str(tmp_path / root))
    assert frame.source == str(
        tmp_path / "project" if "local" in place else (tmp_path / place).parent
    )
