"""The hostile program: it tries to get out of the cell that it runs in."""
