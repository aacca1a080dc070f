"""What can be done: the catalogue of tools, and where each body runs."""
