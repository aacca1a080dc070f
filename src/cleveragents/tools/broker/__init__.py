"""What the host does for a plan at the edge: network and credentials."""
