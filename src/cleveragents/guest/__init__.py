"""What runs inside the cell."""
