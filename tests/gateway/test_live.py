"""What the operator's own directories look like behind the gateway, as root and as anybody."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.gateway.client import talking

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plans.scene import Scene

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
OWNER = 61_234
WRITING = ("--safety-profile", "unrestricted", "--rw")


def given_to(owner: int, directory: Path) -> None:
    for path in (directory, *directory.rglob("*")):
        os.chown(path, owner, owner, follow_symlinks=False)


def test_what_is_written_lands_in_the_directory_at_once(installed: Scene) -> None:
    installed.file("docs/a.md", "one\n")
    with talking(installed, *WRITING) as talk:
        assert not talk.call("write_file", path="docs/b.md", content="two\n").is_error
        assert installed.text("docs/b.md") == "two\n"
        assert not talk.call("edit_file", path="docs/a.md", old="one", new="1").is_error
        assert installed.text("docs/a.md") == "1\n"
        absolute = f"{installed.work}/docs/c.md"
        assert not talk.call("move_file", source="docs/a.md", destination=absolute).is_error
        assert not talk.call("delete_file", path="docs/b.md").is_error
        told = talk.call("run_command", command=f"cat {absolute} && pwd && echo x > made")
        assert "1\\n/workspace\\n" in told.text
    names = sorted(str(p.relative_to(installed.work)) for p in installed.work.rglob("*"))
    assert names == ["docs", "docs/c.md", "made"]
    owners = {path.stat().st_uid for path in (installed.work, *installed.work.rglob("*"))}
    assert owners == {installed.work.stat().st_uid}


@needs_root
@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_root_serves_somebody_elses_directory_and_files_stay_theirs(
    scene: Scene, mode: int
) -> None:
    subprocess.run(["git", "init", "--quiet", str(scene.work)], check=True)
    scene.work.chmod(mode)
    given_to(OWNER, scene.work)
    with talking(scene, *WRITING) as talk:
        assert talk.call("read_file", path="a.txt").text.startswith("one\n")
        assert not talk.call("write_file", path="new/b.txt", content="x").is_error
        told = talk.call(
            "run_command", command="git status --short; git add a.txt; touch by_command; id -u"
        )
        assert "?? a.txt" in told.text
        assert "dubious ownership" not in told.text
    for name in ("new", "new/b.txt", "by_command", ".git/index"):
        facts = (scene.work / name).stat()
        assert (facts.st_uid, facts.st_gid) == (OWNER, OWNER), name


@needs_root
def test_roots_own_directory_is_roots_when_written(scene: Scene) -> None:
    scene.work.chmod(0o700)
    with talking(scene, *WRITING) as talk:
        told = talk.call("run_command", command="echo x > made; id -u")
        assert '"exit_code": 0' in told.text
        assert '"stdout": "0\\n' not in told.text, "the cell is never root"
    assert (scene.work / "made").stat().st_uid == 0


def test_secret_files_are_hidden_wherever_they_are_reached(installed: Scene) -> None:
    installed.file(".env", "TOKEN=hidden-value\n")
    installed.file("deploy/id_rsa", "hidden-value\n")
    installed.file(".ssh/config", "hidden-value\n")
    installed.file("readable.env.example", "TOKEN=\n")
    with talking(installed, *WRITING) as talk:
        assert talk.call("read_file", path=".env").is_error
        assert talk.call("read_file", path=f"{installed.work}/deploy/id_rsa").is_error
        assert not talk.call("read_file", path="readable.env.example").is_error
        line = f"cat /workspace/.env {installed.work}/.env deploy/id_rsa .ssh/config; ls .ssh"
        told = talk.call("run_command", command=line)
        assert "hidden-value" not in told.text
        assert "hidden-value" not in talk.call("search_files", pattern="hidden").text
        # Nor can what hides them be taken away.
        talk.call("run_command", command="rm -f .env; mv deploy moved; cat moved/id_rsa .env")
        assert "hidden-value" not in talk.call("run_command", command="cat moved/id_rsa").text
    assert installed.text(".env") == "TOKEN=hidden-value\n"


def test_a_secret_that_is_replaced_stays_hidden(scene: Scene) -> None:
    scene.file(".env", "old-value\n")
    with talking(scene, "--safety-profile", "unrestricted") as talk:
        assert talk.call("read_file", path=".env").is_error
        # As editors save a file: the mount over the old one goes with it.
        scene.file("next", "new-value\n").replace(scene.work / ".env")
        assert talk.call("read_file", path=".env").is_error
        assert "new-value" not in talk.call("run_command", command="cat .env").text


def test_an_operators_profile_may_show_a_secret(scene: Scene) -> None:
    scene.file(".env", "shown-value\n")
    profile = scene.write("p.yaml", "name: shows\nread: [., .env]\n")
    scene.agents("safety-profile", "add", str(profile), expect=0)
    with talking(scene, "--safety-profile", "shows") as talk:
        assert talk.call("read_file", path=".env").text.startswith("shown-value")


def test_what_git_runs_later_stays_as_it_is(scene: Scene) -> None:
    subprocess.run(["git", "init", "--quiet", str(scene.work)], check=True)
    (scene.work / ".git/hooks/pre-commit").write_text("#!/bin/sh\n")
    config = scene.text(".git/config")
    with talking(scene, *WRITING) as talk:
        for path in (".git/hooks/pre-commit", ".git/hooks/post-commit", ".git/config"):
            assert talk.call("write_file", path=path, content="evil").is_error
        for line in (
            f"echo evil >> {scene.work}/.git/config",
            "git config core.hooksPath /tmp",
            "mv .git moved && git init",
            "rm -rf .git/hooks && mkdir .git/hooks && touch .git/hooks/post-commit",
        ):
            assert '"exit_code": 0' not in talk.call("run_command", command=line).text, line
        told = talk.call("run_command", command="git add a.txt && git status --short")
        assert "A  a.txt" in told.text
    assert scene.text(".git/config") == config
    assert not list(scene.work.rglob("post-commit"))


def test_several_directories_are_live_at_their_own_paths(scene: Scene) -> None:
    scene.write("second/b.txt", "two\n")
    second = scene.place / "second"
    with talking(scene, *WRITING, "--workspace", str(second)) as talk:
        told = talk.call("run_command", command=f"cat {second}/b.txt; echo x > {second}/made")
        assert "two\\n" in told.text
        # The file tools' workspace is the first one.
        assert "(rule workspace)" in talk.call("read_file", path=f"{second}/b.txt").text
    assert (second / "made").read_text() == "x\n"


def test_a_profiles_paths_hold_in_the_mounts(scene: Scene) -> None:
    scene.file("docs/a.md", "one\n")
    scene.file("src/a.py", "secret_code\n")
    facts = "name: docs\nread: [docs/]\nwrite: [docs/]\n"
    scene.agents("safety-profile", "add", str(scene.write("p.yaml", facts)), expect=0)
    with talking(scene, "--safety-profile", "docs", "--rw") as talk:
        assert not talk.call("read_file", path="docs/a.md").is_error
        assert not talk.call("write_file", path="docs/b.md", content="x").is_error
        refused = talk.call("read_file", path="src/a.py")
        assert refused.text.endswith("(rule read)")
        line = f"cat src/a.py {scene.work}/src/a.py; echo x > c; echo x > docs/c"
        assert "secret_code" not in talk.call("run_command", command=line).text
    assert sorted(p.name for p in scene.work.iterdir()) == ["a.txt", "docs", "src"]
    assert (scene.work / "docs/c").exists()


def test_the_current_directory_is_served_unless_another_is_named(scene: Scene) -> None:
    with talking(scene, "--safety-profile", "read-only", cwd=scene.work) as talk:
        assert talk.call("read_file", path="a.txt").text.startswith("one\n")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--workspace", "/"), "the home"),
        (("--workspace", "/nowhere"), "is no directory"),
        (("--safety-profile", "nobodys"), "no safety profile is named 'nobodys'"),
        (("--http", "8000"), "have to show a token"),
        (("--token-env", "X"), "need --http"),
        (("--trusted",), "--trusted is said of a COMMAND"),
        (("--config", "x.json", "--", "y"), "either --config or a COMMAND"),
        (("--http", "0.0.0.0:0", "--token-env", "T"), "not loopback"),
        (("--http", "nine", "--token-env", "T"), "no place to listen at"),
        (("--http", "0", "--token-env", "NOT_SET"), "there is no token of 16"),
    ],
)
def test_what_cannot_be_served_is_told_before_anything_starts(
    scene: Scene, words: tuple[str, ...], problem: str
) -> None:
    scene.environ["T"] = "0123456789abcdef"
    first = () if "--safety-profile" in words else ("--safety-profile", "read-only")
    done = subprocess.run(
        scene.argv("mcp", "serve", *first, *words),
        cwd=scene.work,
        env=scene.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr
    assert scene.count("plan_started") == 0
