"""The address of a model in a plan file: whose word lets the conversation go there."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.llm.mind import MODEL, lend
from tests.models.loopback_server import LoopbackServer, says

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plans.scene import Done, Scene

LOOPBACK = "127.0.0.1"
REMOTE = "https://models.example.org/v1"
CLOSED = {"name": "closed", "hosts": ["docs.example.com"]}


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer([says("done")] * 3) as made:
        yield made


def plan_at(url: str, model: str = MODEL, **more: object) -> dict[str, Any]:
    """A plan as a stranger's repository may hold it."""
    return {
        "name": "look",
        "goal": "look",
        "actor": {"kind": "llm", "model": model, "base_url": url},
        **more,
    }


def refused(done: Done, host: str) -> dict[str, Any]:
    """The one violation of a plan that was ended by it."""
    assert done.exit_code == 3
    assert done.data["outcome"] == "constrained"
    (violation,) = done.data["violations"]
    assert violation["resource_name"] == f"host:{host}"
    assert violation["tool"] == "model_request"
    return dict(violation)


def option(scene: Scene, profile: dict[str, Any]) -> tuple[str, ...]:
    """An automation profile that the operator names, with a safety profile."""
    facts = {"name": "operators", "safety_profile": profile}
    return ("--automation-profile", str(scene.write("operators.yaml", json.dumps(facts))))


# -- a private address ------------------------------------------------------------


def test_a_server_on_this_machine_is_meant_where_the_operator_says_nothing_of_hosts(
    anybody: Scene, server: LoopbackServer
) -> None:
    done = anybody.run(plan_at(server.base_url))
    assert done.data["violations"] == []
    anybody.run(plan_at(server.base_url), "--safety-profile", "read-only")
    assert len(server.bodies) == 2


def test_profiles_that_name_hosts_do_not_admit_it_unnamed(
    anybody: Scene, server: LoopbackServer
) -> None:
    words = option(anybody, {"name": "wide", "hosts": ["*"]})
    done = anybody.run(plan_at(server.base_url), *words, expect=3)
    violation = refused(done, LOOPBACK)
    assert violation["kind"] == "tool_access_denied"
    assert violation["profile"] == "wide"
    again = anybody.agents("plan", "resume", done.plan_id)
    assert refused(again, LOOPBACK) == violation
    assert server.bodies == []


@pytest.mark.parametrize("host", ["10.0.0.7", "169.254.169.254", "192.168.1.1", "[fd00::1]"])
def test_nobody_names_another_private_host_of_a_plan_file(anybody: Scene, host: str) -> None:
    violation = refused(anybody.run(plan_at(f"http://{host}/v1"), expect=3), host.strip("[]"))
    assert violation["kind"] == "tool_access_denied"
    assert violation["profile"] == "unrestricted"
    assert "private host" in violation["reason"]
    assert "'hosts' of a profile of yours" in violation["reason"]
    assert "--model" in violation["reason"]


def test_the_operators_profile_names_it(anybody: Scene, server: LoopbackServer) -> None:
    words = option(anybody, {"name": "local", "hosts": [LOOPBACK]})
    done = anybody.run(plan_at(server.base_url), *words)
    assert done.data["violations"] == []
    assert len(server.bodies) == 1


@pytest.mark.parametrize("host", ["localhost", "10.0.0.7", "169.254.169.254", "[::1]"])
def test_any_public_host_is_not_this_machine(scene: Scene, host: str) -> None:
    words = option(scene, {"name": "wide", "hosts": ["*"]})
    done = scene.run(plan_at(f"https://{host}/v1"), *words, expect=3)
    assert refused(done, host.strip("[]"))["profile"] == "wide"


def test_a_model_name_that_leads_to_this_machine_is_an_address_too(scene: Scene) -> None:
    actor = {"kind": "llm", "model": "ollama:qwen3"}
    words = option(scene, {"name": "wide", "hosts": ["*"]})
    done = scene.run({"name": "look", "goal": "look", "actor": actor}, *words, expect=3)
    refused(done, LOOPBACK)


def test_the_plan_files_own_profiles_name_nothing(scene: Scene, server: LoopbackServer) -> None:
    scene.agents("safety-profile", "add", str(scene.write("c.yaml", json.dumps(CLOSED))))
    scene.environ["CLEVERAGENTS_SAFETY_PROFILE"] = "closed"
    named = {"name": "stranger", "hosts": [LOOPBACK]}
    scene.write("stranger.yaml", json.dumps({"name": "theirs", "safety_profile": named}))
    inline = scene.run(plan_at(server.base_url, safety_profile=named), expect=3)
    refused(inline, LOOPBACK)
    by_path = scene.run(plan_at(server.base_url, automation_profile="stranger.yaml"), expect=3)
    refused(by_path, LOOPBACK)
    assert server.bodies == []


def test_the_option_stands_in_place_of_model_and_address(
    scene: Scene, server: LoopbackServer
) -> None:
    with LoopbackServer([says("the stranger's")]) as other:
        lend(scene, server)
        done = scene.run(plan_at(other.base_url), "--model", "openai:chosen")
        assert other.bodies == []
    assert done.data["violations"] == []
    assert [body["model"] for body in server.bodies] == ["chosen"]


