"""Which MCP servers' cells have a port of the host's proxy, and who asks there.

A server reaches what its own definition names, as far as its plan may. It may
be started before the plan is open, to be asked for its tools; then it has none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cleveragents.policy.connection import Caller
from cleveragents.policy.host_rule import HostRules

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from cleveragents.boundary.cell_spec import CellSpec
    from cleveragents.config.mcp_server import ServerDefinition
    from cleveragents.runtime.cell_proxy import CellNetwork


class ServerPorts:
    """The ports of one plan's servers.

    Args:
        network: Who answers at the ports of the plan's cells; ``None``: nobody, or nobody yet.
    """

    def __init__(self, network: CellNetwork | None = None) -> None:
        self._network = network

    def reach(self, network: CellNetwork | None) -> None:
        """Give the servers that are started from now on a port."""
        self._network = network

    def fitted(self, spec: CellSpec, definition: ServerDefinition) -> CellSpec:
        """Give the cell of a server a port, where its plan has a network and it names hosts."""
        return replace(spec, network=self._network is not None and bool(definition.hosts))

    def serve(self, listener: socket.socket, definition: ServerDefinition) -> Callable[[], None]:
        """Answer at the port of a server's cell.

        Args:
            listener: The socket that the cell handed over.
            definition: The server.

        Returns:
            What ends the service; its connections end with it.
        """
        if self._network is None:
            # Nobody could decide: whoever connects in there is refused by the kernel.
            listener.close()
            return listener.close
        # Brought to their one spelling when the file was read.
        hosts = HostRules.of_normal(definition.hosts)
        return self._network.open(listener, Caller(server=definition.name, hosts=hosts)).close
