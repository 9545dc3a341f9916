"""The command line: `main.py`, one small file per command, imported only when it is chosen, and what they share."""

from __future__ import annotations


class HelpShown(Exception):  # noqa: N818 - no error: it ends a command that has done what was asked
    """A command's help has been printed; nothing more is to be done."""
