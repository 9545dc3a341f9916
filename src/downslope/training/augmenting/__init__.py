"""Images changed at random before a step learns from them, each in a way that seed, epoch and index decide."""
