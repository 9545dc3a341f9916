"""The run folder on the disk: checkpoints, the log, the lock, and how they survive a kill."""
