"""Steps of the subplan boundary: whole plans, through the same functions as the command."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cleveragents.assembly import conflict_command
from cleveragents.errors import ConfigurationError
from cleveragents.policy.grant import grant_from_mapping
from tests.subplans.scene import child_of, data, group, scene, subplan, write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # behave has no types: its decorators would make every step an untyped function.
    def given(text: str) -> Callable[[_Step], _Step]: ...
    def when(text: str) -> Callable[[_Step], _Step]: ...
    def then(text: str) -> Callable[[_Step], _Step]: ...

    _Step = Callable[..., None]
else:
    from behave import given, then, when

Context = Any  # behave's context is a bag

PRIVATE = "TOKEN-OF-THE-PARENT"
SECRET = "s3cr3t-of-the-operator"  # noqa: S105  # a value to look for
HOSTILE = """\
    parent = task["inputs"]["parent"]
    out = open("docs/log.txt", "w")
    print(said(client.open, "file:../x"), said(client.open, f"plan:{parent}/context"), file=out)
    print(said(client.ask, "run_command", command="cat src/private.py"), file=out)
    print(said(client.ask, "read_file", path="src/private.py"), file=out)
    for path in ("../x", "src/private.py", task["inputs"]["workspace"] + "/src/private.py"):
        try:
            print(open(path).read(), file=out)
        except OSError as error:
            print("no", path, file=out)
"""
LOOKS = """\
    import glob
    seen = [repr(sorted(os.environ.items())), repr(sys.argv), repr(dict(task))]
    for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/cmdline"):
        try:
            seen.append(open(path, "rb").read().decode("latin-1"))
        except OSError:
            pass
    seen.append(said(client.open, "credential:TOKEN"))
    open("docs/seen.txt", "w").write(repr(seen))
