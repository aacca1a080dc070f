"""A subplan that names a model's address by a name that its own DNS answers for."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tests.llm.mind import MODEL, lend
from tests.models.loopback_server import LoopbackServer, says

if TYPE_CHECKING:
    import pytest

    from tests.plans.scene import Scene

PROGRAM = """\
from cleveragents.guest.program_client import Client, FailedError, RefusedError
client = Client.connect()
client.begin()
try:
    client.ask(
        "spawn_subplan", name="grandchild", goal="look inward",
        actor={"kind": "llm", "model": "MODEL", "base_url": "http://rebind.example.com:PORT/v1"},
        delegate={"tools": ["read_file"], "read": ["."], "hosts": ["rebind.example.com"]},
    )
except (RefusedError, FailedError) as error:
    print(error)
"""


def test_a_name_that_leads_inward_is_no_way_to_a_private_server(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def resolve(host: object, *more: object, **others: object) -> object:
        name = host.decode() if isinstance(host, bytes) else host
        return real("127.0.0.1" if name == "rebind.example.com" else host, *more, **others)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with LoopbackServer([says("the private server answers")]) as server:
        port = server.base_url.rsplit(":", 1)[1].partition("/")[0]
        scene.file("worker.py", PROGRAM.replace("PORT", port).replace("MODEL", MODEL))
        plan = {
            "name": "outer",
            "steps": [
                {
                    "id": "child",
                    "subplan": {
                        "name": "child",
                        "actor": {"kind": "program", "command": ["python3", "worker.py"]},
                        "delegate": {
                            "tools": ["read_file", "spawn_subplan"],
                            "read": ["."],
                            "hosts": ["*"],
                            "depth": 1,
                        },
                    },
                    "on_denied": "continue",
                }
            ],
        }
        lend(scene, server, "openai:other")
        done = scene.run(plan, expect=None)
        assert server.bodies == []
    assert "host:rebind.example.com" in [v["resource_name"] for v in done.data["violations"]]
