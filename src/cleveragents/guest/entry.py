"""The first code of ours in a cell: enter the wall, say so, and only then load the rest.

Until the hello is out nothing dear is imported; a cold start waits for it.
"""

from __future__ import annotations

import os
import sys

from cleveragents.guest import confine


def main() -> None:
    """Serve tools behind the wall; the command line is ``confine.Start``'s."""
    start = confine.Start(sys.argv[1:])
    enter(start)
    # Dear: only after the hello.
    from cleveragents.guest import sweep, tool_main  # noqa: PLC0415

    tool_main.serve(start.channel, tool_main.WORKSPACE, sweep.end_namespace)


def main_unconfined() -> None:
    """Serve tools without any wall: ``CHANNEL WORKSPACE`` on the command line."""
    channel, workspace = int(sys.argv[1]), sys.argv[2]
    confine.write_all(channel, confine.hello({}, version=0))
    # As in main.
    from cleveragents.guest import sweep, tool_main  # noqa: PLC0415

    tool_main.serve(channel, workspace, sweep.end_descendants)


def enter(start: confine.Start) -> None:
    """Take on limits and Landlock, report the checks in the hello, name the proxy if any."""
    version, checks = confine.enter(start)
    confine.write_all(start.channel, confine.hello(checks, version=version))
    if start.network >= 0:
        # Only in cells with a network.
        from cleveragents.guest import forwarder  # noqa: PLC0415

        # After the checks, which want an environment built from nothing.
        forwarder.announce(os.environ)
