"""The command line. Nothing imports this room; each command is a small file, imported only when it is chosen."""
