"""The wall: the confined process of a plan, its workspace, and the wire to it."""