"""


def handed(*tools: str, path: str = "docs/", **more: Any) -> dict[str, Any]:
    return {"tools": list(tools), "read": [path, "prog/"], "write": [path], **more}


def ended(context: Context, *steps: Mapping[str, Any], **request: Any) -> None:
    context.answer = context.scene.run(*steps, **request)
    context.plan_id = data(context.answer)["plan_id"]


def child_id(context: Context) -> str:
    return str(data(context.answer)["subplans"][0]["plan_id"])


@given('a directory with "{public}" and the private file "{private}"')
def a_directory(context: Context, public: str, private: str) -> None:
    manager = scene()
    context.scene = manager.__enter__()
    context.add_cleanup(manager.__exit__, None, None, None)
    before = {name: os.environ.get(name) for name in context.scene.environ}
    for name, value in context.scene.environ.items():
        os.environ[name] = value

    def put_back() -> None:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    context.add_cleanup(put_back)
    context.scene.file(public, "one\ntwo\nthree\n")
    context.scene.file(private, PRIVATE)
    context.request = {}


@when('a parent hands "{tool}" on "{path}" to a subplan')
def hands(context: Context, tool: str, path: str) -> None:
    context.delegate = {"tools": [tool], "read": [path]}
    look = {"id": "look", "tool": "read_file", "args": {"path": "docs/a.md"}}
    ended(context, subplan("child", look, delegate={**context.delegate, "write": []}))


@when('the child asks for "{tool}" of "{path}"')
def asks(context: Context, tool: str, path: str) -> None:
    ask = {"id": "ask", "tool": tool, "args": {"path": path}}
    ended(context, subplan("child", ask, delegate={**context.delegate, "write": []}))


@when('a hostile program runs as a subplan with "{tool}" on "{path}"')
def hostile(context: Context, tool: str, path: str) -> None:
    actor = context.scene.program("hostile", HOSTILE)
    context.before = context.scene.directory()
    (context.scene.root / "x").write_text(PRIVATE)
    inputs = {"parent": "${{ plan.id }}", "workspace": str(context.scene.workspace)}
    ended(context, subplan("child", actor=actor, delegate=handed(tool, path=path), inputs=inputs))


@when('a subplan with "{tool}" on "{path}" hands the {what} {value} on')
def hands_on(context: Context, tool: str, path: str, what: str, value: str) -> None:
    wanted: dict[str, dict[str, Any]] = {
        "tool": {"tools": [value]},
        "path": {"read": [value]},
        "host": {"hosts": [value]},
        "depth": {"depth": int(value) if value.isdigit() else 0},
    }
    more = wanted[what]
    inner = subplan(
        "inner", write("docs/x", "x"), delegate={"tools": [], "read": [], "write": [], **more}
    )
    ended(context, subplan("outer", inner, delegate=handed(tool, path=path, depth=1)))


@when('a subplan writes "{path}"')
def writes(context: Context, path: str) -> None:
    ended(context, subplan("child", write(path, "made\n"), delegate=handed("write_file")))


@when('a subplan leaves a nested git repository beside "{path}"')
def leaves_repository(context: Context, path: str) -> None:
    line = f"mkdir -p docs/sub/.git && echo x > docs/sub/.git/config && echo x > {path}"
    command = {"id": "c", "tool": "run_command", "args": {"command": line}}
    ended(context, subplan("child", command, delegate=handed("run_command")))


@when('two subplans change the same line of "{path}"')
def same_line(context: Context, path: str) -> None:
    ended(
        context,
        group(
            *(
                subplan(name, {"id": "e", "tool": "edit_file",
                               "args": {"path": path, "old": "two\n", "new": f"{name}\n"}})
                for name in ("first", "second")
            )
        ),
    )  # fmt: skip


@when('the conflict in "{path}" is settled with "{side}" and the plan resumed')
def settled(context: Context, path: str, side: str) -> None:
    conflict_command.resolve(context.plan_id, path, side)
    context.answer = context.scene.resume(context.plan_id)
    assert context.answer.exit_code == 0, context.answer.messages


@given('the operator declares the credential "{name}"')
def declares(context: Context, name: str) -> None:
    os.environ["SCENE_TOKEN"] = SECRET
    context.add_cleanup(os.environ.pop, "SCENE_TOKEN", None)
    profile = context.scene.root / "auto.yaml"
    profile.write_text(f"name: auto\ncredentials: {{{name}: {{env: SCENE_TOKEN}}}}\n")
    context.request = {"automation_profile": str(profile)}


@when('a program with the credential "{name}" looks everywhere')
def looks(context: Context, name: str) -> None:
    actor = context.scene.program("looks", LOOKS)
    child = subplan("child", actor=actor, delegate=handed("read_file", credentials=[name]))
    ended(context, child, **context.request)
    assert context.answer.exit_code == 0, context.answer.messages


@then('the subplan\'s grant holds "{tool}" and reads "{path}"')
def grant_holds(context: Context, tool: str, path: str) -> None:
    start = context.scene.entries(child_id(context), "plan_started")[0].body
    context.grant = grant_from_mapping(start["grant"])
    assert context.grant.tools == {tool}
    assert context.grant.read == (path,)


@then("the subplan's grant is not equal to its parent's")
def not_equal(context: Context) -> None:
    start = context.scene.entries(context.plan_id, "plan_started")[0].body
    parent = grant_from_mapping(start["grant"])
    assert context.grant != parent
    assert context.grant.depth_left < parent.depth_left


@then("the subplan's depth is {depth:d} and it may hand on nothing further")
def depth_is(context: Context, depth: int) -> None:
    start = context.scene.entries(child_id(context), "plan_started")[0].body
    assert start["depth"] == depth
    assert context.grant.depth_left == 0


@then('the call is refused as a security boundary violation of "{resource}"')
def is_violation(context: Context, resource: str) -> None:
    (violation,) = data(context.answer)["violations"]
    assert violation["kind"] == "security_boundary"
    assert violation["resource_name"] == resource
    assert resource in context.answer.messages[-1].text


@then("the violation names the subplan, the resource and the time")
def names_all(context: Context) -> None:
    (violation,) = data(context.answer)["violations"]
    assert violation["subplan_id"] == child_id(context)
    assert violation["resource_name"]
    assert violation["timestamp"].endswith("Z")


@then("the violation stands in the record and in the status of subplan and parent")
def stands(context: Context) -> None:
    assert len(context.scene.entries(child_id(context), "violation")) == 1
    for plan_id in (context.plan_id, child_id(context)):
        assert len(context.scene.status(plan_id)["violations"]) == 1


@then("the parent ends {outcome} with exit code {code:d}")
def ends(context: Context, outcome: str, code: int) -> None:
    assert context.answer.exit_code == code
    assert data(context.answer)["outcome"] == outcome


@then('it is refused "{one}", its parent\'s context, "{two}" and "{three}"')
def refused_four(context: Context, one: str, two: str, three: str) -> None:
    found = {v["resource_name"] for v in data(context.answer)["violations"]}
    assert found == {one, f"plan:{context.plan_id}/context", two, three}


@then("nothing that it printed or wrote holds the private text")
def holds_nothing(context: Context) -> None:
    made = context.scene.made(child_id(context))
    assert PRIVATE.encode() not in made["docs/log.txt"]
    assert b"no src/private.py" in made["docs/log.txt"]


@then("the parent's directory is as it was")
def as_it_was(context: Context) -> None:
    assert context.scene.directory() == context.before


@then('the spawn is refused with "{excess}"')
def spawn_refused(context: Context, excess: str) -> None:
    assert context.answer.exit_code == 3
    (violation,) = data(context.answer)["violations"]
    assert violation["kind"] == "delegation_refused"
    assert excess in violation["reason"]


@then("no further subplan was made")
def none_made(context: Context) -> None:
    assert len(context.scene.entries(kind="spawn")) == 1


@then('the parent\'s tree holds "{path}"')
def tree_holds(context: Context, path: str) -> None:
    assert path in context.scene.made(context.plan_id)


@then('the parent\'s tree does not hold "{path}"')
def tree_lacks(context: Context, path: str) -> None:
    assert path not in context.scene.made(context.plan_id)


@then("the parent's record says from which tree into which it was merged, once")
def merged_once(context: Context) -> None:
    intent, done = (entry.body for entry in context.scene.entries(context.plan_id, "merge"))
    assert {"base", "ours", "theirs", "result"} <= intent.keys()
    assert done["done"] is True


@then("the merge is refused and names the repository")
def merge_refused(context: Context) -> None:
    assert context.answer.exit_code == 3
    assert child_of(context.answer, "child")["outcome"] == "merge_refused"
    (violation,) = data(context.answer)["violations"]
    assert violation["kind"] == "merge_refused"
    assert ".git" in violation["resource_name"]


@then("the parent is conflicted and cannot be applied")
def is_conflicted(context: Context) -> None:
    assert context.answer.exit_code == 5
    assert data(context.answer)["outcome"] == "conflicted"
    try:
        context.scene.apply(context.plan_id)
    except ConfigurationError:
        return
    raise AssertionError("a conflicted plan was applied")


@then("the plan is applied with the second subplan's line")
def applied(context: Context) -> None:
    assert context.scene.apply(context.plan_id).exit_code == 0
    assert context.scene.directory()["docs/a.md"] == b"one\nsecond\nthree\n"


@then('the value of "{name}" is in no file of the home, the cells or the directory')
def nowhere(context: Context, name: str) -> None:
    assert context.scene.made(child_id(context))["docs/seen.txt"]
    for path in context.scene.root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert SECRET.encode() not in path.read_bytes(), path
