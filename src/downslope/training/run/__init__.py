"""A run: its loop from top to bottom, and what the loop needs."""
