"""Tool bodies; loaded inside the cell only."""
