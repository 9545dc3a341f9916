"""The rule, settings, schedules and groups. NumPy only, and it imports nothing else of this project."""
