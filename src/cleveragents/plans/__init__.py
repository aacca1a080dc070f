"""A plan's life: start, execute, merge, apply, resume."""
