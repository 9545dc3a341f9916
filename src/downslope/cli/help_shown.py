"""How a command ends once it has printed its ``--help``.

It stands alone so that `main` can catch it without loading any command's parser.
"""

from __future__ import annotations


class HelpShown(Exception):  # noqa: N818 - no error: it ends a command that has done what was asked
    """A command's help has been printed; nothing more is to be done."""
