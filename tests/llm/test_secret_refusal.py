"""A refusal that names a declared secret: everybody is told the same, and nobody the secret."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from tests.llm.mind import MODEL, told
from tests.models.loopback_server import Answer, LoopbackServer, calls, says
from tests.plans.scene import kill

if TYPE_CHECKING:
    from tests.models.loopback_server import Body
    from tests.plans.scene import Scene

SECRET = "top-secret/value-1"
SPLIT = "top-secret/./value-1"
"""Nobody sees it in there, until the path is brought to its one spelling."""
SHOWN = "[redacted:K]"


def declare(scene: Scene, model: str = "") -> None:
    """Declare the secret, as an operator would."""
    scene.environ["TESTED_KEY"] = SECRET
    scene.write(
        "home/config.toml",
        f'{model}[credentials]\nK = {{env = "TESTED_KEY", hosts = ["api.example"]}}\n',
    )


def test_the_model_is_told_the_same_when_its_host_was_killed(installed: Scene) -> None:
    thinking = threading.Event()

    def script(body: Body, number: int) -> Answer:
        if number == 0:
            return calls(("read_file", {"path": SPLIT}))
        if number == 1:
            thinking.set()
            return Answer(text="too late", delay_s=60)
        return says("done")

    with LoopbackServer(script) as server:
        declare(installed, f'model = "{MODEL}"\nmodel_base_url = "{server.base_url}"\n')
        profile = installed.profile(read=["docs/"])
        words = ("--goal", "look", "--workspace", str(installed.work))
        host = installed.start("plan", "run", *words, "--automation-profile", profile)
        assert thinking.wait(30)
        kill(host)
        (row,) = installed.rows("SELECT plan_id FROM plan")
        done = installed.agents("plan", "resume", row[0], expect=0)
        (fresh,), (again,) = told(server.bodies[1]), told(server.bodies[2])
        assert SHOWN in fresh
        assert again == fresh
        assert SECRET not in json.dumps(server.bodies)
    assert SHOWN in done.data["violations"][0]["reason"]
    assert SECRET.encode() not in installed.kept()
    installed.verify()


PROGRAM = """\
from cleveragents.guest.program_client import Client, FailedError, RefusedError
secret = "top-secret" + "/value-1"
STEPS = [{"tool": "read_file", "args": {"path": "a"}}]
client = Client.connect()
client.begin()

def said(action, *arguments, **more):
    try:
        return repr(action(*arguments, **more))
    except (RefusedError, FailedError) as error:
        return f"{error.code}: {error}"

with open("told.txt", "w") as told:
    print(said(WHAT), file=told)
"""


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("client.ask, 'read_file', path=secret", "security_boundary"),
        ("client.ask, secret.replace('/', '_'), path='a'", "security_boundary"),
        ("client.open, 'file:' + secret", "security_boundary"),
        (
            "client.ask, 'spawn_subplan', name='child', delegate={'read': [secret]}, steps=STEPS",
            "delegation_refused",
        ),
    ],
)
def test_a_program_is_told_what_is_recorded(scene: Scene, what: str, code: str) -> None:
    declare(scene)
    if "replace" in what:
        scene.environ["TESTED_KEY"] = SECRET.replace("/", "_")
    scene.file("worker.py", PROGRAM.replace("WHAT", what))
    child = {
        "name": "child",
        "actor": {"kind": "program", "command": ["python3", "worker.py"]},
        "delegate": {
            "tools": ["read_file", "write_file", "run_command", "spawn_subplan"],
            "read": ["worker.py"],
            "write": ["told.txt"],
            "depth": 1,
        },
    }
    plan = {"name": "outer", "steps": [{"id": "child", "subplan": child}]}
    done = scene.run(plan, "--apply")
    violation = next(v for v in done.data["violations"] if v["kind"] == code)
    assert SHOWN in scene.text("told.txt")
    assert scene.text("told.txt").startswith(f"{code}: ")
    assert SHOWN in violation["resource_name"] + violation["reason"]
    for secret in (SECRET, SECRET.replace("/", "_")):
        assert secret not in scene.text("told.txt")
        assert secret.encode() not in scene.kept()
        assert secret not in done.out
    scene.verify()


def test_so_is_a_parent_whose_childs_changes_are_refused(scene: Scene) -> None:
    declare(scene)
    child = {
        "name": "child",
        "delegate": {"tools": ["run_command"], "read": ["."], "write": ["."]},
        "steps": [
            {
                "id": "a",
                "tool": "run_command",
                "args": {"command": "mkdir top-secret && ln -s /etc/passwd top-secret/value-1"},
            }
        ],
    }
    plan = {"name": "outer", "steps": [{"id": "child", "subplan": child}]}
    done = scene.run(plan, expect=3)
    outcome = scene.outcome(done.plan_id, "child")
    assert outcome["status"] == "merge_refused"
    assert SHOWN in outcome["error"]
    assert SECRET not in json.dumps(outcome)
    assert done.data["error"]["message"] == outcome["error"]
