"""Another client as the actor: the MCP server."""
