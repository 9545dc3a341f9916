"""Looking at a run: the console, the live view, loggers of other tools."""