@pytest.mark.parametrize("key", ["model", "address", "fallback"])
def test_the_settings_name_the_same_place(scene: Scene, server: LoopbackServer, key: str) -> None:
    url = server.base_url
    scene.write(
        "home/config.toml",
        {
            "model": f'model = "openai:other"\nmodel_base_url = "{url}"\n',
            "address": f'model_base_url = "{url}"\n',
            "fallback": f'fallback_models = [{{model = "openai:other", base_url = "{url}"}}]\n',
        }[key],
    )
    done = scene.run(plan_at(url))
    assert done.data["violations"] == []
    assert [body["model"] for body in server.bodies] == ["loopback"]


def test_another_port_is_another_place(scene: Scene, server: LoopbackServer) -> None:
    with LoopbackServer([says("what else listens here")]) as other:
        lend(scene, server)
        words = option(scene, {"name": "wide", "hosts": ["*"]})
        done = scene.run(plan_at(other.base_url), *words, expect=3)
        refused(done, LOOPBACK)
        assert other.bodies == []


def test_a_name_that_leads_inward_needs_https_or_the_operators_word(
    scene: Scene, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "rebind.example.com"
    real = socket.getaddrinfo

    def resolve(host: object, *more: object, **others: object) -> object:
        asked = host.decode() if isinstance(host, bytes) else host
        return real(LOOPBACK if asked == name else host, *more, **others)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    url = server.base_url.replace(LOOPBACK, name)
    violation = refused(scene.run(plan_at(url), expect=3), name)
    assert "over https only" in violation["reason"]
    wide = option(scene, {"name": "wide", "hosts": ["*.example.com"]})
    refused(scene.run(plan_at(url), *wide, expect=3), name)
    assert server.bodies == []
    named = option(scene, {"name": "named", "hosts": [name]})
    scene.run(plan_at(url), *named)
    assert len(server.bodies) == 1


# -- a public one -----------------------------------------------------------------


@pytest.mark.parametrize("place", ["settings", "automation profile", "option", "plan's automation"])
def test_every_profile_with_hosts_is_asked(scene: Scene, place: str) -> None:
    plan = plan_at(REMOTE)
    words: list[str] = []
    if place == "automation profile":
        words += option(scene, CLOSED)
    elif place == "plan's automation":
        scene.write("theirs.yaml", json.dumps({"name": "theirs", "safety_profile": CLOSED}))
        plan["automation_profile"] = "theirs.yaml"
    else:
        scene.agents("safety-profile", "add", str(scene.write("c.yaml", json.dumps(CLOSED))))
        if place == "settings":
            scene.environ["CLEVERAGENTS_SAFETY_PROFILE"] = "closed"
        else:
            words += ["--safety-profile", "closed"]
    violation = refused(scene.run(plan, *words, expect=3), "models.example.org")
    assert violation["profile"] == "closed"
    assert "not among the hosts of profile 'closed'" in violation["reason"]


def test_a_profile_without_hosts_says_nothing_about_them(scene: Scene) -> None:
    # Nothing listens: that it was asked at all is what a failure shows.
    done = scene.run(
        plan_at("https://models.invalid/v1"), "--safety-profile", "sandboxed", expect=1
    )
    assert done.data["violations"] == []
    assert "model_request failed" in done.said


def test_what_the_operator_chose_stays_trusted(scene: Scene, server: LoopbackServer) -> None:
    lend(scene, server)
    actor = {"kind": "llm"}
    scene.run({"name": "look", "goal": "look", "actor": actor}, *option(scene, CLOSED))
    scene.run(plan_at(server.base_url), *option(scene, CLOSED))
    assert len(server.bodies) == 2


# -- below the root ---------------------------------------------------------------


def test_a_subplan_of_the_file_is_no_way_around(scene: Scene, server: LoopbackServer) -> None:
    child = {
        "name": "child",
        "goal": "look",
        "actor": {"kind": "llm", "model": MODEL, "base_url": server.base_url},
        "delegate": {"tools": ["read_file"], "read": ["."]},
    }
    plan = {"name": "outer", "steps": [{"id": "child", "subplan": child}]}
    wide = option(scene, {"name": "wide", "hosts": ["*"]})
    done = scene.run(plan, *wide, expect=3)
    assert {v["resource_name"] for v in done.data["violations"]} == {f"host:{LOOPBACK}"}
    assert server.bodies == []
    # The plan file cannot hand on what no profile admits either.
    child["delegate"] = {"tools": ["read_file"], "read": ["."], "hosts": [LOOPBACK]}
    done = scene.run(plan, *wide, expect=3)
    assert [v["kind"] for v in done.data["violations"]] == ["delegation_refused"]
    assert server.bodies == []
    child["delegate"] = {"tools": ["read_file"], "read": ["."]}
    scene.run(plan, *option(scene, {"name": "local", "hosts": [LOOPBACK]}))
    assert len(server.bodies) == 1
