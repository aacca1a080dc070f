"""What a gateway's plan says of itself, and what there is to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cleveragents.cli.plain_page import draw
from cleveragents.cli.status_view import next_commands, status_page
from tests.gateway.client import hosted, talking

if TYPE_CHECKING:
    from tests.plans.scene import Scene


def test_what_its_calls_did_is_done_and_nothing_waits_to_be_applied(scene: Scene) -> None:
    with talking(scene, "--safety-profile", "read-only") as talk:
        talk.call("read_file", path="a.txt")
        plan_id, live = talk.plan_id, talk.status
    assert next_commands(live) == (("watch it", f"agents plan status {plan_id} --watch"),)
    done = scene.status(plan_id)
    assert done["served"] == "mcp_client"
    text = draw(status_page(done), None)
    assert "nothing is left to apply" in text
    assert next_commands(done) == (("see every decision", f"agents plan explain {plan_id}"),)
    for words in (("plan", "diff", plan_id), ("plan", "apply", plan_id, "--yes")):
        assert "it collects nothing to show or apply" in scene.agents(*words, expect=2).said
    scene.verify()


def test_one_whose_host_is_gone_can_only_be_ended(scene: Scene) -> None:
    with hosted(scene, "--safety-profile", "read-only") as host:
        plan_id = host.plan_id
        host.process.kill()
        host.process.wait()
    gone = scene.status(plan_id)
    assert next_commands(gone) == (("end it", f"agents plan cancel {plan_id}"),)
    scene.agents("plan", "cancel", plan_id, expect=0)
    assert "what its calls did until then stays" in draw(status_page(scene.status(plan_id)), None)
